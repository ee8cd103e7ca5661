"""The rules by which an emotion is taken out of a sentence: what goes with a word, and what takes its place."""

from __future__ import annotations

import functools
import re

from emogen.emotion.evidence import AMBIGUOUS, CONTENT, NOUNS, THINGS_WITH_FACES, VERBS, pattern
from emogen.emotion.grammar import (
    ADJ,
    ARTICLE,
    AUXILIARIES,
    BEGIN,
    CAUSE,
    CONJUNCTIONS,
    DEGREES,
    DETERMINERS,
    FILLS,
    FORMS,
    FUNCTION,
    GOVERNED,
    LEAD,
    LINK,
    LISTED,
    MANNER,
    OBJECTS,
    OF,
    PART,
    PREPOSITIONS,
    SHOW,
    SUBJECTS,
    TOWARDS,
)
from emogen.emotion.sentence import Sentence


@functools.lru_cache(maxsize=4)
def _patterns(words: frozenset[str]) -> tuple[re.Pattern, re.Pattern, re.Pattern]:
    """Expressions for a word of emotion, for a list of such with what belongs to them, and for an ambiguous word where
    it is felt."""
    any_word = pattern(words)
    core = rf"(?:{any_word})(?:-(?:looking|faced|eyed|filled))?(?:['\u2019]s)?(?![\w]|-\w)"
    item = rf"(?:{DEGREES}){{0,4}}{core}"
    join = r"(?:\s*,\s*(?:and|but|or)?\s*|\s+(?:and|but|yet|or)\s+)"
    felt = "|".join((*LINK, "being"))
    return (
        re.compile(rf"(?<![\w-])(?:{any_word})(?!\w)", re.IGNORECASE),
        re.compile(rf"(?<![\w-]){item}(?:{join}{item})*", re.IGNORECASE),
        re.compile(
            rf"(?<![\w-])(?P<lead>(?:(?:{felt})\s+){{1,3}})?"
            rf"(?P<all>(?P<degree>(?:{DEGREES}){{0,4}})(?:{pattern(AMBIGUOUS)}))(?![\w]|-\w)",
            re.IGNORECASE,
        ),
    )


class Editor(Sentence):
    """Walks over a sentence, one word or list of words of emotion at a time.

    Args:
        words: what counts as a word of emotion, beside `AMBIGUOUS`.
        titled: whether capitals say nothing, for the whole caption is written in them.
    """

    def __init__(self, text: str, words: frozenset[str], titled: bool):
        super().__init__(text)
        self._core, self._cluster, self._felt = _patterns(words)
        self._titled = titled

    def run(self) -> None:
        at = 0
        while (found := self._next(at)) is not None:
            start, end = found
            at = self._edit(start, end)

    def _next(self, at: int) -> tuple[int, int] | None:
        spans = []
        if match := self._cluster.search(self.text, at):
            spans.append(match.span())
        for match in self._felt.finditer(self.text, at):
            if match["lead"] or match["degree"]:
                spans.append(match.span("all"))
                break
        return min(spans, default=None)

    def _edit(self, start: int, end: int) -> int:
        phrase = self.text[start:end]
        words = [" ".join(re.split(r"[\s-]+", w.lower())) for w in self._core.findall(phrase)]
        if not words:  # an ambiguous word that is felt
            words = [" ".join(re.sub(DEGREES, "", phrase, flags=re.IGNORECASE).lower().split())]
        first = self._core.search(self.text, start, end)
        word_at = first.start() if first else start
        content = CONTENT.match(self.text.replace("-", " "), word_at)
        if content and not self.text[content.end() : content.end() + 1].isalnum():
            return content.end()
        if self._is_name(word_at, words[0], end):
            return min(end, word_at + len(words[0]))
        if manner := re.match(MANNER, self.text[end:]):
            end += manner.end()
        if re.match(r"[^.!]*\?", self.text[end:]):
            return self._leave(start, end, words)
        role = self._role(start, end, words)
        return {"adverb": self._adverb, "verb": self._verb, "noun": self._noun, "adjective": self._adjective}[role](
            start, end, words
        )

    def _is_name(self, at: int, word: str, end: int) -> bool:
        """Whether a word with a capital is a name: in a sentence, before a capital, or Joy doing something."""
        if self._titled or not self.text[at].isupper():
            return False
        if self._before(at) not in ("", '"', "(", "\u201c"):
            return True
        follows = re.match(r"\s+([A-Z][a-z]+)", self.text[at + len(word) :])
        if follows and word not in NOUNS:
            return True
        if word in ("joy", "merry", "anger", "fear", "sadness", "disgust", "envy"):
            after = self._after(at + len(word))
            is_alone = at + len(word) == end or not re.match(r"\s*,", self.text[at + len(word) :])
            verb = (after.endswith("s") or after in ("and", "from", "with")) and after not in FILLS
            return is_alone and (verb or (after in ("is", "looks", "from") and word == "joy")) and after != "."
        return False

    def _role(self, start: int, end: int, words: list[str]) -> str:
        word, before, after = words[0], self._before(start), self._after(end)
        if word.endswith("ly") and word not in ("lonely", "silly"):
            return "adverb"
        if word in NOUNS:
            return "noun"
        form = next((form for form, verbs in VERBS.items() if word in verbs), None)
        if form is None or word == "scared":
            return "adjective"
        if form != "base":
            has_article = before in DETERMINERS or before in PREPOSITIONS
            return "noun" if form == "s" and has_article and word != "scares" else "verb"
        if before.endswith("'s"):
            return "noun"
        if before in AUXILIARIES or before in SUBJECTS or before == "to" or CAUSE.search(self.text[:start]):
            return "verb"
        if before == "and" and after in PREPOSITIONS | {".", ","}:
            return "verb"
        plural = before.endswith("s") or before in ("children", "people", "men", "women", "kids")
        return "verb" if plural and before not in FUNCTION and after != "of" else "noun"

    def _adverb(self, start: int, end: int, words: list[str]) -> int:
        before, after = self._before(start), self._after(end)
        if before in ("and", "but", "or") and re.search(r"ly\s+\w+\s*$", self.text[:start]):
            start = self._last_word(start)
        elif after in ("and", "but", "or") and self._after(end, 2).endswith("ly"):
            end += re.match(r"\s+\w+", self.text[end:]).end()
        return self._replace(start, end, "", words)

    def _verb(self, start: int, end: int, words: list[str]) -> int:
        form = next(form for form, verbs in VERBS.items() if words[0] in verbs)
        tears = re.match(r"\s+tears(?:\s+of\s+(?P<of>\w+))?", self.text[end:], re.IGNORECASE)
        if tears:  # "cries tears of joy"
            words = [*words, "tears", *([tears["of"].lower()] if tears["of"] else [])]
            end += tears.end()
        before, after, second = self._before(start), self._after(end), self._after(end, 2)
        helped = before == "to" or before in AUXILIARIES or bool(CAUSE.search(self.text[:start]))
        if after in TOWARDS and after != "over":
            return self._replace(start, end, FORMS[TOWARDS[after]][form], words)
        if helped:
            return self._replace(start, end, "react", words)
        if before in ("and", ",") and (after == "." or after in PREPOSITIONS or after in (",", "and")):
            cut = self.text[:start].rstrip()
            return self._replace(len(cut) - len(before), end, "", words)
        then = re.match(r"\s*(?:,\s*(?:and\s+)?then|,?\s*and(?:\s+then)?|,)\s+(?=\w)", self.text[end:])
        if then:
            following = self._after(end + then.end())
            if self._is_finite(following, form):
                return self._replace(start, end + then.end(), "", words)
        away = re.match(r"\s+(?:\w+\s+){1,3}(?:away|off)\b", self.text[end:])
        if away and words[0].startswith("scare"):
            return self._replace(start, end, {"s": "drives", "past": "drove", "base": "drive"}[form], words)
        has_object = words[0] in ("scares", "scared", "scare", "fears") and self._is_nounish(after)
        if after in DETERMINERS | OBJECTS or has_object:
            return self._replace(start, end, FORMS["face"][form], words)
        if after in ("that", "than", "so", "too") or second == "":
            return self._leave(start, end, words)
        return self._replace(start, end, FORMS["appear"][form], words)

    def _predicate(self, verb_at: int, form: str, is_be: bool, start: int, end: int, words: list[str]) -> int:
        """A word after "is" or "looks", from `verb_at`; `start` is where the word begins."""
        if self._after(end) in ("anymore", "either"):
            end += re.match(r"\s+\w+", self.text[end:]).end()
        after, second = self._after(end), self._after(end, 2)

        def put(name: str, stop: int = end) -> int:
            if is_be and name != "appear":
                return self._replace(start, stop, FORMS[name]["ing"], words)
            return self._replace(verb_at, stop, FORMS[name][form], words)

        skip = end + (re.match(r"\s+\w+", self.text[end:]) or re.match("", "")).end()
        relative = self._before(verb_at) in ("that", "which", "who")
        if relative and (after == "." or self._is_finite(after, "s") or self._is_finite(after, "past")):
            return self._replace(self._last_word(verb_at), end, "", words)
        if after in TOWARDS:
            return put(TOWARDS[after])
        if after == "by":
            return put("face", skip)
        if after == "for":
            self.text = f"{self.text[:end]} of{self.text[skip:]}"
            return put("think")
        if after == "to":
            return put("face", skip) if second in DETERMINERS | OBJECTS else put("come")
        if after == "that":
            return self._leave(start, end, words) if "so " in self.text[start:end].lower() else put("know")
        if after in ("than", "enough") or self._before(verb_at) in ("how", "why") or verb_at == 0:
            return self._leave(start, end, words)
        if after == ",":
            adds = second.endswith("ing") or (self._is_nounish(second) and self._after(end, 3) in (",", "and", "."))
            comma = end + re.match(r"\s*,\s*", self.text[end:]).end()
            return self._replace(start, comma, "", words) if is_be and adds else put("appear")
        if after in ("and", "but", "or", "yet"):
            if second in DETERMINERS or second in SUBJECTS:
                return put("appear")
            has_object = self._after(end, 3) in DETERMINERS | OBJECTS and not second.endswith("ing")
            is_adjective = is_be and form == "base"  # "are happy and tired": no verb, as far as spelling tells
            if has_object or (self._is_finite(second, form) and not is_adjective):
                return self._replace(verb_at, skip, "", words)
            return self._replace(start, skip, "", words)
        if after == "." and self._before(verb_at) in ("and", "but"):
            return self._replace(self._last_word(verb_at), end, "", words)
        if after == "." or after in FUNCTION or after.endswith("ly"):
            return put("appear")
        if is_be or not after.endswith("ing"):
            return self._replace(start, end, "", words)
        return put("appear")

    def _adjective(self, start: int, end: int, words: list[str]) -> int:
        before, after, second = self._before(start), self._after(end), self._after(end, 2)
        is_ing = words[0].endswith("ing")
        if (verb := self._verb_before(start)) is not None:
            at, form, is_be = verb
            if form == "ing" and not is_be:
                return self._loose(at, end, words)
            return self._predicate(at, form, is_be, at if before in LINK else start, end, words)
        if BEGIN.search(self.text[:start]):
            return self._replace(start, end, "looking" if after == "at" else "reacting", words)
        if match := re.search(r"\b(bursts?|bursting)\s+out\s+$", self.text[:start], re.IGNORECASE):
            form = {"burst": "react", "bursts": "reacts"}.get(match[1].lower(), "reacting")
            return self._replace(match.start(), end, form, words)
        if CAUSE.search(self.text[:start]) and (after == "." or after in PREPOSITIONS | CONJUNCTIONS):
            return self._replace(start, end, "react", words)
        if self._is_nounish(after) and before not in ("while", "without", "when"):
            listed = None if self._is_list() else LISTED.search(self.text[:start])
            return self._replace(listed.start(1) if listed else start, end, "", words)
        leads = before in ("while", "without", "when", "by") and is_ing
        if leads and (after == "." or after in PREPOSITIONS - {"at"}):
            return self._replace(self._last_word(start), end, "", words)
        if before in DETERMINERS and after == "," and self._is_nounish(second):  # "a gloomy, rainy street"
            return self._replace(start, end + re.match(r"\s*,\s*", self.text[end:]).end(), "", words)
        if before in DETERMINERS:
            return self._leave(start, end, words)
        if before == "," and after in (",", "."):
            comma = self.text[:start].rstrip()
            drop = len(comma) - 1
            if after == "," and not self._is_list():
                end += re.match(r"\s*,", self.text[end:]).end()
            return self._replace(drop, end, "", words)
        if before in ("and", "but", "or") and (after in (".", ",") or after in PREPOSITIONS - GOVERNED):
            return self._replace(self._last_word(start), end, "", words)
        if after in ("and", "but", "or", "yet") and (before in ("", ",") or second.endswith("ing")):
            end += re.match(r"\s+\w+", self.text[end:]).end()
            return self._replace(start, end, "", words)
        return self._loose(start, end, words)

    def _is_list(self) -> bool:
        """Whether the caption is a list of tags."""
        parts = self.text.strip().split(",")
        is_sentence = self.text.rstrip()[-1:] in (".", "!") or self.text.startswith(("A ", "An ", "The "))
        return len(parts) >= 3 and not is_sentence and all(len(part.split()) <= 4 for part in parts)

    def _loose(self, start: int, end: int, words: list[str]) -> int:
        """A word beside the noun it belongs to, or before its sentence: "a boy afraid of", "Excited about"."""
        after, second = self._after(end), self._after(end, 2)
        new = FORMS[TOWARDS[after]]["ing"] if after in TOWARDS else ""
        skip = re.match(r"\s+\w+", self.text[end:])
        if after in ("by", "to"):
            verb = after == "to" and second not in DETERMINERS
            new, end = ("about", end) if verb else ("facing", end + skip.end())
        elif after in ("while", "as", "when") and second.endswith("ing"):
            end += skip.end()
        elif after in ("that", "than", "is", "are", "was", "were"):
            return self._leave(start, end, words)
        if not new and self._before(start) == "," and after in PREPOSITIONS | {"while", "as", "when"}:
            start = self._last_word(start) + len(self.text[self._last_word(start) : start].rstrip(" ,"))
        return self._replace(start, end, new, words)

    def _noun(self, start: int, end: int, words: list[str]) -> int:
        after = self._after(end)
        if after in THINGS_WITH_FACES:
            return self._replace(start, end, "", words)
        single = len(words) == 1 and words[0] != "tears" and self._before(start) != ""
        if single and self._is_nounish(after) and not self._is_finite(after, "s") and not after.endswith("ed"):
            return self._leave(start, end, words)  # as a rule a thing's name; or a verb that is not known as one
        left = self.text[:start]
        lead = re.search(rf"(?:\b{OF})?{ADJ}$", left, re.IGNORECASE).start()
        article = re.search(ARTICLE, left[:lead], re.IGNORECASE)
        begin = article.start() if article else lead
        tail = re.match(PART, self.text[end:])
        stop = end + (tail.end() if tail else 0)
        before_of = self._after(stop) == "of" and self._after(stop, 2) in DETERMINERS
        if before_of and re.search(r"\bin\s+$", left[:begin], re.IGNORECASE):
            return self._replace(begin, end, "front", words)
        prep = re.search(LEAD, left[:begin], re.IGNORECASE)
        if prep:  # "on her face" belongs to a smile, and to a look of fear: there the look keeps it
            return self._noun_phrase(prep.start(), end if prep[0].lower().strip() == "of" else stop, words)
        show = re.search(r"\b(\w+)\s+$", left[:begin])
        if show and show[1].lower() in SHOW and self._after(stop) != "of":
            form = SHOW[show[1].lower()]
            if form == "ing":
                return self._replace(show.start(), stop, "", words)
            return self._predicate(show.start(), form, False, begin, stop, words)
        return self._neutral_noun(start, end, lead, bool(article), words)

    def _noun_phrase(self, start: int, stop: int, words: list[str]) -> int:
        """Drop a phrase such as "with joy", from its preposition on."""
        if match := re.search(r"\b(bursts?|bursting)\s+$", self.text[:start], re.IGNORECASE):
            form = {"burst": "react", "bursts": "reacts"}.get(match[1].lower(), "reacting")
            return self._replace(match.start(), stop, form, words)
        verb = self._verb_before(start)
        if verb is not None and verb[2]:
            return self._predicate(*verb, start, stop, words)
        if re.search(r"\bfill(?:s|ed|ing)?\s+(?:\S+\s+){1,2}$", self.text[:start]):  # "fills him with joy"
            return self._leave(start, stop, words)
        if match := re.search(r",\s+(?:his|her|its|their)\s+\w+\s+$", self.text[:start]):  # ", her face full of joy"
            return self._replace(match.start(), stop, "", words)
        after, second = self._after(stop), self._after(stop, 2)
        if after in ("and", "or") and self._is_nounish(second) and not self._is_finite(second, "s"):
            third = self._after(stop, 3)
            if third == "." or third in PREPOSITIONS:
                first = re.search(r"\S+\s*$", self.text[:stop]).start()
                begin = re.match(r"(?:out of|full of|\w+ (?:with|by)|\w+)\s+", self.text[start:], re.IGNORECASE).end()
                joined = re.match(r"\s+\w+\s+", self.text[stop:]).end()
                return self._replace(min(first, start + begin), stop + joined, "", words)
        if after == "of" or (self._is_nounish(after) and not self._is_finite(after, "s") and not after.endswith("ed")):
            return self._leave(start, stop, words)
        return self._replace(start, stop, "", words)

    def _neutral_noun(self, start: int, end: int, lead: int, has_article: bool, words: list[str]) -> int:
        word = words[0]
        if match := re.search(rf"\b{OF}{ADJ}$", self.text[:start], re.IGNORECASE):  # "a sense of sadness"
            return self._replace(match.start(), end, "a feeling", words)
        if word == "tears" and (has_article or self._before(start) != ""):
            return self._leave(start, end, words)
        stem = word if word.endswith("ness") else "cry" if word == "cries" else word.removesuffix("s")
        if stem in ("smile", "grin", "frown", "scowl"):
            new = "expression"
        elif stem in ("laugh", "giggle", "cry", "scream", "sob", "laughter"):
            new = "sound"
        elif word == "tears":
            new = "drops"
        else:
            new = "feeling"
        plural = len(words) > 1 or (stem != word and word != "tears")
        new = f"{new}s" if plural else new
        has_article = has_article or self._before(start).endswith("'s")
        if not has_article and not plural and new != "drops":
            if lead < start:
                return self._leave(start, end, words)
            new = f"{'an' if new[0] == 'e' else 'a'} {new}"
        return self._replace(start, end, new, words)
