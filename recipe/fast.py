"""A LoRA with which the text-to-video model needs 4 jumps without guidance, where it needed 20 steps of two passes.

The teacher is the model itself with its emotion adapter, LoRA and guidance, in small steps along the noise levels of
`--preset fast`. The student has to jump from each of the preset's levels to where the teacher comes to at the next
(progressive distillation in one round: Salimans and Ho, arXiv 2202.00512), on a share of the batches from where its own
jumps have brought it, so that it learns to mend what it gets wrong (DAgger: Ross et al., arXiv 1011.0686).

    python -m recipe fast --work WORK       # stages `trajectories` and `fast` of the recipe
    python -m recipe.fast --work WORK       # both for the first model, which the package ships
"""

from __future__ import annotations

import argparse
import copy
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import UniPCMultistepScheduler, WanPipeline
from peft import LoraConfig, get_peft_model_state_dict
from torch import nn

from emogen.emotion import MIKELS, EmotionArc
from emogen.emotion.given import read_emotions
from emogen.files import atomic
from emogen.models import EmotionAdapter, load_emotion_adapter
from emogen.models.encoder import emotion_tensors
from emogen.models.weights import LORA_NAME
from emogen.pipelines import EmotionWanPipeline
from emogen.pipelines.presets import PRESETS
from emogen.training.families.wan import fold_padding
from recipe import state, store
from recipe.base import TEXT_POSITIONS
from recipe.config import Fast, Phase
from recipe.loop import train
from recipe.plan import Workshop
from recipe.store import Store
from recipe.text import encode
from recipe.world import blend, item_rng

BATCH = 8
HELD_OUT = 24
TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2")


@dataclass(frozen=True)
class Ask:
    """What a clip is asked for, as `emotion=` and the prompt take it."""

    caption: str
    emotion: str


def asks(metadata: Path, count: int, seed: int) -> list[Ask]:
    """`count` random rows of the training split of a folder of clips; of the clips themselves nothing is read."""
    rows = [json.loads(line) for line in metadata.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row.get("split") != "val"]
    rng = item_rng(seed, "asks")
    chosen = [rows[int(rng.integers(len(rows)))] for _ in range(count)]
    return [Ask(row["caption"], _emotion(row)) for row in chosen]


def _emotion(row: dict) -> str:
    return f"{row['emotion']}:{row['intensity']}" if "intensity" in row else row["emotion"]


def asks_of_the_first_model(count: int, seed: int) -> list[Ask]:
    """Drawn stickers and real faces of the training splits, each asked for any emotion, a blend, or none."""
    from emogen.stickers import content, fluent

    rng = item_rng(seed, "asks of the first model", 1280)  # a name: more asks begin with the same ones
    faces = sorted({row["caption"] for row in fluent.read_table().values() if row["split"] == "train"})
    found = []
    for _ in range(count):
        spec = content.sample_spec(rng, "train", str(rng.choice(MIKELS)))
        emotion, kind = f"{spec.emotion}:{spec.intensity}", rng.random()
        if kind < 0.2:
            emotion = "neutral" if kind < 0.1 else blend(rng)
        found.append(Ask(str(rng.choice(faces)) if rng.random() < 0.3 else content.caption(spec, rng), emotion))
    return found


class Model:
    """The model with adapter and LoRA, and beside them the LoRA that is learned; off it is the teacher.

    Args:
        length: of the longest caption in tokens.
    """

    def __init__(self, folder: Path, adapter: Path, rank: int, length: int, seed: int):
        pipe = EmotionWanPipeline.from_pretrained(str(folder))
        pipe.load_emotion_lora(str(adapter))
        transformer = pipe.transformer
        transformer.fuse_lora()
        transformer.unload_lora()
        transformer.requires_grad_(False)
        fold_padding(transformer, TEXT_POSITIONS, length + 1)
        torch.manual_seed(seed)
        transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(TARGETS)), "fast")
        self.adapter: EmotionAdapter = load_emotion_adapter(adapter, transformer)
        self.adapter.requires_grad_(False)
        self.adapter.text_length = length + 1
        self.pipe, self.transformer, self._length = pipe, transformer, length
        self.frames = (pipe.generation_defaults.num_frames - 1) // pipe.vae_scale_factor_temporal + 1
        side = pipe.generation_defaults.height // pipe.vae_scale_factor_spatial
        self.shape = (transformer.config.in_channels, self.frames, side, side)

    def lora(self) -> nn.ParameterDict:
        """The learned tensors themselves, under names with "/" for "."."""
        return nn.ParameterDict(
            {name.replace(".", "/"): value for name, value in self.transformer.named_parameters() if ".lora_" in name}
        )

    @torch.no_grad()
    def embed(self, asked: Sequence[Ask]) -> torch.Tensor:
        """Text and emotion tokens `[B, length + 1 + tail, D]`; where one emotion moves, all have one a latent frame."""
        text = encode(self.pipe.text_encoder, self.pipe.tokenizer, [ask.caption for ask in asked], self._length)
        emotions = read_emotions([ask.emotion for ask in asked], len(asked))
        moving = any(isinstance(emotion, EmotionArc) for emotion in emotions)
        tensors = emotion_tensors(emotions, self.frames, self.pipe.vae_scale_factor_temporal, moving)
        return torch.cat([text, self.adapter.tail(tensors)], dim=1)

    def velocity(self, latents: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """`[B, C, F, h, w]` at timesteps `[B]`."""
        return self.transformer(latents, timestep, tokens, return_dict=False)[0].float()

    @torch.no_grad()
    def trajectories(self, asked: Sequence[Ask], noise: torch.Tensor, between: int) -> torch.Tensor:
        """The teacher's states `[B, jumps + 1, C, F, h, w]` at the preset's levels, from the noise to the clip."""
        preset = PRESETS["fast"]
        scheduler = UniPCMultistepScheduler.from_config(self.pipe.scheduler.config, flow_shift=preset.shift)
        scheduler.set_timesteps(preset.steps * between)
        scale, none = self.pipe.generation_defaults.guidance_scale, Ask("", "neutral")
        both = self.embed([*[none] * len(asked), *asked])
        latents, states = noise, [noise]
        self.transformer.disable_adapters()
        for index, timestep in enumerate(scheduler.timesteps, 1):
            with torch.autocast("cpu", torch.bfloat16):
                plain, asked_for = self.velocity(
                    torch.cat([latents] * 2), timestep.expand(2 * len(latents)), both
                ).chunk(2)
            guided = plain + scale * (asked_for - plain)
            latents = scheduler.step(guided, timestep, latents, return_dict=False)[0]
            if index % between == 0:
                states.append(latents)
        self.transformer.enable_adapters()
        return torch.stack(states, dim=1)


class FastTask:
    """See `recipe.loop.Task`: the LoRA alone is trained, saved and averaged."""

    def __init__(self, model: Model, trajectories: Store, held_out: Store, own: float):
        self._model, self._store, self._held_out, self._own = model, trajectories, held_out, own
        self.modules = nn.ModuleDict({"lora": model.lora()})
        self._levels, self._times = levels()
        self._jumps = len(self._times)

    def loss(self, rng: np.random.Generator, phase: Phase) -> torch.Tensor:
        states, tokens = self._read(self._store, rng.integers(len(self._store), size=phase.batch))
        if rng.random() < self._own:
            jump = torch.full((phase.batch,), int(rng.integers(1, self._jumps)))
            with torch.no_grad():
                start = self._follow(states[:, 0], tokens, int(jump[0]))
        else:
            jump = torch.from_numpy(rng.integers(self._jumps, size=phase.batch))
            start = states[torch.arange(phase.batch), jump]
        target = states[torch.arange(phase.batch), jump + 1]
        width = (self._levels[jump + 1] - self._levels[jump]).view(-1, 1, 1, 1, 1)
        velocity = self._model.velocity(start, self._times[jump], tokens)
        return (velocity - (target - start) / width).square().mean()

    @torch.no_grad()
    def held_out(self, average: nn.ModuleDict) -> dict[str, float]:
        """How far the student's clips are from the teacher's, as a share of the teacher's variance."""
        states, tokens = self._read(self._held_out, range(min(HELD_OUT, len(self._held_out))))
        mine = copy.deepcopy(self.modules.state_dict())
        self.modules.load_state_dict(average.state_dict())
        with torch.autocast("cpu", torch.bfloat16):
            last = self._follow(states[:, 0], tokens, self._jumps)
        self.modules.load_state_dict(mine)
        return {"error": ((last - states[:, -1]).square().mean() / states[:, -1].var()).item()}

    def _follow(self, latents: torch.Tensor, tokens: torch.Tensor, jumps: int) -> torch.Tensor:
        for jump in range(jumps):
            velocity = self._model.velocity(latents, self._times[jump].expand(len(latents)), tokens)
            latents = latents + (self._levels[jump + 1] - self._levels[jump]) * velocity
        return latents

    def _read(self, trajectories: Store, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        states = torch.from_numpy(trajectories.read_all("states", list(indices))).float()
        records = [trajectories.records[int(index)] for index in indices]
        return states, self._model.embed([Ask(r["caption"], r["emotion"]) for r in records])


def levels() -> tuple[torch.Tensor, torch.Tensor]:
    """The preset's noise levels `[jumps + 1]` and its timesteps `[jumps]`, as its own scheduler has them."""
    scheduler = PRESETS["fast"].scheduler()
    scheduler.set_timesteps(PRESETS["fast"].steps)
    return scheduler.sigmas.float(), scheduler.timesteps.float()


def write_trajectories(model: Model, asked: Sequence[Ask], folder: Path, shard: int, config: Fast) -> None:
    """A store of `states`, float16, and what was asked for."""

    def make(part: range) -> tuple[dict[str, np.ndarray], list[dict]]:
        found = []
        for start in range(part.start, part.stop, BATCH):
            some = asked[start : min(start + BATCH, part.stop)]
            torch.manual_seed(int(item_rng(config.schedule.seed, folder.name, start).integers(2**62)))
            noise = torch.randn(len(some), *model.shape)
            found.append(model.trajectories(some, noise, config.between).half().numpy())
        return {"states": np.concatenate(found)}, [vars(ask) for ask in asked[part.start : part.stop]]

    store.write(folder, len(asked), shard, make)


def write_all(model: Model, draw: Callable[[int, int], list[Ask]], folder: Path, shard: int, config: Fast) -> None:
    """The trajectories to learn from, and held-out ones; `draw` takes a number and a seed."""
    write_trajectories(model, draw(HELD_OUT, config.schedule.seed + 1), folder / "held_out", shard, config)
    write_trajectories(model, draw(config.clips, config.schedule.seed), folder / "train", shard, config)


def learn(model: Model, source: Path, folder: Path, config: Fast) -> None:
    """Train on the trajectories in `source` and write the averaged LoRA into `folder`."""
    task = FastTask(model, Store(source / "train"), Store(source / "held_out"), config.own)
    train(task, config.schedule, folder, "fast")
    if int(os.environ.get("RANK", 0)):
        return
    state.load_average(folder / "fast.safetensors", task.modules)
    layers = get_peft_model_state_dict(model.transformer, adapter_name="fast")
    with atomic(folder / LORA_NAME) as temporary:
        WanPipeline.save_lora_weights(
            temporary.parent,
            transformer_lora_layers={name: value.detach().bfloat16().contiguous() for name, value in layers.items()},
            weight_name=temporary.name,
            transformer_lora_adapter_metadata=model.transformer.peft_config["fast"].to_dict(),
        )


def model_of(shop: Workshop) -> Model:
    config = shop.recipe.fast
    folders = shop.folder("model") / "diffusers", shop.folder("adapter") / "run"
    return Model(*folders, config.rank, shop.recipe.text.length, config.schedule.seed)


def trajectories(shop: Workshop) -> None:
    metadata = shop.folder("dataset") / "clips/metadata.jsonl"
    draw = partial(asks, metadata)
    write_all(model_of(shop), draw, shop.folder("trajectories"), shop.recipe.data.shard, shop.recipe.fast)


def fast(shop: Workshop) -> None:
    learn(model_of(shop), shop.folder("trajectories"), shop.folder("fast"), shop.recipe.fast)


def main(argv: Sequence[str] | None = None) -> None:
    """Both stages on the model that the package ships."""
    from emogen.embedded import embedded_adapter, embedded_model
    from recipe.config import load

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "second.yaml")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="change the configuration")
    args = parser.parse_args(argv)
    recipe = load(args.config, args.set)
    model = Model(
        Path(embedded_model()),
        Path(embedded_adapter()),
        recipe.fast.rank,
        recipe.text.length,
        recipe.fast.schedule.seed,
    )
    write_all(model, asks_of_the_first_model, args.work / "trajectories", recipe.data.shard, recipe.fast)
    (args.work / "fast").mkdir(exist_ok=True)
    learn(model, args.work / "trajectories", args.work / "fast", recipe.fast)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
