"""A pipeline that paints instead of sampling, and an engine over it."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from emogen.emotion import MIKELS
from emogen.pipelines.defaults import GenerationDefaults
from emogen.studio.engine import Engine
from emogen.studio.models import IMAGE, TEXT, Source


class PaintingPipe:
    """Takes what `EmotionWanPipeline.__call__` takes; its clips depend on the seed alone."""

    fps = 12
    pace = 0.0
    """Seconds a step takes."""

    def __init__(self, source: Source, device: str | None, opening=None):
        self.source, self.device, self.opening, self.calls = source, device, opening, []
        self.generation_defaults = GenerationDefaults(num_inference_steps=3, guidance_scale=2.5, num_frames=5)

    def __call__(self, *, callback_on_step_end, generator, num_inference_steps, num_frames, **call):
        self.calls.append(call | {"num_inference_steps": num_inference_steps, "num_frames": num_frames})
        self.num_timesteps = num_inference_steps
        for step in range(num_inference_steps):
            time.sleep(self.pace)
            callback_on_step_end(self, step, torch.tensor(0), {})
        noise = torch.rand(1, num_frames, 16, 16, 3, generator=generator[0])
        return SimpleNamespace(frames=noise.numpy())


class FearfulJudge:
    """Reads 70 % fear in everything."""

    name = "fearful"

    def __call__(self, clips):
        shares = np.full((len(clips), 8), 0.3 / 7)
        shares[:, MIKELS.index("fear")] = 0.7
        return SimpleNamespace(distribution=shares, valence_arousal=np.array([[-0.6, 0.8]] * len(clips)),
                               confidence=np.array([0.9] * len(clips)))  # fmt: skip


@pytest.fixture
def model_folder(tmp_path):
    """A folder that looks like a model's."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model_index.json").write_text("{}")
    return str(folder)


@pytest.fixture
def engine(tmp_path, model_folder):
    """Over painting pipelines (`engine.loaded`) for both kinds, with a judge."""
    loaded = []

    def load(source, device, opening):
        loaded.append(PaintingPipe(source, device, opening))
        return loaded[-1]

    sources = {kind: Source(kind, model_folder) for kind in (TEXT, IMAGE)}
    made = Engine(sources, FearfulJudge, "cpu", tmp_path / "out", load=load, judge_spec="fearful")
    made.loaded = loaded
    return made
