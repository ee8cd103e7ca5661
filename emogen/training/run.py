"""A whole run: check, encode, train, export. What `train_lora.py` calls."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, init_empty_weights
from accelerate.utils import gather_object, set_seed
from diffusers import WanTransformer3DModel

from emogen.training.config import TrainingConfig
from emogen.training.data.cache import LatentCache
from emogen.training.data.clips import PlannedClip
from emogen.training.data.dataset import CachedClips
from emogen.training.data.encode import encode_captions, encode_clips
from emogen.training.data.order import BatchOrder
from emogen.training.data.placement import limits_of
from emogen.training.data.plan import Plan, cache_folder, check_dropped, make_plan, without
from emogen.training.families.fold import folded_length
from emogen.training.families.loading import load_transformer
from emogen.training.levels import NoiseLevels, histogram
from emogen.training.life.checkpoint import find_resume
from emogen.training.memory.footprint import available_memory, setup_of
from emogen.training.memory.forecast import Forecast, forecast
from emogen.training.model import WanEmotionModel, build_model
from emogen.training.outputs.export import export_weights, write_text
from emogen.training.outputs.finish import write_card, write_curves
from emogen.training.outputs.previewer import Previewer
from emogen.training.outputs.publish import check_hub, push_to_hub
from emogen.training.parallel.deepspeed import ZeroStepper, without_deepspeed, zero_settings
from emogen.training.parallel.sharing import Sharing, check_sharing, share_clips
from emogen.training.parallel.stepper import Stepper
from emogen.training.probe import LatentProbe, load_probe, probe_accuracy, save_probe, train_probe
from emogen.training.trainer import Trainer


def dry_run(config: TrainingConfig) -> None:
    """Check everything that can be checked without loading weights, and print the plan."""
    find_resume(Path(config.run.output_dir), config.checkpoint.resume_from_checkpoint)
    zero = zero_settings(config)
    plan = make_plan(config)
    check_sharing(plan)
    with init_empty_weights():
        folder = plan.specification.folder
        empty = WanTransformer3DModel.from_config(WanTransformer3DModel.load_config(folder, subfolder="transformer"))
        model = build_model(plan.specification, empty, config, plan.geometry.max_sequence_length)
    describe_run(plan, model, print)
    # A machine without a GPU is often where a run for one is prepared.
    device = torch.device("cpu" if config.run.cpu else "cuda")
    say_forecast(foresee(plan, device, zero=zero), print)
    clips, run = len(plan.split("train")), config.run
    batch = run.train_batch_size * run.gradient_accumulation_steps
    print(
        f"{run.max_train_steps:,} steps of {batch} clips a process: {run.max_train_steps * batch / clips:.1f} epochs "
        f"on one process; results in {run.output_dir}"
    )
    print("dry run: nothing was encoded or trained")


def run(config: TrainingConfig) -> Path:
    """Train as configured. Returns the output folder."""
    output = Path(config.run.output_dir)
    resume = find_resume(output, config.checkpoint.resume_from_checkpoint)
    if config.run.push_to_hub:
        check_hub(config.run.hub_model_id)
    zero = zero_settings(config)
    with without_deepspeed():
        accelerator = Accelerator(
            mixed_precision=config.run.mixed_precision,
            log_with=config.run.report_to,
            project_dir=config.run.output_dir if config.run.report_to else None,
            cpu=config.run.cpu,
        )
    main = accelerator.is_main_process
    say: Callable[[str], None] = accelerator.print
    with accelerator.main_process_first():  # the others find the stickers drawn and the model downloaded
        plan = make_plan(config, say)
        if main:
            output.mkdir(parents=True, exist_ok=True)
            write_text(output / "training_config.yaml", config.to_yaml())
    sharing = Sharing.of(accelerator, config.run.ulysses)
    check_sharing(plan, sharing.processes)
    plan, train, held_out = prepare_data(plan, accelerator)
    set_seed(config.run.seed)
    transformer = load_transformer(plan.specification.folder, config.model)
    folded = _fold_text(config, [clips for clips in (train, held_out) if clips is not None])
    model = build_model(plan.specification, transformer, config, plan.geometry.max_sequence_length, folded)
    share_clips(transformer, sharing, accelerator.device)
    describe_run(plan, model, say)
    foreseen = foresee(plan, accelerator.device, accelerator.num_processes, folded, zero)
    say_forecast(foreseen, say)
    order = make_order(train, config, sharing.groups)
    say(order.describe())
    if config.run.report_to:
        accelerator.init_trackers("emogen", config=_flat(config))
    preview = make_preview(plan, model, accelerator, sharing) if config.validation.preview_steps else None

    def export(step: int, weights: Mapping[str, torch.Tensor]) -> None:
        export_weights(output, model, weights, config)
        write_card(plan, model, step, preview.agreement if preview is not None else None)

    trainer = Trainer(
        config,
        model,
        train,
        held_out,
        order,
        accelerator,
        preview=preview,
        export=export,
        resume=resume,
        identity=identity(plan, train.clips),
        pace=lambda seconds: foreseen.pace(seconds, config.run.max_train_steps, config.run.gradient_accumulation_steps),
        probe=make_probe(plan, train, held_out, accelerator) if config.objective.probe_weight else None,
        stepper=partial(ZeroStepper, settings=zero, run=config.run) if zero is not None else Stepper,
        sharing=sharing,
    )
    trainer.fit()
    accelerator.end_training()
    if main:
        say(write_curves(plan))
        write_card(plan, model, trainer.step, preview.agreement if preview is not None else None)
    say(f"exported to {output}")
    if config.run.push_to_hub and main:
        say(f"uploaded to {push_to_hub(output, config.run.hub_model_id)}")
    return output


def prepare_data(plan: Plan, accelerator: Accelerator) -> tuple[Plan, CachedClips, CachedClips | None]:
    """Fill the cache (each process a share of it) and read it back: training clips and held-out ones."""
    config, data = plan.config, plan.config.data
    rank, world = accelerator.process_index, accelerator.num_processes
    quiet = not accelerator.is_main_process
    cache = make_cache(plan)
    prompts = config.validation.validation_prompts or []
    captions = list(dict.fromkeys(["", *prompts, *(clip.record.caption for clip in plan.clips)]))
    encode_captions(cache, captions[rank::world], accelerator.device, data.encode_captions, quiet)
    bad = encode_clips(cache, plan.clips[rank::world], accelerator.device, data.encode_clips, quiet)
    reasons = dict(gather_object([(clip.record.file_name, clip.reason) for clip in bad]))
    if reasons:
        plan = without(plan, reasons)
        check_dropped(plan, accelerator.print)
    train, held_out = (plan.split(name) for name in ("train", "val"))
    read = {"cache": cache, "preload": data.preload, "soft_labels": data.soft_labels,
            "temporal_factor": plan.specification.temporal}  # fmt: skip
    return plan, CachedClips(train, **read), CachedClips(held_out, **read) if held_out else None


def make_probe(plan: Plan, train: CachedClips, held_out: CachedClips | None, accelerator: Accelerator) -> LatentProbe:
    """The frozen probe of the auxiliary loss: trained once, and read back when the run is resumed."""
    path = Path(plan.config.run.output_dir) / "probe.safetensors"
    if accelerator.is_main_process and not path.is_file():
        probe = train_probe(train, plan.config.run.seed, device=str(accelerator.device))
        save_probe(path, probe)
        if held_out is not None:
            right = probe_accuracy(probe, held_out, str(accelerator.device))
            accelerator.print(f"probe: {right:.0%} of {len(held_out)} held-out clips read as labelled")
    accelerator.wait_for_everyone()
    return load_probe(path, plan.specification.channels)


def make_preview(plan: Plan, model: WanEmotionModel, accelerator: Accelerator, sharing: Sharing) -> Previewer:
    return Previewer(plan, model, make_cache(plan), accelerator, sharing)


def make_cache(plan: Plan) -> LatentCache:
    config, geometry = plan.config, plan.geometry
    return LatentCache(
        cache_folder(config),
        plan.specification,
        geometry.fps,
        config.data.short_clips,
        geometry.max_sequence_length,
        limits_of(config),
    )


def make_order(train: CachedClips, config: TrainingConfig, groups: int) -> BatchOrder:
    run = config.run
    return BatchOrder(
        [record.label for record in train.records],
        [clip.bucket for clip in train.clips],
        size=run.train_batch_size * run.gradient_accumulation_steps * groups,
        seed=run.seed,
        balance=config.data.balance,
    )


def describe_run(plan: Plan, model: WanEmotionModel, say: Callable[[str], None]) -> None:
    """What will be trained, on how much, at which noise levels."""
    sizes = {name: sum(p.numel() for p in values) for name, values in model.parameter_groups().items()}
    total = sum(value.numel() for value in model.parameters())
    trained = ", ".join(f"{name} {size / 1e6:.2f} M" for name, size in sizes.items())
    say(f"parameters: {total / 1e6:.1f} M in all; trained: {trained}")
    for bucket in sorted({clip.bucket for clip in plan.clips}):
        levels = NoiseLevels.of(plan.config.objective, bucket.height, bucket.width)
        shares = " ".join(f"{share:.0%}" for share in histogram(levels, bins=5))
        tokens = plan.specification.tokens(bucket.num_frames, bucket.height, bucket.width)
        say(
            f"{bucket}: {tokens:,} tokens; {levels.preset} noise levels with shift {levels.shift:.2f}: {shares} in "
            "fifths from low to high"
        )


def foresee(
    plan: Plan,
    device: torch.device,
    processes: int = 1,
    folded: int | None = None,
    zero: Mapping[str, Any] | None = None,
) -> Forecast:
    """The memory of a step on the largest bucket; on a "cuda" device that is not here, without saying if it fits."""
    config, geometry, specification = plan.config, plan.geometry, plan.specification
    largest = max(
        {clip.bucket for clip in plan.clips}, key=lambda b: specification.tokens(b.num_frames, b.height, b.width)
    )
    size = (largest.num_frames, largest.height, largest.width)
    plugin = os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() == "true"
    kind = "cpu" if config.run.cpu else device.type
    stage = zero["zero_optimization"]["stage"] if zero is not None else 0
    setup = setup_of(config, specification, size, geometry.max_sequence_length, folded, kind, processes, plugin, stage)
    absent = kind == "cuda" and not torch.cuda.is_available()
    return forecast(setup, None if absent else available_memory(device))


def say_forecast(made: Forecast, say: Callable[[str], None]) -> None:
    say(made.table())
    advice = made.advice() if made.fits is False else []
    if advice:
        say("what would help, each on top of the ones before:")
    for line in advice:
        say(f"  {line}")


def identity(plan: Plan, clips: Sequence[PlannedClip]) -> dict[str, object]:
    """What a resumed run must share with the run it continues."""
    lines = "\n".join(
        f"{c.record.file_name}\t{c.record.caption}\t{c.record.arc or c.record.emotion}\t{c.bucket}" for c in clips
    )
    settings = plan.config.to_dict()
    return {
        "data": hashlib.sha256(lines.encode()).hexdigest(),
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
