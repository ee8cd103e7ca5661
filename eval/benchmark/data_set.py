"""Prompts of a labelled data set: the captions of a split's clips, each with its own label, as EmoVid's benchmark asks
them."""

from __future__ import annotations

from collections import Counter

from emogen.data.records import ClipRecord, missing_clips, read_records
from emogen.data.tables import RecordError
from emogen.emotion import MIKELS
from emogen.eval.benchmark.config import EvalConfig, EvalConfigError
from emogen.eval.benchmark.heldout import HeldOutPrompt

BENCHMARK = "benchmark"


def data_prompts(config: EvalConfig) -> list[HeldOutPrompt]:
    """A prompt for each clip of the split whose label is one of the configuration's emotions; it begins with the clip's
    first frame.

    Raises:
        EvalConfigError: the set cannot be read, has no such split, or the split's clips have no captions or are gone.
    """
    try:
        records = read_records(config.data)
    except (RecordError, OSError) as error:
        raise EvalConfigError(f"data: {error}") from error
    parts: dict[str, list[ClipRecord]] = {}
    for record in records:
        parts.setdefault(BENCHMARK if record.extra.get(BENCHMARK) else record.split, []).append(record)
    split = config.split or (BENCHMARK if BENCHMARK in parts else "test")
    if split not in parts:
        known = ", ".join(f"{name} ({len(found)})" for name, found in sorted(parts.items()))
        raise EvalConfigError(f"split: {config.data} has no clips of {split!r}; it has {known}")
    found, domains = [], Counter()
    for record in parts[split]:
        domain = record.domain or "all"
        limit = config.num_prompts.get(domain)
        if record.label not in config.emotions or (limit is not None and domains[domain] >= limit):
            continue
        domains[domain] += 1
        if not record.caption.strip():
            raise EvalConfigError(f"data: {record.file_name} has no caption, which would be its prompt; "
                                  "`emogen data caption` makes them")  # fmt: skip
        group = str(record.extra.get("group") or record.file_name)
        clip = str(record.path)
        found.append(HeldOutPrompt(record.caption, domain, group, image=clip, emotion=record.label))
    if not found:
        labels = ", ".join(sorted({record.label for record in parts[split]} & set(MIKELS))) or "none of the eight"
        raise EvalConfigError(f"data: no clip of {split!r} is asked for; its labels are {labels}")
    if gone := missing_clips(record for record in parts[split]):
        raise EvalConfigError(f"data: {len(gone)} clips of {split!r} are gone, such as {gone[0].path}")
    return found
