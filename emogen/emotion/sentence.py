"""What stands around a place in a sentence, and replacing it without breaking spaces, capitals and articles."""

from __future__ import annotations

import itertools
import re

from emogen.emotion.grammar import (
    BE,
    FUNCTION,
    IRREGULAR,
    LINK,
    NOUNS_ON_LY,
    SHORT_BE,
    TIRED,
    with_article,
)


class Sentence:
    """A sentence in work: what stands around a place in it, and putting something else there.

    Attributes:
        text: as it is now.
        removed: words taken out so far.
        left: words that were to go and are left.
    """

    def __init__(self, text: str):
        self.text = text
        self.removed: list[str] = []
        self.left: list[str] = []

    def _before(self, start: int) -> str:
        """The token before a place, lower case; "" at the begin of a sentence."""
        match = re.search(r"([\w'\u2019-]+|[^\w\s])\s*$", self.text[max(0, start - 60) : start])
        token = match[1].lower().replace("\u2019", "'") if match else ""
        return "" if token in (".", "!", "?", ";", ":") else token

    def _after(self, end: int, count: int = 1) -> str:
        tokens = re.finditer(r"[\w'\u2019-]+|[^\w\s]", self.text[end : end + 120])
        token = next((match[0].lower() for match in itertools.islice(tokens, count - 1, None)), "")
        return "." if token in ("", ".", "!", "?", ";", ":", ")") else token

    def _replace(self, start: int, end: int, new: str, words: list[str]) -> int:
        """Put `new` in place of a part; returns where to go on."""
        left, right = self.text[:start].rstrip(" "), self.text[end:].lstrip(" ")
        starts = not left or left[-1] in ".!?"
        if starts and self.text[start : start + 1].isupper():
            new = new[:1].upper() + new[1:]
        if starts and not new:
            right = right.lstrip(", ")
            if left and right[:1] in (".", "!", "?"):
                right = right[1:].lstrip()  # a sentence of that one word
            right = right[:1].upper() + right[1:] if self.text[start : start + 1].isupper() else right
        left = with_article(left, new or right)
        is_word = bool(re.match(r"[\w\"'(\[&-]", right))
        gap_left = " " if left and (new or is_word) and left[-1] not in "([\"'" else ""
        gap_right = " " if new and is_word else ""
        self.text = f"{left}{gap_left}{new}{gap_right}{right}"
        self.removed += words
        return len(left) + len(gap_left) + len(new)

    def _leave(self, start: int, end: int, words: list[str]) -> int:
        self.left += words
        return end

    def _last_word(self, end: int) -> int:
        """Where the last word before a place begins."""
        return re.search(r"\S+\s*$", self.text[:end]).start()

    def _verb_before(self, start: int) -> tuple[int, str, bool] | None:
        """The form of "be", or a verb such as "looks", right before a place: where it begins, its form, whether it is
        a "be"; None if another word stands there."""
        before = self._before(start)
        if match := SHORT_BE.search(self.text[:start]):
            return match.start(1), BE[match[1].replace("\u2019", "'").lower()], True
        if before not in BE and before not in LINK:
            return None
        at = self._last_word(start)
        if before == "be" and self._before(at) == "to":  # "seems to be sad"
            link = self._last_word(self._last_word(at))
            if (form := LINK.get(self.text[link:at].split()[0].lower())) is not None:
                return link, form, False
        if LINK.get(before) == "ing" and (be := self._verb_before(at)) and be[2]:  # "is feeling sad"
            return be
        return (at, BE[before], True) if before in BE else (at, LINK[before], False)

    def _is_nounish(self, token: str) -> bool:
        is_adverb = token.endswith("ly") and token not in NOUNS_ON_LY
        return bool(re.match(r"\w", token)) and token not in FUNCTION and not is_adverb

    def _is_finite(self, token: str, form: str) -> bool:
        """Whether a token goes on as a verb of that form."""
        if token in FUNCTION or not token[:1].isalpha():
            return False
        if form == "s":
            return token.endswith("s") and not token.endswith("ss")
        if form == "past":
            return (token.endswith("ed") and token not in TIRED) or token in IRREGULAR
        return form == "base" and not token.endswith("ing") and not token.endswith("s")
