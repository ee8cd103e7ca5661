"""What the run's own models reach, read by its own readers: the last look before anything is shipped.

Every system draws or generates the same prompts, contents that nothing was trained on ("test") and characters whose
emotions the emotion stage and the readers have never seen ("unseen"). Evaluation proper is `python -m emogen.eval`;
this says whether it is worth it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from emogen.emotion import MIKELS, parse_emotion
from emogen.emotion.prompts import emotion_prompt
from emogen.eval.judges.classifier import ClipClassifier
from emogen.eval.judges.embedded import to_tensor
from emogen.eval.statistics import wilson
from emogen.files import write_json
from emogen.media.pixels import to_uint8
from emogen.media.sheets import contact_sheet
from emogen.pipelines.loading import open_pipeline
from emogen.stickers.cast import CastSpec, caption, draw, named
from recipe import store
from recipe.plan import Workshop
from recipe.world import Drawn, item_rng

SYSTEMS = ("drawn", "base", "sentence", "emogen")
"""The renderer; the base, told no emotion; the base with the paper's sentence; the base with adapter and LoRA."""
SPLITS = ("test", "unseen")
JUDGES = ("judge", "judge_blends", "judge_art")

Generate = Callable[[Sequence[CastSpec], Sequence[int]], np.ndarray]
"""Specs and seeds -> uint8 clips `[N, F, H, W, 3]`."""


def specs_of(shop: Workshop, split: str) -> list[CastSpec]:
    """The prompts of a split with each of the eight: the prompt's content is the same for all of them."""
    plain = Drawn(split, "plain", shop.recipe.figures.prompts, shop.recipe.clips, shop.recipe.figures.seed)
    contents = [plain.plan(index)[0] for index in range(len(plain))]
    return [replace(spec, emotion=emotion, intensity=1.0) for spec in contents for emotion in MIKELS]


def figures(shop: Workshop) -> None:
    """Write `figures.json` and a sheet for every split and system into `WORK/figures`."""
    folder, size = shop.folder("figures"), shop.recipe.clips
    model, adapter = shop.folder("model") / "diffusers", shop.folder("adapter") / "run"

    def sampled(system: str) -> Generate:
        pipe = open_pipeline(model, adapter if system == "emogen" else None)
        pipe.set_progress_bar_config(disable=True)

        def generate(specs: Sequence[CastSpec], seeds: Sequence[int]) -> np.ndarray:
            prompts, extra = [caption(spec) for spec in specs], {}
            if system == "sentence":
                said = [emotion_prompt(parse_emotion(spec.emotion)) for spec in specs]
                prompts = [f"{prompt} {sentence}" for prompt, sentence in zip(prompts, said, strict=True)]
            if system == "emogen":
                extra["emotion"] = [spec.emotion for spec in specs]
            generators = [torch.Generator().manual_seed(seed) for seed in seeds]
            return to_uint8(pipe(prompts, generator=generators, output_type="np", **extra).frames)

        return generate

    def drawn(specs: Sequence[CastSpec], seeds: Sequence[int]) -> np.ndarray:
        return np.stack([draw(spec, size.frames, size.size, size.fps) for spec in specs])

    found = {}
    for split in SPLITS:
        specs = specs_of(shop, split)
        seeds = [int(item_rng(shop.recipe.figures.seed, "sample", k // 8).integers(2**31)) for k in range(len(specs))]
        for system in SYSTEMS:
            generate = drawn if system == "drawn" else sampled(system)

            def make(part: range, generate=generate, specs=specs, seeds=seeds):
                clips = generate([specs[i] for i in part], [seeds[i] for i in part])
                return {"clips": clips}, [named(specs[i]) | {"emotion": specs[i].emotion} for i in part]

            store.write(folder / f"{split}_{system}", len(specs), len(MIKELS), make)
            clips = store.Store(folder / f"{split}_{system}")
            found[f"{split} {system}"] = read(shop, clips)
            _sheet(shop, clips, specs, f"{split}_{system}")
    write_json(folder / "figures.json", found)


@torch.no_grad()
def read(shop: Workshop, clips: store.Store) -> dict:
    """What every reader says of a store's clips, as shares."""
    x = to_tensor(clips.read_all("clips"))

    def answers(name: str) -> tuple[dict[str, torch.Tensor], dict[str, list[str]]]:
        network = ClipClassifier.from_pretrained(shop.folder(name) / "network")
        parts = [network(part) for part in x.split(16)]
        return {head: torch.cat([part[head] for part in parts]) for head in parts[0]}, network.config.heads

    found: dict = {"n": len(clips)}
    truth = torch.tensor([MIKELS.index(record["emotion"]) for record in clips.records])
    for name in JUDGES:
        right = answers(name)[0]["emotion"][:, :8].argmax(-1) == truth
        low, high = wilson(int(right.sum()), len(right))
        found[name] = {
            "EA-8": round(right.float().mean().item(), 4),
            "Wilson": [round(low, 4), round(high, 4)],
            "least": round(min(right[truth == i].float().mean().item() for i in range(len(MIKELS))), 4),
        }
    content, heads = answers("content")
    found["content"] = {}
    for head, classes in heads.items():
        shown = [classes[i] for i in content[head].argmax(-1).tolist()]
        hits = [one == record[head] for one, record in zip(shown, clips.records, strict=True)]
        found["content"][head] = round(float(np.mean(hits)), 4)
    found["well formed"] = round((answers("wellformed")[0]["form"].argmax(-1) == 0).float().mean().item(), 4)
    return found


def _sheet(shop: Workshop, clips: store.Store, specs: Sequence[CastSpec], name: str) -> None:
    rows = [list(clips.read_all("clips", range(k, k + 8))) for k in range(0, min(len(clips), 64), 8)]
    labels = [caption(specs[8 * row]) for row in range(len(rows))]
    frames = (shop.recipe.clips.frames // 4, 3 * shop.recipe.clips.frames // 4)
    contact_sheet(shop.folder("figures") / f"{name}.jpg", rows, labels, MIKELS, frames=frames)
