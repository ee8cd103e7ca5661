"""Buckets: the few lengths and sizes that clips are trained at, and which of them a clip goes to.

Frames are counted at the model's frame rate (`VideoInfo.frames_at`), never as the file stores them: otherwise a clip
of 30 frames a second would be learned at half its speed by a model of 16. Nothing is lost in silence: what happens to
a clip is said in the notes of its `Placement`, and a `BucketReport` gathers what happened to all.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

ASPECTS = (9 / 16, 3 / 4, 1.0, 4 / 3, 16 / 9)
"""Usual aspect ratios, width by height, from a phone held upright to a screen."""

_NO_KIND = "other"
_SAME_ASPECT = 0.05  # rounding to multiples moves an aspect ratio by a few per cent


class BucketError(ValueError):
    """A bucket that the model cannot take; the message says which would do."""


@dataclass(frozen=True, order=True)
class Bucket:
    """A length in frames and a size in pixels; `str` gives the form that `parse_bucket` reads."""

    num_frames: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.num_frames}x{self.height}x{self.width}"


class Note(str):
    """Something that happens to a clip, in words, and its `kind` ("shortened") by which notes are counted."""

    kind: str

    def __new__(cls, kind: str, text: str) -> Note:
        note = super().__new__(cls, text)
        note.kind = kind
        return note


@dataclass(frozen=True)
class Placement:
    """Where a clip goes and what is done to it on the way."""

    bucket: Bucket | None
    """None: the clip is dropped."""
    notes: tuple[str, ...] = ()
    """Why it is dropped; else what is worth knowing: lengthened, shortened, enlarged or cropped beyond the limits."""
    upscale: float = 1.0
    """Enlargement of the sides after cropping to the bucket's aspect ratio; below 1 the clip is reduced."""
    cropped: float = 0.0
    """Share of the picture's area that is cropped away."""


def parse_bucket(text: str, temporal: int = 4) -> Bucket:
    """Read "81x480x832": frames, height, width.

    Args:
        temporal: the autoencoder's temporal factor t; frames must be t k + 1.

    Raises:
        BucketError: another form, or a length that the model cannot take; the nearest that it can are named.
    """
    match = re.fullmatch(r"\s*(\d+)\s*x\s*(\d+)\s*x\s*(\d+)\s*", str(text).replace("\N{MULTIPLICATION SIGN}", "x"))
    if match is None:
        raise BucketError(f"{text!r} is no bucket: write it as FRAMESxHEIGHTxWIDTH, such as 81x480x832")
    bucket = Bucket(*map(int, match.groups()))
    _check_frames(bucket.num_frames, temporal, f"bucket {text}: ")
    check_multiple(bucket, 1)
    return bucket


def check_multiple(bucket: Bucket, multiple: int) -> None:
    """Check that a bucket's sides are multiples of the autoencoder's spatial factor times the transformer's patch (16
    for Wan2.1).

    Raises:
        BucketError: they are not; the nearest that are get named.
    """
    for name, value in (("height", bucket.height), ("width", bucket.width)):
        if value < 1 or value % multiple:
            low, high = value // multiple * multiple, (value // multiple + 1) * multiple
            near = f"{low} or {high}" if low else str(high)
            raise BucketError(f"bucket {bucket}: the {name} must be a multiple of {multiple}, such as {near}")


def _check_frames(frames: int, temporal: int, of: str = "") -> None:
    if frames < 1 or (frames - 1) % temporal:
        low = max(0, frames - 1) // temporal * temporal + 1
        raise BucketError(f"{of}{frames} frames are not {temporal}k + 1; take {low} or {low + temporal}")


def make_buckets(
    num_frames: Sequence[int],
    areas: Sequence[int],
    multiple: int,
    aspects: Sequence[float] = ASPECTS,
    temporal: int = 4,
) -> list[Bucket]:
    """Every combination of lengths, areas and aspect ratios, sorted.

    Args:
        num_frames: lengths, each `temporal` k + 1; 1 is for images.
        areas: in pixels, such as 480 * 832; each side is rounded to the nearest multiple, so areas are nearly kept.
        multiple: as in `check_multiple`; `temporal` as in `parse_bucket`.
        aspects: width by height.

    Raises:
        BucketError: a length the model cannot take, or a size that is not positive.
    """
    for frames in num_frames:
        _check_frames(frames, temporal)
    if any(not value > 0 for value in (*areas, *aspects, multiple)):
        raise BucketError(f"areas {list(areas)}, aspects {list(aspects)} and the multiple {multiple} must be positive")

    def side(length: float) -> int:
        return max(1, math.floor(length / multiple + 0.5)) * multiple

    sizes = {(side(math.sqrt(area / aspect)), side(math.sqrt(area * aspect))) for area in areas for aspect in aspects}
    return sorted(Bucket(frames, *size) for frames in set(num_frames) for size in sizes)


def place(
    frames: int,
    height: int,
    width: int,
    buckets: Sequence[Bucket],
    can_lengthen: bool = False,
    max_upscale: float = 1.1,
    max_crop: float = 0.15,
) -> Placement:
    """The bucket a clip goes to: the longest that it fills, then the nearest aspect ratio, then the largest area that
    needs no enlarging beyond the limit, or else the smallest.

    At another resolution, a ratio within 5 % of the nearest counts as equal to it: rounding moves ratios so far. A
    clip of several frames takes a bucket of one frame only if there are no others: those are for images.

    Args:
        frames: the clip's frames at the model's rate.
        height, width: of the clip, in pixels.
        buckets: at least one.
        can_lengthen: a clip that fills no bucket will be repeated up to the shortest, not dropped.
        max_upscale: enlargement of the sides beyond which there is a note.
        max_crop: share of the area cropped away beyond which there is a note.

    Raises:
        ValueError: no buckets, or a clip without frames or pixels.
    """
    if not buckets or min(frames, height, width) < 1:
        raise ValueError(f"cannot place a clip of {frames} frames of {height}x{width} in one of {len(buckets)} buckets")
    usable = [b for b in buckets if b.num_frames > 1 or frames == 1] or list(buckets)
    notes = []
    length = max((b.num_frames for b in usable if b.num_frames <= frames), default=None)
    if length is None:
        length = min(b.num_frames for b in usable)
        have = f"{frames} frames at the model's rate" if frames > 1 else "an image, one frame"
        if not can_lengthen:
            why = f"{have}; the shortest bucket has {length}"
            return Placement(None, (Note("too short" if frames > 1 else "image without a bucket of one frame", why),))
        notes.append(Note("lengthened", f"{have}; repeated to {length}"))
    elif length < frames:
        notes.append(Note("shortened", f"{length} of {frames} frames at the model's rate are used"))
    off = {b: abs(math.log(width / height * b.height / b.width)) for b in usable if b.num_frames == length}
    near = [b for b in off if off[b] <= min(off.values()) + _SAME_ASPECT]
    near = [b for b in near if not any(off[c] < off[b] and _same_area(b, c) for c in near)]
    near.sort(key=lambda b: -b.height * b.width)
    bucket = next((b for b in near if _upscale(height, width, b) <= max_upscale), near[-1])
    upscale, cropped = _upscale(height, width, bucket), 1 - math.exp(-off[bucket])
    size, target = f"{height}x{width}", f"{bucket.height}x{bucket.width}"
    if upscale > max_upscale:
        notes.append(Note("upscaled", f"{size} enlarged {upscale:.2f} times to {target}"))
    if cropped > max_crop:
        notes.append(Note("cropped", f"{cropped:.0%} of {size} cut off to fit {target}"))
    return Placement(bucket, tuple(notes), upscale, cropped)


def _same_area(one: Bucket, other: Bucket) -> bool:
    """Whether two buckets are of one resolution: areas less than a quarter apart."""
    return 0.8 < one.height * one.width / (other.height * other.width) < 1.25


def _upscale(height: int, width: int, bucket: Bucket) -> float:
    """The factor that makes the picture cover the bucket."""
    return max(bucket.height / height, bucket.width / width)


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
