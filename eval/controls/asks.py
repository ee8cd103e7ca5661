"""What is asked of the model: one clip a prompt, seed, emotion and scale, whichever studies read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emogen.emotion import MIKELS, EmotionArc, parse_emotion
from emogen.eval.benchmark.config import EvalConfig, EvalConfigError
from emogen.eval.benchmark.heldout import rendered_prompts
from emogen.eval.benchmark.items import load_prompts
from emogen.eval.controls.config import ControlsConfig
from emogen.files import fingerprint_value


def held_out_prompts(config: ControlsConfig) -> list[str]:
    """The prompts' texts. Of the stickers, other ones than those of the README's table (`rendered_prompts(20)`).

    Raises:
        EvalConfigError: there are not so many.
    """
    count = config.num_prompts
    if config.prompts != "stickers":
        found = [p.text for p in load_prompts(EvalConfig(name="", systems=(), prompts=config.prompts, num_prompts={}))]
    else:
        known, found = {prompt.text for prompt in rendered_prompts(20)}, []
        for extra in range(len(known) + 1):
            try:
                drawn = rendered_prompts(count + extra, seed=7)
            except IndexError:  # no combinations are left
                break
            found = [prompt.text for prompt in drawn if prompt.text not in known]
            if len(found) >= count:
                break
    if len(found) < count:
        raise EvalConfigError(f"num_prompts: {config.prompts} has fewer than {count}")
    return found[:count]


@dataclass(frozen=True)
class Ask:
    """One clip.

    Attributes:
        number: of the prompt. emotion: text for the pipeline's `emotion=`. scale: `emotion_scale`.
        about: what a study has to know of the ask; clips are the same whatever it says.
    """

    number: int
    prompt: str
    seed: int
    emotion: str
    scale: float = 1.0
    about: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def moving(self) -> bool:
        """Whether the emotion is an arc."""
        return EmotionArc.looks_like_arc(self.emotion)

    def file(self) -> str:
        """The clip's name, with a digest of what is asked, for the words of long emotions are cut."""
        digest = fingerprint_value([self.prompt, self.emotion, self.scale])[:10]
        words = re.sub(r"[^a-z0-9.+,-]+", "_", self.emotion.lower())[:60]
        return f"{self.number:03d}_{words}_x{self.scale:g}_{self.seed}_{digest}.png"


def make_asks(
    config: ControlsConfig, prompts: Sequence[str], wanted: Iterable[tuple[str, float, Mapping[str, Any]]]
) -> list[Ask]:
    """(emotion, scale, about) of every prompt and seed. No emotion is one ask, however it is written."""
    plain = [(*_plain(emotion, scale), about) for emotion, scale, about in wanted]
    return [
        Ask(number, prompt, seed, emotion, scale, about)
        for number, prompt in enumerate(prompts)
        for seed in config.seeds
        for emotion, scale, about in plain
    ]


def _plain(emotion: str, scale: float) -> tuple[str, float]:
    if EmotionArc.looks_like_arc(emotion):
        return emotion, float(scale)
    state = parse_emotion(emotion)
    if state.is_neutral or scale == 0:
        return "neutral", 1.0
    if max(state.distribution) == 1 and state == parse_emotion(state.dominant):
        return state.dominant, float(scale)
    return emotion, float(scale)


def pairs_of(wanted: str | int | Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """All 28 pairs of the eight, so many of them by a fixed shuffle, or those given."""
    if not isinstance(wanted, (str, int)):
        return list(wanted)
    every = [(a, b) for i, a in enumerate(MIKELS) for b in MIKELS[i + 1 :]]
    if wanted == "all":
        return every
    return [every[i] for i in sorted(np.random.default_rng(0).permutation(len(every))[: int(wanted)])]
