"""What became of every clip when the buckets were filled, as text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emogen.data.buckets import Bucket, Placement

_NO_KIND = "other"


@dataclass
class BucketReport:
    """Gathers placements: `text` gives the counts first, then a line for each note."""

    placements: dict[str, Placement] = field(default_factory=dict)
    """By the clip's name, in the order they were added."""

    def add(self, name: str, placement: Placement) -> None:
        self.placements[name] = placement

    @property
    def dropped(self) -> dict[str, str]:
        """The clips that go nowhere, and why."""
        return {name: "; ".join(put.notes) for name, put in self.placements.items() if put.bucket is None}

    def counts(self) -> dict[Bucket, int]:
        """Clips in each bucket that has any, in the order of the buckets."""
        used = Counter(put.bucket for put in self.placements.values() if put.bucket is not None)
        return dict(sorted(used.items()))

    def kinds(self) -> dict[str, list[tuple[str, str]]]:
        """The clips and texts of every kind of note: why clips are dropped, then the rest, most frequent first."""
        found: dict[str, list[tuple[str, str]]] = {}
        for name, put in self.placements.items():
            for note in put.notes:
                kind = getattr(note, "kind", _NO_KIND)
                kind = kind if put.bucket is not None else f"dropped, {kind}"
                found.setdefault(kind, []).append((name, note))
        return dict(sorted(found.items(), key=lambda item: (not item[0].startswith("dropped"), -len(item[1]))))

    def text(self, limit: int | None = None) -> str:
        """The report.

        Args:
            limit: lines shown of every kind of note, and then how many more there are; None shows all.
        """
        counts, kinds = self.counts(), self.kinds()
        plural = "" if len(counts) == 1 else "s"
        lines = [f"{sum(counts.values())} of {len(self.placements)} clips in {len(counts)} bucket{plural}:"]
        width = max((len(str(bucket)) for bucket in counts), default=0)
        lines += [f"  {bucket!s:<{width}}  {count:>6}" for bucket, count in counts.items()]
        if kinds:
            lines.append("notes: " + "; ".join(f"{len(clips)} {kind}" for kind, clips in kinds.items()))
        for kind, clips in kinds.items():
            lines.append(f"{kind}:")
            lines += [f"  {name}: {note}" for name, note in clips[:limit]]
            if limit is not None and len(clips) > limit:
                lines.append(f"  ... and {len(clips) - limit} more")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text()
