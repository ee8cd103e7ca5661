"""Everything that is settled before the first expensive step: model, data, sizes. All mistakes end here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from emogen.data.buckets import Bucket, BucketError, check_multiple, parse_bucket
from emogen.data.curated import curated_rows, is_curated
from emogen.data.records import ClipRecord, describe, find_leaks, missing_clips, read_records
from emogen.stickers.dataset import write_sticker_dataset
from emogen.training.config import ConfigError, TrainingConfig
from emogen.training.data.captions import fit_captions, say_scrubbed, scrub_records
from emogen.training.data.clips import ClipGeometry, PlannedClip, resolve_geometry
from emogen.training.data.placebo import check_same_labels, shuffle_labels
from emogen.training.data.placement import place_clips
from emogen.training.families import Family, family_of, resolve_model

STICKERS = "stickers"
_SHOWN = 10


class DataError(ValueError):
    """The data set as a whole cannot be trained on."""


@dataclass
class Plan:
    """A run that can begin.

    Attributes:
        clips: usable ones of splits "train" and "val", with their sizes.
        total: how many records there were.
        dropped: file name -> why it is not used.
    """

    config: TrainingConfig
    family: Family
    geometry: ClipGeometry
    clips: list[PlannedClip]
    total: int
    dropped: dict[str, str]

    def split(self, name: str) -> list[PlannedClip]:
        return [clip for clip in self.clips if clip.record.split == name]


def make_plan(config: TrainingConfig, say: Callable[[str], None] = print, listed: int | None = _SHOWN) -> Plan:
    """Read and check the records, scrub the captions, settle the sizes; say what was found.

    Args:
        listed: how many clips are named of each kind of thing that happens to them; None names all.

    Raises:
        RecordError, DataError, ConfigError, ModelFolderError, CheckpointError, FileNotFoundError: with what is wrong
            and where.
    """
    model = config.model
    check_same_labels(config)
    drawn = config.data.dataset_name == STICKERS and not Path(STICKERS).is_dir()
    if not drawn:  # what is wrong in the metadata is said before a model of many gigabytes is fetched
        dataset = config.data.dataset_name
        records = read_records(dataset)
    family = family_of(resolve_model(model.pretrained_model_name_or_path, model.revision)).choosing(model.experts)
    geometry = resolve_geometry(family.clip_defaults, config.data)
    family.check_text_length(geometry.max_sequence_length)
    buckets = _buckets(config, family, geometry)
    if drawn:
        dataset = _stickers(config, family, geometry, say)
        records = read_records(dataset)
    if is_curated(dataset):
        for why, count in curated_rows(dataset)[1].most_common():
            say(f"left out: {count} ({why})")
    if config.data.scrub_captions:
        total = len(records)
        records, changed = scrub_records(records)
        say_scrubbed(changed, total, say)
    if config.data.shuffle_labels:  # before the emotion is written into captions, which then say the shuffled one
        records = _placebo(records, config.run.seed, say)
    limit = family.text_limit(geometry.max_sequence_length)
    try:
        records = fit_captions(records, limit, config.data.emotion_in_caption, say)
    except ValueError as error:
        raise DataError(f"data.emotion_in_caption: {error}") from error
    say(describe(records))
    dropped = {record.file_name: "no such file" for record in missing_clips(records)}
    total = len(records)
    records = [record for record in records if record.file_name not in dropped]
    for leak in find_leaks(records)[:_SHOWN]:
        say(f"warning: {leak}")
    clips, report = place_clips(records, buckets, config, family, geometry.fps)
    dropped |= report.dropped
    say(report.text(listed))
    say(f"clips at {geometry.fps:g} fps, {geometry.max_sequence_length} text tokens")
    plan = Plan(config, family, geometry, clips, total, dropped)
    check_dropped(plan, say)
    return plan


def check_dropped(plan: Plan, say: Callable[[str], None]) -> None:
    """Say which clips are not used.

    Raises:
        DataError: too many, or nothing is left to train on.
    """
    if plan.dropped:
        say(f"{len(plan.dropped)} of {plan.total} clips cannot be used:")
        for name, reason in list(plan.dropped.items())[:_SHOWN]:
            say(f"  {name}: {reason}")
        if len(plan.dropped) > _SHOWN:
            say(f"  ... and {len(plan.dropped) - _SHOWN} more")
    limit = plan.config.data.max_bad_fraction
    if len(plan.dropped) > limit * plan.total:
        raise DataError(
            f"{len(plan.dropped)} of {plan.total} clips cannot be used, more than data.max_bad_fraction ({limit:g}) "
            "allows; repair them or raise the limit"
        )
    if not plan.split("train"):
        raise DataError(f'{plan.config.data.dataset_name}: no clip of split "train" is left')


def _placebo(records: list[ClipRecord], seed: int, say: Callable[[str], None]) -> list[ClipRecord]:
    try:
        records, kept = shuffle_labels(records, seed)
    except ValueError as error:
        raise DataError(f"data.shuffle_labels: {error}") from error
    count = sum(record.split == "train" for record in records)
    say(
        f"labels shuffled: a placebo. {kept} of {count} training clips kept theirs by chance; captions and the other "
        "splits stay as they are"
    )
    return records


def _stickers(config: TrainingConfig, family: Family, geometry: ClipGeometry, say: Callable[[str], None]) -> str:
    """Draw stickers, for image-to-video such that change. Returns their folder."""
    data = config.data
    size, frames, fps = geometry.height, geometry.num_frames, round(geometry.fps)
    if geometry.width != size:
        raise ConfigError(f"data.dataset_name: stickers are square, not {size}x{geometry.width}")
    changing = family.kind == "i2v"
    kind = "changing-stickers" if changing else "stickers"
    folder = cache_folder(config) / f"{kind}-{data.num_stickers}-{frames}x{size}-{fps}fps"
    say(f"stickers are drawn into {folder}")
    drawn = {"size": size, "num_frames": frames, "fps": fps, "changing": changing}
    return str(write_sticker_dataset(folder, data.num_stickers, **drawn))


def cache_folder(config: TrainingConfig) -> Path:
    return Path(config.data.cache_dir) if config.data.cache_dir else Path(config.run.output_dir) / "cache"


def _buckets(config: TrainingConfig, family: Family, geometry: ClipGeometry) -> list[Bucket]:
    """The configured buckets, or the model's one size and the same for images."""
    given = config.data.buckets or [f"{geometry.num_frames}x{geometry.height}x{geometry.width}"]
    try:
        found = sorted({parse_bucket(text, family.temporal) for text in given})
        for bucket in found:
            check_multiple(bucket, family.size_multiple)
    except BucketError as error:
        raise ConfigError(f"{'data.buckets' if config.data.buckets else 'data'}: {error}") from error
    if config.data.buckets is None and geometry.num_frames > 1:
        found.append(Bucket(1, geometry.height, geometry.width))
    if family.kind == "i2v":
        found = [bucket for bucket in found if bucket.num_frames > 1]
        if not found:
            raise ConfigError("data.buckets: an image-to-video model cannot learn from buckets of one frame")
    return found


def without(plan: Plan, bad: dict[str, str]) -> Plan:
    """The plan without clips that turned out to be unusable."""
    clips = [clip for clip in plan.clips if clip.record.file_name not in bad]
    return replace(plan, clips=clips, dropped=plan.dropped | bad)
