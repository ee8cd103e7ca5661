"""Captions before they are encoded: emotion words taken out, the emotion's sentence added, length checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from emogen.data.records import ClipRecord
from emogen.emotion import emotion_prompt
from emogen.emotion.scrubber import scrub
from emogen.models.text_limit import TextLimit, shortened

_SHOWN = 10
_EXAMPLES = 3


@dataclass(frozen=True)
class ScrubbedCaption:
    """A caption before and after its emotion words were taken out."""

    where: str
    before: str
    after: str
    words: list[str]
    """Taken out."""
    left: list[str]
    """Still there: they cannot be taken out without breaking the caption."""


def scrub_records(records: Iterable[ClipRecord]) -> tuple[list[ClipRecord], list[ScrubbedCaption]]:
    """Take the emotion words out of every caption, so that the emotion reaches the model only through the
    adapter and not through the text. Captions without such words stay exactly as they are.

    Returns:
        All records, and the captions that held emotion words.
    """
    kept, changed = [], []
    for record in records:
        found = scrub(record.caption)
        if found.removed or found.left:
            changed.append(ScrubbedCaption(record.where, record.caption, found.text, found.removed, found.left))
            record = replace(record, caption=found.text)
        kept.append(record)
    return kept, changed


def say_scrubbed(found: list[ScrubbedCaption], total: int, say: Callable[[str], None]) -> None:
    """Say how many captions changed, which words went, a few examples, and which captions are left for review."""
    changed = [caption for caption in found if caption.words]
    left = [caption for caption in found if caption.left]
    say(f"captions: emotion words taken out of {len(changed)} of {total}")
    words = Counter(word for caption in changed for word in caption.words)
    if words:
        say("  " + ", ".join(f"{word} {count}" for word, count in words.most_common(_SHOWN)))
    for caption in changed[:_EXAMPLES]:
        say(f"  {caption.where}: {caption.before!r} -> {caption.after!r}")
    if left:
        say(f"captions with emotion words left as they are: {len(left)}; reword them where the emotion should not show")
    for caption in left[:_SHOWN]:
        say(f"  {caption.where}: {', '.join(caption.left)} in {caption.before!r}")
    if len(left) > _SHOWN:
        say(f"  ... and {len(left) - _SHOWN} more")


def fit_captions(
    records: list[ClipRecord], limit: TextLimit, with_emotion: bool, say: Callable[[str], None]
) -> list[ClipRecord]:
    """Count the tokens of every caption, and say which captions the text encoder does not read to their end.

    Args:
        with_emotion: write the emotion's sentence (`emotion_prompt`) after every caption. A caption that is too long
            is cut before the sentence, so that the sentence is read. Without it, captions stay as they are.

    Raises:
        ValueError: the sentence alone is longer than the encoder reads.
    """
    found, too_long = [], []
    for record in records:
        fitted = limit.fit(record.caption, emotion_prompt(record.emotion) if with_emotion else "")
        if fitted.lost:
            too_long.append((record, fitted))
        found.append(replace(record, caption=fitted.text) if with_emotion else record)
    if too_long:
        kept = "; the emotion's sentence is kept" if with_emotion else ""
        say(
            f"warning: {len(too_long)} of {len(records)} captions are longer than the {limit.limit} tokens that the "
            f"text encoder reads; their ends are cut off{kept}"
        )
        for record, fitted in too_long[:_SHOWN]:
            say(f"  {record.where}: {fitted.tokens} tokens; not read: {shortened(fitted.lost)}")
        if len(too_long) > _SHOWN:
            say(f"  ... and {len(too_long) - _SHOWN} more")
    return found
