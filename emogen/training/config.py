"""What a training run can be told: every setting, its type, its default and its limits, and how it is read.

The YAML files under `configs/` hold these sections; on the command line a key stands alone (`--max_train_steps 8`),
because no name occurs in two sections. `configs/wan2.1_t2v_1.3b.yaml` explains every key in place. A configuration is
checked once, at the door (`load_config`); nothing after it reads raw dictionaries.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from emogen.emotion import parse_emotion_or_arc
from emogen.media.limits import DEFAULT_LIMITS
from emogen.settings import ConfigError, Document, apply_flags, build, read_yaml, refuser
from emogen.settings.types import (
    Count,
    Flag,
    FlagOrWhole,
    Free,
    Listed,
    Name,
    Number,
    Sentences,
    Text,
    Whole,
    as_choice,
)

__all__ = ["ConfigError", "TrainingConfig", "config_from_dict", "load_config"]

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
QUANTILES = [0.1, 0.3, 0.5, 0.7, 0.9]


@dataclass(kw_only=True, config={"extra": "forbid"})
class ModelConfig:
    pretrained_model_name_or_path: Name  # a diffusers Wan folder, a hub id, or "embedded"
    revision: Name | None = None
    base_dtype: Literal["bf16", "fp16", "fp32"] = "bf16"  # of the frozen base
    base_storage: Literal["same", "fp8", "int8", "nf4"] = "same"
    attention_backend: Name | None = None  # a name of diffusers' attention dispatcher
    gradient_checkpointing: FlagOrWhole = Field(False, ge=0)  # N: every Nth block
    offload: Literal["none", "group", "group_disk"] = "none"  # where the frozen blocks are while not in use
    offload_folder: Name | None = None  # of group_disk; null: the system's temporary one
    compile: Flag = False
    fold_padding: Flag = False
    experts: Literal["both", "high", "low"] = "both"  # of a model of two transformers (Wan2.2 A14B)


@dataclass(kw_only=True, config={"extra": "forbid"})
class DataConfig:
    dataset_name: Name  # a folder, a metadata file, a hub data set, or "stickers"
    num_stickers: Whole = Field(540, ge=18)  # how many clips "stickers" draws
    cache_dir: Name | None = None  # default: <output_dir>/cache
    height: Whole | None = Field(None, ge=8)  # null: what the model was made for
    width: Whole | None = Field(None, ge=8)
    num_frames: Count | None = None
    fps: Number | None = Field(None, gt=0)
    max_sequence_length: Count | None = None
    buckets: Listed[Name] | None = None  # FRAMESxHEIGHTxWIDTH; null: the one size above
    scrub_captions: Flag = True
    emotion_in_caption: Flag = False
    soft_labels: Flag = True
    shuffle_labels: Flag = False  # of the training clips: a placebo
    short_clips: Literal["skip", "loop", "hold"] = "skip"
    max_bad_fraction: Number = Field(0.05, ge=0, le=1)
    balance: Number = Field(0.0, ge=0, le=1)
    preload: Flag = True
    max_pixels: Count = DEFAULT_LIMITS.max_pixels  # of a frame, as displayed
    max_frames: Count = DEFAULT_LIMITS.max_frames  # that a clip's file may hold
    max_seconds: Number = Field(DEFAULT_LIMITS.max_seconds, gt=0)  # that a clip's file may last
    encode_clips: Count = 8
    encode_captions: Count = 32


@dataclass(kw_only=True, config={"extra": "forbid"})
class LoraSettings:
    rank: Whole = Field(32, ge=0)  # 0: no LoRA
    lora_alpha: Number | None = Field(None, gt=0)  # null: equal to the rank
    target_modules: Listed[Name] = Field(default_factory=lambda: list(ATTENTION))
    use_dora: Flag = False
    use_rslora: Flag = False
    lora_weights: Name | None = None  # go on from this LoRA


@dataclass(kw_only=True, config={"extra": "forbid"})
class AdapterSettings:
    train_adapter: Flag = True
    num_tokens: Count = 4
    hidden_dim: Count = 256
    adapter_rank: Count = 256
    adapter_head_dim: Count = 64
    adapter_weights: Name | None = None  # go on from this adapter


@dataclass(kw_only=True, config={"extra": "forbid"})
class ObjectiveConfig:
    timesteps: Literal["wan", "diffsynth", "logit_normal", "uniform"] = "wan"
    shift: Number | None = Field(None, gt=0)  # null: the preset's own
    logit_mean: Number = 0.0
    logit_std: Number = Field(1.0, gt=0)
    text_dropout: Number = Field(0.0, ge=0, le=1)
    emotion_dropout: Number = Field(0.1, ge=0, le=1)
    joint_dropout: Number = Field(0.1, ge=0, le=1)
    first_frame: Number = Field(0.5, ge=0, le=1)  # share of clips whose first frame is given (Wan2.2 TI2V)
    probe_weight: Number = Field(0.0, ge=0)


@dataclass(kw_only=True, config={"extra": "forbid"})
class OptimizerConfig:
    optimizer: Name = "torch.optim.AdamW"  # a dotted path
    optimizer_args: Free = Field(default_factory=dict)
    learning_rate: Number = Field(1e-4, gt=0)  # of the LoRA
    adapter_learning_rate: Number = Field(1e-4, gt=0)
    adam_weight_decay: Number = Field(0.01, ge=0)
    adam_beta1: Number = Field(0.9, ge=0, lt=1)
    adam_beta2: Number = Field(0.99, ge=0, lt=1)
    adam_epsilon: Number = Field(1e-8, gt=0)
    max_grad_norm: Number = Field(1.0, gt=0)
    lr_scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    lr_warmup_steps: Whole = Field(100, ge=0)
    final_lr: Number = Field(0.0, ge=0, le=1)  # part of the peak that is left at the end


@dataclass(kw_only=True, config={"extra": "forbid"})
class RunConfig:
    output_dir: Name
    max_train_steps: Count
    train_batch_size: Count = 1  # clips a process (or group of `ulysses`) and micro-step
    gradient_accumulation_steps: Count = 1
    ulysses: Count = 1  # processes that share a clip's tokens
    seed: Whole = Field(0, ge=0, le=2**32 - 1)  # NumPy's global generator takes no larger one
    mixed_precision: Annotated[Literal["bf16", "fp16", "no"], BeforeValidator(as_choice)] = "bf16"
    ema_decay: Number = Field(0.0, ge=0, lt=1)  # 0: off
    cpu: Flag = False
    logging_steps: Count = 10
    report_to: Literal["tensorboard", "wandb", "trackio"] | None = None
    push_to_hub: Flag = False
    hub_model_id: Name | None = None


@dataclass(kw_only=True, config={"extra": "forbid"})
class CheckpointConfig:
    checkpointing_steps: Count = 500
    checkpoints_total_limit: Count = 3
    resume_from_checkpoint: Name | None = None  # "latest" or the folder of one checkpoint
    export_dtype: Literal["fp32", "bf16"] = "fp32"
    export_formats: Listed[Literal["comfyui", "diffsynth"]] | None = None  # beside diffusers' own


@dataclass(kw_only=True, config={"extra": "forbid"})
class ValidationConfig:
    validation_steps: Whole = Field(500, ge=0)  # 0: never
    validation_clips: Count = 64
    validation_quantiles: Listed[Number] = Field(default_factory=lambda: list(QUANTILES))
    preview_steps: Whole = Field(0, ge=0)  # 0: never
    validation_prompts: Sentences | None = None
    validation_images: Listed[Name] | None = None  # image-to-video: one for each prompt
    validation_emotions: Listed[Text] | None = None  # null: the eight
    validation_seeds: Count = 1
    num_inference_steps: Count | None = None
    guidance_scale: Number | None = Field(None, ge=0)
    judge: Name | None = None  # "embedded" or a judge's folder
    look_prior: Name | None = None  # emogen_priors.json of `emogen analyze`, which previews' looks are held against


@dataclass(kw_only=True, config={"extra": "forbid"})
class TrainingConfig:
    """Every setting of a training run."""

    model: ModelConfig
    data: DataConfig
    run: RunConfig
    lora: LoraSettings = Field(default_factory=LoraSettings)
    adapter: AdapterSettings = Field(default_factory=AdapterSettings)
    objective: ObjectiveConfig = Field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    checkpoint: CheckpointConfig = Field(default_factory=CheckpointConfig)
    validation: ValidationConfig = Field(default_factory=ValidationConfig)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a YAML file and apply the command line's words.

    Args:
        path: the YAML file.
        overrides: `--max_train_steps 8`, `--max_train_steps=8` or `--run.max_train_steps 8`; lists and mappings are
            written in YAML; a flag without a value says true.

    Raises:
        ConfigError: naming the file, line and key (or the flag) and, where there is one, the nearest key.
    """
    document = read_yaml(path)
    apply_flags(document, TrainingConfig, overrides)
    return _checked(document, " (in the file or as --{} ...)")


def config_from_dict(raw: Mapping[str, Mapping[str, Any]], source: str = "configuration") -> TrainingConfig:
    """The same checks for a nested mapping, for example one written in a notebook."""
    return _checked(Document.of(raw, source))


def _checked(document: Document, missing: str = "") -> TrainingConfig:
    if isinstance(document.values, dict):
        for section in ("model", "data", "run"):  # so that the missing key in it is named, not the section
            document.values.setdefault(section, {})
            document.values[section] = {} if document.values[section] is None else document.values[section]
    config = build(TrainingConfig, document, missing)
    _check_training(config, document)
    _check_precision(config, document)
    _check_offload(config, document)
    _check_previews(config, document)
    return config


def _check_training(config: TrainingConfig, document: Document) -> None:
    """What is trained, on what."""
    refuse = refuser(document)
    data, run, lora, adapter = config.data, config.run, config.lora, config.adapter
    refuse(
        lora.rank == 0 and not adapter.train_adapter,
        "lora.rank",
        "lora.rank is 0 and adapter.train_adapter is false: nothing would be trained",
    )
    refuse(
        lora.rank == 0 and lora.lora_weights is not None,
        "lora.lora_weights",
        "lora.lora_weights needs a lora.rank above 0",
    )
    refuse(
        not adapter.train_adapter and adapter.adapter_weights is not None,
        "adapter.adapter_weights",
        "adapter.adapter_weights needs adapter.train_adapter: true",
    )
    formats = config.checkpoint.export_formats
    refuse(
        lora.use_dora and bool(formats),
        "lora.use_dora",
        f"lora.use_dora: {' and '.join(formats or [])} cannot hold a DoRA; leave checkpoint.export_formats out",
    )
    dropout = config.objective
    total = dropout.text_dropout + dropout.emotion_dropout + dropout.joint_dropout
    refuse(
        total > 1,
        "objective",
        f"objective.text_dropout, emotion_dropout and joint_dropout add up to {total:g}; at most 1",
    )
    width, head = adapter.adapter_rank, adapter.adapter_head_dim
    refuse(
        width % head != 0,
        "adapter.adapter_rank",
        f"adapter.adapter_rank ({width}) must be a multiple of adapter.adapter_head_dim ({head})",
    )
    refuse(
        run.push_to_hub and run.hub_model_id is None,
        "run.push_to_hub",
        "run.push_to_hub needs run.hub_model_id (owner/name)",
    )
    refuse(
        data.buckets is not None and any((data.height, data.width, data.num_frames)),
        "data.buckets",
        "data.buckets says the sizes; leave data.height, data.width and data.num_frames out",
    )
    frames = data.num_frames or 1
    lower = 4 * ((frames - 1) // 4) + 1
    refuse(
        (frames - 1) % 4 != 0,
        "data.num_frames",
        f"data.num_frames must be 4k+1: {lower} or {lower + 4}, not {frames}",
    )


def _check_precision(config: TrainingConfig, document: Document) -> None:
    """Number formats, and what a device can do with them."""
    refuse = refuser(document)
    model, run = config.model, config.run
    refuse(
        run.mixed_precision == "no" and model.base_dtype != "fp32",
        "run.mixed_precision",
        f"run.mixed_precision: no needs model.base_dtype: fp32, not {model.base_dtype}",
    )
    refuse(
        run.mixed_precision == "fp16" and model.base_dtype == "bf16",
        "run.mixed_precision",
        "run.mixed_precision: fp16 needs model.base_dtype: fp16 or fp32, not bf16",
    )
    refuse(
        run.cpu and run.mixed_precision == "fp16",
        "run.mixed_precision",
        "run.mixed_precision: fp16 needs a GPU; use bf16 or no",
    )
    refuse(
        run.cpu and model.base_storage in ("int8", "nf4"),
        "model.base_storage",
        f"model.base_storage: {model.base_storage} needs a GPU (bitsandbytes); use same or fp8",
    )
    refuse(
        model.compile and model.base_storage == "fp8",
        "model.compile",
        "model.compile does not go with model.base_storage: fp8 (every layer is cast by a hook)",
    )
    refuse(
        (model.attention_backend or "").lower().startswith("sage"),
        "model.attention_backend",
        f"model.attention_backend: {model.attention_backend} has no backward pass; use native, flash or xformers",
    )


def _check_offload(config: TrainingConfig, document: Document) -> None:
    """Block streaming (`emogen.training.streaming`), and what cannot go with it."""
    refuse = refuser(document)
    model, run = config.model, config.run
    how, folder = model.offload, model.offload_folder
    refuse(
        folder is not None and how != "group_disk",
        "model.offload_folder",
        f"model.offload_folder is for model.offload: group_disk, not {how}",
    )
    if how == "none":
        return
    refuse(
        folder is not None and not Path(folder).is_dir(),
        "model.offload_folder",
        f"model.offload_folder: {folder}: no such folder",
    )
    refuse(
        int(model.gradient_checkpointing) != 1,
        "model.offload",
        f"model.offload: {how} needs model.gradient_checkpointing: true, for every block: one that is not recomputed "
        "keeps its weights until the backward pass is over",
    )
    refuse(
        model.compile,
        "model.offload",
        f"model.offload: {how} does not go with model.compile, which has not been shown to leave moving weights alone",
    )
    refuse(
        model.base_storage in ("int8", "nf4"),
        "model.offload",
        f"model.offload: {how} does not go with model.base_storage: {model.base_storage}, whose scales are not moved "
        "with the weights; use same or fp8",
    )
    refuse(
        run.ulysses > 1,
        "model.offload",
        f"model.offload: {how} is for one process, and run.ulysses: {run.ulysses} shares a clip among several",
    )
    refuse(
        how == "group" and run.cpu,
        "model.offload",
        "model.offload: group moves weights between memory and a GPU, and run.cpu trains without one; group_disk saves "
        "memory there",
    )


def _check_previews(config: TrainingConfig, document: Document) -> None:
    """What is measured and sampled along the way."""
    refuse = refuser(document)
    checks = config.validation
    for quantile in checks.validation_quantiles:
        refuse(
            not 0 < quantile < 1,
            "validation.validation_quantiles",
            f"validation.validation_quantiles must be above 0 and below 1, not {quantile:g}",
        )
    refuse(
        checks.preview_steps > 0 and not checks.validation_prompts,
        "validation.preview_steps",
        "validation.preview_steps needs validation.validation_prompts",
    )
    pictures, prompts = checks.validation_images or [], checks.validation_prompts or []
    refuse(
        bool(pictures) and len(pictures) != len(prompts),
        "validation.validation_images",
        f"validation.validation_images holds {len(pictures)} images for {len(prompts)} prompts; give one for each",
    )
    refuse(
        checks.look_prior is not None and not checks.preview_steps,
        "validation.look_prior",
        "validation.look_prior is held against previews; set validation.preview_steps too",
    )
    for emotion in checks.validation_emotions or []:
        try:
            parse_emotion_or_arc(emotion)
        except ValueError as error:
            hint = 'write an emotion that holds a comma in quotes: ["va:0.8,0.3"]' if "va:" in emotion else ""
            refuse(True, "validation.validation_emotions", f"validation.validation_emotions: {error} {hint}".strip())
