"""What becomes of each clip before anything is encoded: it is looked at, and dropped or given its size."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from emogen.data.buckets import Bucket, BucketReport, Note, Placement, place
from emogen.data.records import ClipRecord
from emogen.media.limits import Limits
from emogen.media.probe_cache import ProbeCache, cache_file
from emogen.media.reader import Probe
from emogen.training.config import TrainingConfig
from emogen.training.data.clips import PlannedClip
from emogen.training.families import Family

_LARGEST_UPSCALE = 16.0  # a picture enlarged more than this shows nothing
_LARGEST_CROP = 0.8
_SMALLEST_SIDE = 4
_THREADS = 4


def limits_of(config: TrainingConfig) -> Limits:
    """What a clip's file may hold, by the configuration."""
    data = config.data
    return Limits(max_pixels=data.max_pixels, max_frames=data.max_frames, max_seconds=data.max_seconds)


def place_clips(
    records: Sequence[ClipRecord],
    buckets: Sequence[Bucket],
    config: TrainingConfig,
    family: Family,
    fps: float,
) -> tuple[list[PlannedClip], BucketReport]:
    """The bucket of every clip that is trained on or held out; what is dropped, cut, repeated or enlarged is noted.

    Every clip is decoded once, for a damaged file does not say so; what was found is kept in the user's cache folder.

    Args:
        fps: the model's frames a second.
    """
    wanted = [record for record in records if record.split in ("train", "val")]
    probes = ProbeCache(cache_file(str(Path(config.data.dataset_name).resolve())), limits_of(config))
    can_lengthen = config.data.short_clips != "skip"

    def look(record: ClipRecord) -> tuple[Placement, Probe | None]:
        try:
            about = probes.probe(record.path)
        except (OSError, ValueError) as error:
            return _unusable("unreadable", str(error)), None
        return _placed(about, buckets, family, fps, can_lengthen), about

    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(tqdm(pool.map(look, wanted), desc="looking at clips", unit="clip", total=len(wanted),
                          mininterval=1, delay=2))  # fmt: skip
    probes.save()
    report, clips = BucketReport(), []
    for record, (placement, about) in zip(wanted, found, strict=True):
        report.add(record.file_name, placement)
        if placement.bucket is not None:
            last = about.last if about.kind == "video" else None
            clips.append(PlannedClip(record, placement.bucket, about.frames_at(fps), last))
    return clips, report


def _placed(about: Probe, buckets: Sequence[Bucket], family: Family, fps: float, can_lengthen: bool) -> Placement:
    still = about.kind == "image"
    if about.damaged:
        return _unusable("damaged", about.damaged)
    if about.hdr == "unnamed":
        return _unusable("HDR or SDR", "its colours are BT.2020 in ten bits without a named curve; convert it to SDR")
    if still and family.kind == "i2v":
        return _unusable("image", "an image-to-video model learns nothing from a still")
    # A still goes where stills go, a video where videos go, as far as there is such a place.
    fitting = [bucket for bucket in buckets if (bucket.num_frames == 1) == still] or buckets
    put = place(about.frames_at(fps), about.height, about.width, fitting, can_lengthen)
    size = f"{about.width}x{about.height} pixels"
    if put.bucket is not None and (put.upscale > _LARGEST_UPSCALE or min(about.height, about.width) < _SMALLEST_SIDE):
        return _unusable("too small", f"{size} would be enlarged {put.upscale:.0f} times")
    if put.bucket is not None and put.cropped > _LARGEST_CROP:
        return _unusable("too narrow", f"{put.cropped:.0%} of {size} would be cut off")
    return put


def _unusable(kind: str, why: str) -> Placement:
    return Placement(None, (Note(kind, why),))
