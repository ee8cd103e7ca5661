"""What a training run can be told: every setting, its type, its default and its limits.

The YAML files under `configs/` hold these sections; on the command line a key stands alone (`--max_train_steps 8`),
because no name occurs in two sections. `configs/wan2.1_t2v_1.3b.yaml` explains every key in place.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import yaml

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
QUANTILES = [0.1, 0.3, 0.5, 0.7, 0.9]


def _setting(default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """A field with limits: `low`/`high` (inclusive), `above`/`below` (exclusive), `choices`."""
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=limits)
    return field(default=default, metadata=limits)


@dataclass(kw_only=True)
class ModelConfig:
    pretrained_model_name_or_path: str = _setting()  # a diffusers Wan folder, a hub id, or "embedded"
    revision: str | None = _setting(None)
    base_dtype: str = _setting("bf16", choices=("bf16", "fp16", "fp32"))  # of the frozen base
    base_storage: str = _setting("same", choices=("same", "fp8", "int8", "nf4"))
    attention_backend: str | None = _setting(None)  # a name of diffusers' attention dispatcher
    gradient_checkpointing: bool | int = _setting(False, low=0)  # N: every Nth block
    compile: bool = _setting(False)
    fold_padding: bool = _setting(False)


@dataclass(kw_only=True)
class DataConfig:
    dataset_name: str = _setting()  # a folder, a metadata file, a hub data set, or "stickers"
    num_stickers: int = _setting(540, low=18)  # how many clips "stickers" draws
    cache_dir: str | None = _setting(None)  # default: <output_dir>/cache
    height: int | None = _setting(None, low=8)  # null: what the model was made for
    width: int | None = _setting(None, low=8)
    num_frames: int | None = _setting(None, low=1)
    fps: float | None = _setting(None, above=0)
    max_sequence_length: int | None = _setting(None, low=1)
    buckets: list[str] | None = _setting(None)  # noqa: RUF009  FRAMESxHEIGHTxWIDTH; null: the one size above
    scrub_captions: bool = _setting(True)
    emotion_in_caption: bool = _setting(False)
    soft_labels: bool = _setting(True)
    shuffle_labels: bool = _setting(False)  # of the training clips: a placebo
    short_clips: str = _setting("skip", choices=("skip", "loop", "hold"))
    max_bad_fraction: float = _setting(0.05, low=0, high=1)
    balance: float = _setting(0.0, low=0, high=1)
    preload: bool = _setting(True)
    encode_clips: int = _setting(8, low=1)
    encode_captions: int = _setting(32, low=1)


@dataclass(kw_only=True)
class LoraSettings:
    rank: int = _setting(32, low=0)  # 0: no LoRA
    lora_alpha: float | None = _setting(None, above=0)  # null: equal to the rank
    target_modules: list[str] = _setting(ATTENTION)  # noqa: RUF009 (a factory)
    use_dora: bool = _setting(False)
    use_rslora: bool = _setting(False)
    lora_weights: str | None = _setting(None)  # go on from this LoRA


@dataclass(kw_only=True)
class AdapterSettings:
    train_adapter: bool = _setting(True)
    num_tokens: int = _setting(4, low=1)
    hidden_dim: int = _setting(256, low=1)
    adapter_rank: int = _setting(256, low=1)
    adapter_head_dim: int = _setting(64, low=1)
    adapter_weights: str | None = _setting(None)  # go on from this adapter


@dataclass(kw_only=True)
class ObjectiveConfig:
    timesteps: str = _setting("wan", choices=("wan", "diffsynth", "logit_normal", "uniform"))
    shift: float | None = _setting(None, above=0)  # null: the preset's own
    logit_mean: float = _setting(0.0)
    logit_std: float = _setting(1.0, above=0)
    text_dropout: float = _setting(0.0, low=0, high=1)
    emotion_dropout: float = _setting(0.1, low=0, high=1)
    joint_dropout: float = _setting(0.1, low=0, high=1)
    probe_weight: float = _setting(0.0, low=0)


@dataclass(kw_only=True)
class OptimizerConfig:
    optimizer: str = _setting("torch.optim.AdamW")  # a dotted path
    optimizer_args: dict[str, Any] = _setting({})  # noqa: RUF009 (a factory)
    learning_rate: float = _setting(1e-4, above=0)  # of the LoRA
    adapter_learning_rate: float = _setting(1e-4, above=0)
    adam_weight_decay: float = _setting(0.01, low=0)
    adam_beta1: float = _setting(0.9, low=0, below=1)
    adam_beta2: float = _setting(0.99, low=0, below=1)
    adam_epsilon: float = _setting(1e-8, above=0)
    max_grad_norm: float = _setting(1.0, above=0)
    lr_scheduler: str = _setting("cosine", choices=("cosine", "linear", "constant"))
    lr_warmup_steps: int = _setting(100, low=0)
    final_lr: float = _setting(0.0, low=0, high=1)  # part of the peak that is left at the end


@dataclass(kw_only=True)
class RunConfig:
    output_dir: str = _setting()
    max_train_steps: int = _setting(low=1)
    train_batch_size: int = _setting(1, low=1)  # clips a process (or group of `ulysses`) and micro-step
    gradient_accumulation_steps: int = _setting(1, low=1)
    ulysses: int = _setting(1, low=1)  # processes that share a clip's tokens
    seed: int = _setting(0, low=0)
    mixed_precision: str = _setting("bf16", choices=("bf16", "fp16", "no"))
    ema_decay: float = _setting(0.0, low=0, below=1)  # 0: off
    cpu: bool = _setting(False)
    logging_steps: int = _setting(10, low=1)
    report_to: str | None = _setting(None, choices=("tensorboard", "wandb", "trackio"))
    push_to_hub: bool = _setting(False)
    hub_model_id: str | None = _setting(None)


@dataclass(kw_only=True)
class CheckpointConfig:
    checkpointing_steps: int = _setting(500, low=1)
    checkpoints_total_limit: int = _setting(3, low=1)
    resume_from_checkpoint: str | None = _setting(None)  # "latest" or the folder of one checkpoint
    export_dtype: str = _setting("fp32", choices=("fp32", "bf16"))
    export_formats: list[str] | None = _setting(None, choices=("comfyui", "diffsynth"))  # noqa: RUF009  beside diffusers'


@dataclass(kw_only=True)
class ValidationConfig:
    validation_steps: int = _setting(500, low=0)  # 0: never
    validation_clips: int = _setting(64, low=1)
    validation_quantiles: list[float] = _setting(QUANTILES, above=0, below=1)  # noqa: RUF009
    preview_steps: int = _setting(0, low=0)  # 0: never
    validation_prompts: list[str] | None = _setting(None)  # noqa: RUF009
    validation_images: list[str] | None = _setting(None)  # noqa: RUF009  image-to-video: one for each prompt
    validation_emotions: list[str] | None = _setting(None)  # noqa: RUF009  null: the eight
    validation_seeds: int = _setting(1, low=1)
    num_inference_steps: int | None = _setting(None, low=1)
    guidance_scale: float | None = _setting(None, low=0)
    judge: str | None = _setting(None)  # "embedded" or a judge's folder


@dataclass(kw_only=True)
class TrainingConfig:
    """Every setting of a training run."""

    model: ModelConfig
    data: DataConfig
    run: RunConfig
    lora: LoraSettings = field(default_factory=LoraSettings)
    adapter: AdapterSettings = field(default_factory=AdapterSettings)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False)
