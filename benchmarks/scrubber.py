"""How well emotion is taken out of captions: `python benchmarks/scrubber.py [--show]`.

Captions with what must go and what must stay lie in `tests/emotion/captions.jsonl`. A third of them, chosen by a hash
of the caption, is held out: the rules were written without looking at what they do to it. Those of the kinds "later"
and "last" were written after the rules, and what failed of them was mended afterwards; the file keeps what failed.
Counts come with Wilson's 95 % interval. A sentence counts as broken by what a reader said where the file holds that for
this very output (`judged`), else by `defects`, which looks for places where words are missing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from emogen.emotion.scrubber import scrub

PARTS = ("tuned on", "held out", "written later", "written last")
CAPTIONS = Path(__file__).parents[1] / "tests/emotion/captions.jsonl"

_NEEDS_MORE = (
    r"(?:a|an|the|his|its|their|my|our|your|very|so|too|with|of|in|at|by|for|to|from|about|is|are|was|were|and|or|but|as|"
    r"that)"
)
_DEFECTS = (
    rf"\b{_NEEDS_MORE}\s*(?:[.,;:!?]|$)",
    r"\b(?:a|an|the|his|its|their)\s+(?:of|with|and|or|but|is|are|was|were|in|at|to|for|from|by|that|which|as|when|while)\b",
    r"\b(?:is|are|was|were|be)\s+(?:of|and|or|but|to|that|than|is|are|was|were|because|when|while|before|after)\b",
    r"\b(?:he|she|they|it|everyone)\s+(?:of|with|in|at|to|by|about|because|when|while|before|after|and|or)\b",
    r"\b(?:of|with|in|at|by|for|from)\s+(?:of|with|at|by|for|to|and|or|is|are)\b",
    r"(?:^|[.!?]\s+)(?:and|or|but|of|that)\b",
    r"\b(\w+)\s+\1\b",
    r"\ba\s+[aeio]\w",
    r"\ban\s+[bcdfgjklmnpqrstvwxyz]\w",
    r"\s[,.;:!?]|,\s*[,.;:!?]|^[,.;:!?]|\s\s|[.!?]\s+[a-z]",
)


def part_of(row: Mapping[str, Any]) -> str:
    """ "tuned on", "held out" (by the caption's hash), or "written later", after the rules."""
    if row["kind"] in ("later", "last"):
        return f"written {row['kind']}"
    return "held out" if hashlib.sha256(row["caption"].encode()).digest()[0] % 3 == 0 else "tuned on"


def read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in CAPTIONS.read_text(encoding="utf-8").split("\n") if line]


def defects(before: str, after: str) -> list[str]:
    """Places of the new caption where words are missing, that were not in the old one."""
    found = []
    for pattern in _DEFECTS:
        flags = 0 if "a-z]" in pattern else re.IGNORECASE
        had = [match[0].lower() for match in re.finditer(pattern, before, flags)]
        found += [match[0] for match in re.finditer(pattern, after, flags) if match[0].lower() not in had]
    for sentence in re.split(r"(?<=[.!?])\s+", after):
        short = sentence.endswith(".") and sentence not in before and len(sentence.split()) <= 3
        if not after or (short and not re.search(r"(?:s|ed|appear)\.$", sentence)):
            found.append(sentence or "(nothing left)")
    return found


def has(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def measure(row: Mapping[str, Any], scrubber: Callable[[str], Any]) -> dict[str, Any]:
    """What happened to one caption."""
    before, result = row["caption"], scrubber(row["caption"])
    after = result.text if hasattr(result, "text") else result[0]
    judged = [one["broken"] for one in row.get("judged", ()) if one["output"] == after]
    return {
        "after": after,
        "words left": [word for word in row["gone"] if has(word, after)],
        "broken": judged[0] if judged else bool(after != before and defects(before, after)),
        "judged": bool(judged),
        "broken at first": any(one["broken"] for one in row.get("judged", ())),
        "content lost": [word for word in row["keep"] if not has(word, after)] or (not row["gone"] and after != before),
        "review": bool(getattr(result, "left", ())),
    }


def wilson(count: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    z, p = 1.959964, count / total
    middle, half = p + z * z / (2 * total), z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return max(0.0, (middle - half) / (1 + z * z / total)), (middle + half) / (1 + z * z / total)


def line(name: str, count: int, total: int) -> str:
    low, high = wilson(count, total)
    return f"  {name:<44}{count:>4} of {total:<4} {100 * count / total:5.1f} %  [{100 * low:.1f}, {100 * high:.1f}]"


def report(rows: Iterable[Mapping[str, Any]], scrubber: Callable[[str], Any]) -> list[str]:
    """The lines for a set of captions."""
    pairs = [(row, measure(row, scrubber)) for row in rows]
    with_emotion = [(row, found) for row, found in pairs if row["gone"]]
    words = sum(len(row["gone"]) for row, _ in with_emotion)
    changed = [found for row, found in pairs if found["after"] != row["caption"]]
    plain = len(pairs) - len(with_emotion)
    spoiled = sum(found["after"] != row["caption"] for row, found in pairs if not row["gone"])
    return [
        line("emotion words left, of those that should go", sum(len(f["words left"]) for _, f in pairs), words),
        line("captions left for review", sum(f["review"] for _, f in with_emotion), len(with_emotion)),
        line("sentences broken, of all captions", sum(f["broken"] for _, f in pairs), len(pairs)),
        line("captions with content lost", sum(bool(f["content lost"]) for _, f in pairs), len(pairs)),
        *([line("captions without emotion that changed", spoiled, plain)] if plain else []),
        line("broken when first seen, and mended", sum(f["broken at first"] for _, f in pairs), len(pairs)),
        f"  read and judged: {sum(found['judged'] for found in changed)} of {len(changed)} changed captions",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--show", action="store_true", help="every caption that changed, with what is wrong with it")
    parser.add_argument("--part", default="tuned on", choices=PARTS, help="which captions --show shows")
    args = parser.parse_args()
    rows = read()
    for name in PARTS:
        part = [row for row in rows if part_of(row) == name]
        print(f"{name}: {len(part)} captions")
        print("\n".join(report(part, scrub)))
    for row in rows if args.show else ():
        if part_of(row) == args.part:
            found = measure(row, scrub)
            marks = [k for k in ("words left", "broken", "content lost", "review") if found[k]]
            print(f"{','.join(marks) or 'ok':<24} {row['caption']}\n{'':<24} {found['after']}")


if __name__ == "__main__":
    main()
