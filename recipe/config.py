"""The recipe's one configuration: what is drawn, how large the networks are, and how many steps each takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Phase(_Part):
    """A stretch of training.

    Attributes:
        frames: of a clip, in pixels for the autoencoder and in latents for the bases; 0 takes the whole clip.
        crop: pixels a side of the piece that the autoencoder sees of each picture; 0 takes it whole.
        images: share of the steps that see single frames, `image_batch` of them.
        lr: of AdamW. muon_lr: of Muon, where the schedule uses it.
        decay: share of the steps, at the end, in which the rates fall to `floor` times their value.
    """

    name: str
    steps: Annotated[int, Field(ge=0)]
    batch: Count
    frames: Annotated[int, Field(ge=0)] = 0
    crop: Annotated[int, Field(ge=0)] = 0
    images: Share = 0.0
    image_batch: Count = 32
    lr: Rate = 1e-3
    muon_lr: Rate = 0.03
    warmup: Count = 50
    decay: Share = 0.3
    floor: Share = 0.02


class Schedule(_Part):
    """How one network is trained.

    Attributes:
        optimizer: "muon" uses Muon for the matrices and convolutions of the blocks and AdamW for the rest.
        ema: decay of the moving average, which warms up; the average is what is validated and shipped.
        bf16: compute in bfloat16 under autocast. compile: compile the transformer's blocks.
        checkpoint_every, log_every, validate_every: in steps.
    """

    phases: tuple[Phase, ...]
    seed: int = 0
    optimizer: Literal["adamw", "muon"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Rate = 1.0
    ema: Share = 0.998
    bf16: bool = True
    compile: bool = False
    checkpoint_every: Count = 100
    log_every: Count = 20
    validate_every: Count = 200

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)


class Clips(_Part):
    """Sizes of every clip. Wan's autoencoder takes 4 k + 1 frames."""

    size: Count = 128
    frames: Annotated[int, Field(ge=5)] = 13
    fps: Count = 12


class Amounts(_Part):
    """How many clips each part is made from; drawn ones, and variants of each real emoji."""

    drawn: Count
    shades: Annotated[int, Field(ge=0)] = 0
    turns: Annotated[int, Field(ge=0)] = 0
    face_variants: Annotated[int, Field(ge=0)] = 0
    content_variants: Annotated[int, Field(ge=0)] = 0


class Data(_Part):
    """Amounts of the splits, whose characters are disjoint where the split is not the first.

    Attributes:
        pixels: clips that are kept as pixels for the autoencoder.
        art: whether real emoji are fetched and used. shard: clips a file. seed: of everything drawn.
    """

    train: Amounts
    pixels: Amounts
    judge: Amounts
    test: Amounts
    art: bool = True
    shard: Count = 128
    seed: int = 11


class Autoencoder(_Part):
    """`AutoencoderKLWan`, on `patch` pixels a side at a time.

    Each level after the first halves space, and time where told.
    """

    base_dim: Count = 32
    decoder_dim: Count = 32
    channels: Count = 32
    patch: Count = 2
    levels: tuple[int, ...] = (1, 2, 4)
    temporal: tuple[bool, ...] = (False, True)
    blocks: Count = 1
    kl: Annotated[float, Field(ge=0)] = 1e-4

    @property
    def space(self) -> int:
        return self.patch * 2 ** (len(self.levels) - 1)

    @property
    def time(self) -> int:
        return 2 ** sum(self.temporal)


class Transformer(_Part):
    """`WanTransformer3DModel`."""

    heads: Count = 5
    head_dim: Count = 64
    layers: Count = 6
    ffn: Count = 960
    patch: Count = 2


class Text(_Part):
    """UMT5 with a tokenizer of whole words, which first learns to tell a caption's attributes."""

    width: Count = 128
    layers: Count = 2
    heads: Count = 4
    length: Count = 28
    schedule: Schedule


class Base(_Part):
    """The text-to-video base.

    Attributes:
        real: share of real emoji among its clips. emotion_words: share of the expressive clips whose caption holds a
            word for the emotion, as captions on the web do. drop_text: share of empty captions.
        shift: of the noise levels and of the shipped scheduler.
    """

    schedule: Schedule
    real: Share = 0.35
    emotion_words: Share = 0.25
    drop_text: Share = 0.1
    shift: Rate = 2.0


class Sampling(_Part):
    """The models' generation defaults."""

    steps: Count = 16
    guidance_scale: Rate = 2.5
    i2v_guidance_scale: Rate = 2.0


class Figures(_Part):
    """The last look: prompts a split, each with all eight emotions."""

    prompts: Count = 24
    seed: int = 17


class Emotion(_Part):
    """A run of `train_lora.py`: a shipped configuration, flags that differ from it, and how many clips it learns from.

    Attributes:
        drawn: that show one emotion (of image to video: that change to one). shades: blends, points and arcs.
        real: real faces and content. dissolves: real faces that change.
        processes: of one thread, that share the training.
    """

    config: str
    drawn: Count
    shades: Annotated[int, Field(ge=0)] = 0
    real: Annotated[int, Field(ge=0)] = 0
    dissolves: Annotated[int, Field(ge=0)] = 0
    processes: Count = 1
    flags: dict[str, str | int | float | bool] = {}


class ImageToVideo(_Part):
    """The image-to-video base, on the text-to-video base's weights.

    Attributes:
        rank: of the change of the shared matrices. image_*: of the image encoder.
        steady: share of the clips that do not change.
    """

    schedule: Schedule
    rank: Count = 24
    image_width: Count = 96
    image_layers: Annotated[int, Field(ge=2)] = 3
    image_heads: Count = 3
    steady: Share = 0.2


class Fast(_Part):
    """The LoRA of few jumps.

    Attributes:
        clips: of the teacher. between: its steps to a jump.
        own: share of the batches that start where the student's own jumps have brought it.
    """

    schedule: Schedule
    clips: Count
    between: Count = 3
    rank: Count = 32
    own: Share = 0.4


class Reader(_Part):
    """A `ClipClassifier`: a judge, the content reader, or the reader of well-formedness.

    Attributes:
        mix: what it learns from, in equal parts: "drawn", "shades", "real" (animated emoji), "art" (static art of
            other vendors). Without art its parts are left out, and where nothing is left it learns from drawn clips.
        split: whose characters it sees.
    """

    schedule: Schedule
    mix: tuple[Literal["drawn", "shades", "real", "art"], ...] = ("drawn",)
    split: Literal["judge_a", "judge_b"] = "judge_a"
    size: Count = 64
    frames: Count = 4
    width: Annotated[int, Field(ge=8, multiple_of=8)] = 24
    pool: Count = 2


class Recipe(_Part):
    """Everything that decides what is shipped."""

    clips: Clips = Clips()
    data: Data
    autoencoder: Autoencoder = Autoencoder()
    autoencoder_schedule: Schedule
    transformer: Transformer = Transformer()
    sampling: Sampling = Sampling()
    text: Text
    base: Base
    emotion: Emotion
    fast: Fast
    i2v: ImageToVideo
    i2v_emotion: Emotion
    judge: Reader
    judge_blends: Reader
    judge_art: Reader
    content: Reader
    wellformed: Reader
    figures: Figures = Figures()


def load(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML file; each override is `dotted.key=value`, its value in YAML.

    Raises:
        ValueError: the file or an override is wrong; names the file and every wrong key.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ValueError(f"--set {override}: write KEY=VALUE, such as base.schedule.seed=1")
        _set(values, key.split("."), yaml.safe_load(value), override)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ValueError(f"{path}: {wrong}") from error


def _set(values: dict | list, keys: list[str], value: object, said: str) -> None:
    for key in keys[:-1]:
        try:
            values = values[int(key)] if isinstance(values, list) else values.setdefault(key, {})
        except (ValueError, IndexError, AttributeError) as error:
            raise ValueError(f"--set {said}: there is no {key}") from error
    if isinstance(values, list):
        values[int(keys[-1])] = value
    else:
        values[keys[-1]] = value
