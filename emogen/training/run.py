"""A whole run: check, encode, train, export. What `train_lora.py` calls."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator, init_empty_weights
from accelerate.utils import set_seed
from diffusers import WanTransformer3DModel

from emogen.data.records import ClipRecord, count_emotions, describe, missing_clips, read_records
from emogen.training.cache import LatentCache
from emogen.training.checkpoint import find_resume
from emogen.training.clips import ClipGeometry, resolve_geometry
from emogen.training.config import TrainingConfig
from emogen.training.dataset import CachedClips
from emogen.training.encode import encode_captions, encode_clips, scrub_records
from emogen.training.export import export_adapter
from emogen.training.fold import folded_length
from emogen.training.model import WanEmotionModel, build_model, load_transformer, resolve_model
from emogen.training.trainer import Trainer

_SHOWN = 10


class DataError(ValueError):
    """The data set as a whole cannot be trained on."""


@dataclass
class Plan:
    """Everything that is settled before the first expensive step."""

    config: TrainingConfig
    model: Path
    geometry: ClipGeometry
    records: list[ClipRecord]
    missing: list[ClipRecord]


def make_plan(config: TrainingConfig) -> Plan:
    """Read and check the records, scrub the captions, settle the geometry; print what was found.

    Raises:
        RecordError, DataError, FileNotFoundError: with what is wrong and where.
    """
    model = resolve_model(config.model.path)
    geometry = resolve_geometry(model, config.data)
    records = read_records(config.data.metadata)
    if config.data.scrub_captions:
        records, changed = scrub_records(records)
        print(f"captions: emotion words taken out of {len(changed)} of {len(records)}")
        words = Counter(word for caption in changed for word in caption.words)
        if words:
            print("  " + ", ".join(f"{word} {count}" for word, count in words.most_common(_SHOWN)))
        for caption in changed[:3]:
            print(f"  row {caption.row}: {caption.before!r} -> {caption.after!r}")
    print(describe(records))
    missing = missing_clips(records)
    _report_dropped([(record, "no such file") for record in missing], len(records), config)
    gone = {record.file_name for record in missing}
    records = [record for record in records if record.file_name not in gone]
    if not any(record.split == "train" for record in records):
        raise DataError(f'{config.data.metadata}: no clip of split "train" is left')
    print(
        f"clips as {geometry.num_frames} frames of {geometry.height}x{geometry.width} at {geometry.fps:g} fps, "
        f"{geometry.max_sequence_length} text tokens"
    )
    return Plan(config, model, geometry, records, missing)


def dry_run(config: TrainingConfig) -> None:
    """Check everything that can be checked without loading weights, and print the plan."""
    find_resume(Path(config.run.output_dir) / "checkpoints", config.checkpoint.resume)
    plan = make_plan(config)
    with init_empty_weights():
        empty = WanTransformer3DModel.from_config(
            WanTransformer3DModel.load_config(plan.model, subfolder="transformer")
        )
        model = build_model(empty, config, plan.geometry.max_sequence_length)
    _print_sizes(model)
    clips = sum(record.split == "train" for record in plan.records)
    batch = config.run.batch_size * config.run.accumulation
    print(
        f"{config.run.steps:,} steps of {batch} clips a process: "
        f"{config.run.steps * batch / clips:.1f} epochs on one process; results in {config.run.output_dir}"
    )
    print("dry run: nothing was encoded or trained")


def run(config: TrainingConfig) -> Path:
    """Train as configured. Returns the exported folder."""
    output = Path(config.run.output_dir)
    resume = find_resume(output / "checkpoints", config.checkpoint.resume)
    accelerator = Accelerator(
        mixed_precision=config.run.mixed_precision,
        log_with=config.run.log_with,
        project_dir=config.run.output_dir if config.run.log_with else None,
        cpu=config.run.cpu,
    )
    quiet = not accelerator.is_main_process
    if quiet:
        plan = _silently(config)
    else:
        plan = make_plan(config)
        output.mkdir(parents=True, exist_ok=True)
        (output / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    train, held_out = prepare_data(plan, accelerator)
    set_seed(config.run.seed)
    transformer = load_transformer(plan.model, config.model)
    folded = _fold_text(config, [clips for clips in (train, held_out) if clips is not None])
    model = build_model(transformer, config, plan.geometry.max_sequence_length, folded)
    if not quiet:
        _print_sizes(model)
    if config.run.log_with:
        accelerator.init_trackers("emogen", config=_flat(config))
    counts = count_emotions(train.records)
    exported = output / "adapter"
    trainer = Trainer(
        config,
        model,
        train,
        held_out,
        accelerator,
        export=lambda step: export_adapter(exported, model, config, step, counts),
        resume=resume,
        identity=_identity(config, plan, train.records),
    )
    trainer.fit()
    accelerator.end_training()
    if not quiet:
        print(f"exported to {exported}")
    return exported


def prepare_data(plan: Plan, accelerator: Accelerator) -> tuple[CachedClips, CachedClips | None]:
    """Fill the cache (each process a share of it) and read it back: training clips and held-out ones."""
    config, data = plan.config, plan.config.data
    rank, world = accelerator.process_index, accelerator.num_processes
    quiet = not accelerator.is_main_process
    folder = Path(data.cache_dir) if data.cache_dir else Path(config.run.output_dir) / "cache"
    cache = LatentCache(folder, plan.model, plan.geometry)
    captions = list(dict.fromkeys(["", *(record.caption for record in plan.records)]))
    encode_captions(cache, plan.model, captions[rank::world], accelerator.device, data.encode_captions, quiet)
    bad = encode_clips(cache, plan.model, plan.records[rank::world], accelerator.device, data.encode_clips, quiet)
    accelerator.wait_for_everyone()
    usable = [record for record in plan.records if cache.has_latents(record)]
    reasons = {clip.record.file_name: clip.reason for clip in bad}
    kept = {record.file_name for record in usable}
    dropped = [
        (record, reasons.get(record.file_name, "could not be encoded"))
        for record in plan.records
        if record.file_name not in kept
    ]
    if not quiet:
        _report_dropped(dropped, len(plan.records), config)
    train = CachedClips([r for r in usable if r.split == "train"], cache, data.preload)
    held_out = [record for record in usable if record.split == "val"]
    return train, CachedClips(held_out, cache, data.preload) if held_out else None


def _fold_text(config: TrainingConfig, sets: Sequence[CachedClips]) -> int | None:
    if not config.model.fold_padding:
        return None
    folded = folded_length(max(clips.longest_text() for clips in sets), sets[0].text_length)
    for clips in sets:
        clips.text_length = folded
    return folded


def _report_dropped(dropped: Sequence[tuple[ClipRecord, str]], total: int, config: TrainingConfig) -> None:
    if not dropped:
        return
    print(f"{len(dropped)} of {total} clips cannot be used:")
    for record, reason in dropped[:_SHOWN]:
        print(f"  row {record.row}, {record.file_name}: {reason}")
    if len(dropped) > _SHOWN:
        print(f"  ... and {len(dropped) - _SHOWN} more")
    limit = config.data.max_bad_fraction
    if len(dropped) > limit * total:
        raise DataError(
            f"{len(dropped)} of {total} clips cannot be used, more than data.max_bad_fraction ({limit:g}) "
            "allows; repair them or raise the limit"
        )


def _identity(config: TrainingConfig, plan: Plan, records: Sequence[ClipRecord]) -> dict[str, object]:
    lines = "\n".join(f"{r.file_name}\t{r.caption}\t{r.emotion}" for r in records)
    settings = config.to_dict()
    return {
        "data": hashlib.sha256(lines.encode()).hexdigest(),
        "seed": config.run.seed,
        "mixed_precision": config.run.mixed_precision,
        **{name: settings[name] for name in ("lora", "adapter", "objective", "optimizer")},
        "model": settings["model"],
        "balance": config.data.balance,
        "geometry": vars(plan.geometry),
    }


def _print_sizes(model: WanEmotionModel) -> None:
    sizes = {name: sum(p.numel() for p in values) for name, values in model.parameter_groups().items()}
    total = sum(value.numel() for value in model.parameters())
    trained = ", ".join(f"{name} {size / 1e6:.2f} M" for name, size in sizes.items())
    print(f"parameters: {total / 1e6:.1f} M in all; trained: {trained}")


def _flat(config: TrainingConfig) -> dict[str, object]:
    return {
        f"{section}.{key}": value if isinstance(value, (int, float, str, bool)) else str(value)
        for section, values in config.to_dict().items()
        for key, value in values.items()
    }


def _silently(config: TrainingConfig) -> Plan:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()):
        return make_plan(config)
