"""A whole run: check, encode, train, export. What `train_lora.py` calls."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, init_empty_weights
from accelerate.utils import gather_object, set_seed

from emogen.files import fingerprint_bytes, only_writer, remove_leftovers, write_text
from emogen.training.config import ConfigError, TrainingConfig
from emogen.training.data.batches import CachedClips
from emogen.training.data.cache import LatentCache
from emogen.training.data.clips import PlannedClip
from emogen.training.data.encode import Encoding, cache_of, clip_key, encode_captions, encode_clips
from emogen.training.data.order import BatchOrder
from emogen.training.data.placement import limits_of
from emogen.training.data.plan import Plan, cache_folder, check_dropped, make_plan, without
from emogen.training.families import EmotionModel
from emogen.training.life.checkpoint import find_resume
from emogen.training.life.resume import check_optimizer
from emogen.training.memory.footprint import available_memory, setup_of
from emogen.training.memory.forecast import Forecast, forecast
from emogen.training.model import build_model, folded_length, load_transformers
from emogen.training.objective import NoiseLevels, histogram
from emogen.training.optim import Stepper, try_optimizer
from emogen.training.outputs.card import write_card
from emogen.training.outputs.curves import write_curves
from emogen.training.outputs.export import export_weights
from emogen.training.outputs.preview_report import PreviewJudge
from emogen.training.outputs.previews import Previewer, check_previews
from emogen.training.outputs.publish import check_hub, push_to_hub
from emogen.training.parallel.deepspeed import ZeroStepper, check_experts, zero_settings
from emogen.training.parallel.launch import describe_world, main_first, open_accelerator
from emogen.training.parallel.sharing import Sharing, check_sharing, share_clips
from emogen.training.probe import LatentProbe, load_probe, made_probe
from emogen.training.remarks import remarks
from emogen.training.streaming import HELD, check_streaming, stream_blocks
from emogen.training.trainer import Task, Trainer

Say = Callable[[str], None]


@dataclass(frozen=True)
class Door:
    """What is known to be right before data and model are looked at.

    Attributes:
        resume: the checkpoint to continue from.
        zero: DeepSpeed's settings, if it is asked for.
    """

    resume: Path | None
    zero: dict[str, Any] | None


def check_door(config: TrainingConfig, say: Say) -> Door:
    """Refuse what can be refused from the configuration, this machine and the output folder alone.

    Raises:
        ConfigError, CheckpointError: with the way out.
    """
    resume = find_resume(Path(config.run.output_dir), config.checkpoint.resume_from_checkpoint, say)
    if resume is not None:
        check_optimizer(resume, config.optimizer.optimizer)
    try_optimizer(config.optimizer)
    tracker = config.run.report_to
    if tracker is not None and importlib.util.find_spec(tracker) is None:
        raise ConfigError(
            f"run.report_to: {tracker} is not installed; pip install {tracker}, or leave run.report_to out"
        )
    return Door(resume, zero_settings(config))


def dry_run(config: TrainingConfig, judge: PreviewJudge | None = None) -> None:
    """Check everything that can be checked without loading weights, and print the plan."""
    door = check_door(config, print)
    check_streaming(config, deepspeed=door.zero is not None)
    plan = make_plan(config, listed=None)
    check_previews(config.validation, plan.family, judge)
    check_sharing(plan)
    with init_empty_weights():
        empty = [plan.family.empty_transformer() for _ in plan.family.experts]
        model = build_model(plan.family, empty, config, plan.geometry.max_sequence_length)
    describe_run(plan, model, print)
    # A machine without a GPU is often where a run for one is prepared.
    device = torch.device("cpu" if config.run.cpu else "cuda")
    say_forecast(forecast_run(plan, device, zero=door.zero), print)
    print(reading_memory(plan))
    train, run = plan.split("train"), config.run
    order = make_order(train, config, groups=1)
    batch = run.train_batch_size * run.gradient_accumulation_steps
    print(
        f"{run.max_train_steps:,} steps of {batch} clips a process: {run.max_train_steps * batch / len(train):.1f} "
        f"epochs on one process; results in {run.output_dir}"
    )
    for line in remarks(config, order, len(plan.split("val"))):
        print(line)
    print("dry run: nothing was encoded or trained")


def run(config: TrainingConfig, judge: PreviewJudge | None = None) -> Path:
    """Train as configured. Returns the output folder.

    Args:
        judge: reads the previews, where `validation.judge` asks for one; training knows none itself.

    Raises:
        FolderInUse: another process writes into the output folder.
    """
    accelerator = open_accelerator(config.run)
    output = Path(config.run.output_dir)
    new = not output.exists()
    try:
        with contextlib.ExitStack() as held:
            return _run(config, judge, accelerator, held)
    except Exception:
        if new and accelerator.is_main_process:  # what is refused leaves no empty folder
            with contextlib.suppress(OSError):
                output.rmdir()
        raise


def _run(
    config: TrainingConfig, judge: PreviewJudge | None, accelerator: Accelerator, held: contextlib.ExitStack
) -> Path:
    output, main = Path(config.run.output_dir), accelerator.is_main_process
    say: Say = accelerator.print
    say(describe_world(accelerator))
    with main_first(accelerator):
        if main:
            held.enter_context(only_writer(output))
            for name in remove_leftovers(output):
                say(f"removed {output / name}, which a run that died had begun to write")
        door = check_door(config, say)
        zero, count = door.zero is not None, accelerator.num_processes
        check_streaming(config, deepspeed=zero, processes=count, device=accelerator.device)
        if config.run.push_to_hub:
            check_hub(config.run.hub_model_id)
        plan = make_plan(config, say)
        check_sharing(plan, accelerator.num_processes)
        if door.zero is not None:
            check_experts(plan.family)
        images = check_previews(config.validation, plan.family, judge)
        if main:
            write_text(output / "training_config.yaml", config.to_yaml())
    sharing = Sharing.of(accelerator, config.run.ulysses)
    cache = make_cache(plan)
    plan, train, held_out = prepare_data(plan, cache, accelerator)
    set_seed(config.run.seed)
    transformers = load_transformers(plan.family, config.model)
    folded = _fold_text(config, [clips for clips in (train, held_out) if clips is not None])
    model = build_model(plan.family, transformers, config, plan.geometry.max_sequence_length, folded)
    for transformer in transformers:
        share_clips(transformer, sharing, accelerator.device)
    describe_run(plan, model, say)
    expected = forecast_run(plan, accelerator.device, accelerator.num_processes, folded, door.zero)
    say_forecast(expected, say)
    say(reading_memory(plan))
    order = make_order(train.clips, config, sharing.groups)
    say(order.describe())
    for line in remarks(config, order, len(held_out) if held_out is not None else 0):
        say(line)
    if config.run.report_to:
        accelerator.init_trackers("emogen", config=_flat(config))
    previewer = None
    if config.validation.preview_steps:
        previewer = Previewer(plan, model, cache, accelerator, sharing, judge, images)

    def export(step: int, weights: Mapping[str, torch.Tensor]) -> None:
        export_weights(output, model, weights, config)
        write_card(plan, model, step, previewer.agreement if previewer is not None else None)

    stepper: Callable[..., Stepper] = Stepper
    if door.zero is not None:
        stepper = partial(ZeroStepper, settings=door.zero, run=config.run)
    elif config.model.offload != "none":
        start_streaming(config, model, accelerator.device, held, say)
        stepper = partial(Stepper, placed=True)
    task = Task(
        train=train,
        order=order,
        held_out=held_out,
        sharing=sharing,
        probe=make_probe(plan, train, held_out, accelerator) if config.objective.probe_weight else None,
        stepper=stepper,
        resume=door.resume,
        identity=identity(plan, train.clips),
        export=export,
        preview=previewer,
        pace=lambda seconds: expected.pace(seconds, config.run.max_train_steps, config.run.gradient_accumulation_steps),
    )
    trainer = Trainer(config, model, accelerator, task)
    trainer.fit()
    accelerator.end_training()
    if main:
        say(write_curves(output))
        write_card(plan, model, trainer.step, previewer.agreement if previewer is not None else None)
    say(f"exported to {output}")
    if config.run.push_to_hub and main:
        say(f"uploaded to {push_to_hub(output, config.run.hub_model_id)}")
    return output


def start_streaming(
    config: TrainingConfig, model: EmotionModel, device: torch.device, held: contextlib.ExitStack, say: Say
) -> None:
    """Take the frozen blocks away until they are needed; their files, if they lie in such, go when `held` is closed."""
    files, where = None, "the computer's memory"
    if config.model.offload == "group_disk":
        folder = config.model.offload_folder
        files = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="emogen_offload_", dir=folder)))
        where = str(files.parent)
    count = stream_blocks(model, device, files)
    say(f"the {count} blocks of the frozen base are kept in {where}; {HELD} at a time are on the device")


def prepare_data(
    plan: Plan, cache: LatentCache, accelerator: Accelerator
) -> tuple[Plan, CachedClips, CachedClips | None]:
    """Fill the cache (each process a share of it) and read it back: training clips and held-out ones."""
    config, data = plan.config, plan.config.data
    rank, world = accelerator.process_index, accelerator.num_processes
    how = Encoding(
        accelerator.device,
        data.encode_captions,
        data.encode_clips,
        thorough=data.preload,  # else a checksum would read what training may never hold
        quiet=not accelerator.is_main_process,
    )
    prompts = config.validation.validation_prompts or []
    captions = list(dict.fromkeys(["", *prompts, *(clip.record.caption for clip in plan.clips)]))
    encode_captions(plan.family, cache, captions[rank::world], how)
    bad = encode_clips(plan.family, cache, plan.clips[rank::world], how)
    reasons = dict(gather_object([(clip.record.file_name, clip.reason) for clip in bad]))
    if reasons:
        plan = without(plan, reasons)
        check_dropped(plan, accelerator.print)
    train, held_out = (plan.split(name) for name in ("train", "val"))
    read = {"cache": cache, "preload": data.preload, "soft_labels": data.soft_labels,
            "temporal_factor": plan.family.temporal}  # fmt: skip
    return plan, CachedClips(train, **read), CachedClips(held_out, **read) if held_out else None


def make_probe(plan: Plan, train: CachedClips, held_out: CachedClips | None, accelerator: Accelerator) -> LatentProbe:
    """The frozen probe of the auxiliary loss: trained once, and read back when the run is resumed."""
    path = Path(plan.config.run.output_dir) / "probe.safetensors"
    if accelerator.is_main_process:
        recipe = {"seed": plan.config.run.seed, "encoders": clip_key(plan.family), "geometry": vars(plan.geometry)}
        made_probe(path, train, held_out, recipe, str(accelerator.device), accelerator.print)
    accelerator.wait_for_everyone()
    return load_probe(path, plan.family.channels)


def make_cache(plan: Plan) -> LatentCache:
    geometry, config = plan.geometry, plan.config
    how = (geometry.fps, config.data.short_clips, geometry.max_sequence_length, limits_of(config))
    return cache_of(plan.family, cache_folder(config), *how)


def make_order(clips: Sequence[PlannedClip], config: TrainingConfig, groups: int) -> BatchOrder:
    run = config.run
    return BatchOrder(
        [clip.record.label for clip in clips],
        [clip.bucket for clip in clips],
        size=run.train_batch_size * run.gradient_accumulation_steps * groups,
        seed=run.seed,
        balance=config.data.balance,
    )


def describe_run(plan: Plan, model: EmotionModel, say: Say) -> None:
    """What will be trained, on how much, at which noise levels."""
    sizes = {name: sum(p.numel() for p in values) for name, values in model.parameter_groups().items()}
    total = sum(value.numel() for value in model.parameters())
    trained = ", ".join(f"{name} {size / 1e6:.2f} M" for name, size in sizes.items())
    say(f"parameters: {total / 1e6:.1f} M in all; trained: {trained}")
    for bucket in sorted({clip.bucket for clip in plan.clips}):
        levels = NoiseLevels.of(plan.config.objective, bucket.height, bucket.width)
        shares = " ".join(f"{share:.0%}" for share in histogram(levels, bins=5))
        tokens = plan.family.tokens(bucket.num_frames, bucket.height, bucket.width)
        say(
            f"{bucket}: {tokens:,} tokens; {levels.preset} noise levels with shift {levels.shift:.2f}: {shares} in "
            "fifths from low to high"
        )
    if len(experts := plan.family.experts) > 1:
        sides = " and ".join(f"{one.label} ({one.lowest:g} to {one.highest:g})" for one in experts)
        say(f"two transformers take turns, a step each, at levels of their side: {sides}")
    elif experts[0].label:
        say(f"{experts[0].label} alone is trained, at levels from {experts[0].lowest:g} to {experts[0].highest:g}")


def forecast_run(
    plan: Plan,
    device: torch.device,
    processes: int = 1,
    folded: int | None = None,
    zero: Mapping[str, Any] | None = None,
) -> Forecast:
    """The memory of a step on the largest bucket; on a "cuda" device that is not here, without saying if it fits."""
    config, geometry, family = plan.config, plan.geometry, plan.family
    largest = max({clip.bucket for clip in plan.clips}, key=lambda b: family.tokens(b.num_frames, b.height, b.width))
    size = (largest.num_frames, largest.height, largest.width)
    plugin = os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() == "true"
    kind = "cpu" if config.run.cpu else device.type
    stage = zero["zero_optimization"]["stage"] if zero is not None else 0
    setup = setup_of(config, family, size, geometry.max_sequence_length, folded, kind, processes, plugin, stage)
    absent = kind == "cuda" and not torch.cuda.is_available()
    return forecast(setup, None if absent else available_memory(device))


def say_forecast(made: Forecast, say: Say) -> None:
    say(made.table())
    advice = made.advice() if made.fits is False else []
    if advice:
        say("what would help, each on top of the ones before:")
    for line in advice:
        say(f"  {line}")


def reading_memory(plan: Plan) -> str:
    """What encoding the clips takes of main memory: the clips of a batch as tensors, and a frame of the largest file on
    its way to them (decoded, turned, and in floating point), however long the files are."""
    largest = max(clip.bucket.num_frames * clip.bucket.height * clip.bucket.width for clip in plan.clips)
    batch = plan.config.data.encode_clips * largest * 3 * 4
    frame = plan.config.data.max_pixels * 3 * (1 + 1 + 4)
    return (
        f"reading clips takes up to {(batch + frame) / 2**20:,.0f} MiB of main memory a process: "
        f"{batch / 2**20:,.0f} for {plan.config.data.encode_clips} clips (data.encode_clips) and {frame / 2**20:,.0f} "
        "for a frame of the largest size allowed (data.max_pixels)"
    )


def identity(plan: Plan, clips: Sequence[PlannedClip]) -> dict[str, object]:
    """What a resumed run must share with the run it continues."""
    lines = "\n".join(
        f"{c.record.file_name}\t{c.record.caption}\t{c.record.arc or c.record.emotion}\t{c.bucket}" for c in clips
    )
    settings = plan.config.to_dict()
    for name in ("offload", "offload_folder"):  # where weights lie changes no number
        del settings["model"][name]
    if not any(expert.label for expert in plan.family.experts):  # what says nothing of this model
        del settings["model"]["experts"]
    if not plan.family.gives_first_frame:
        del settings["objective"]["first_frame"]
    return {
        "data": fingerprint_bytes(lines.encode()),
        "seed": plan.config.run.seed,
        "mixed_precision": plan.config.run.mixed_precision,
        **{name: settings[name] for name in ("model", "lora", "adapter", "objective", "optimizer")},
        "balance": plan.config.data.balance,
        "geometry": vars(plan.geometry),
    }


def _fold_text(config: TrainingConfig, sets: Sequence[CachedClips]) -> int | None:
    if not config.model.fold_padding:
        return None
    folded = folded_length(max(clips.longest_text() for clips in sets), sets[0].text_length)
    for clips in sets:
        clips.text_length = folded
    return folded


def _flat(config: TrainingConfig) -> dict[str, object]:
    return {
        f"{section}.{key}": value if isinstance(value, (int, float, str, bool)) else str(value)
        for section, values in config.to_dict().items()
        for key, value in values.items()
    }
