"""Guidance of the emotion apart from that of the text.

With u the prediction for (negative text, negative emotion), c_t for (text, negative emotion) and c_te for (text,
emotion), where the negative emotion is neutral unless given:

    u + g_t (c_t - u) + g_e (c_te - c_t)

as for the two conditions of InstructPix2Pix (arXiv 2211.09800, equation 3). The pipelines of diffusers compute
u + g_t (x - u), so the rest is x = c_t + g_e / g_t (c_te - c_t), and x = c_te where g_e = g_t: no third pass then.
A share of the steps instead of all: Kynkaanniemi et al., arXiv 2404.07724; here g_e = g_t in the others, which saves
their third pass and keeps the emotion in them.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import nn

from emogen.models.branches import Run, branch_calls
from emogen.models.compat import GUIDANCE_SCALES

EmotionGuidanceLike = float | Sequence[float | None] | Callable[[float], float | None]

_NAME = "emotion_guidance_scale"


def read_emotion_guidance(
    scale: EmotionGuidanceLike | None, interval: Sequence[float] | None, steps: int, loaded: bool = True
) -> list[float | None] | None:
    """The scale of every step, None for the text's; None altogether if every step's is the text's.

    Args:
        scale: a number; a list with one for each step; or a function of the share of the steps that lie behind,
            from 0 (noise) to just below 1. None, also in a list or from the function, is the text's.
        interval: (start, end) within 0-1: steps whose share is in [start, end) have the scale, others the text's.
        steps: denoising steps of the call.
        loaded: whether there is an adapter at all.

    Raises:
        TypeError: a scale is no number, or the interval no pair of numbers.
        ValueError: a scale is negative or not finite, a list is not as long as there are steps, or the interval is
            reversed, outside 0-1 or without a scale; or there is a scale and no adapter.
    """
    if scale is None:
        if interval is not None:
            raise ValueError(f"guidance_interval says when {_NAME} is on; give {_NAME} too")
        return None
    if not loaded:
        raise ValueError(
            f"{_NAME} needs an emotion adapter, without which the emotion is a part of the text; call "
            "load_emotion_adapter, or guide both by guidance_scale"
        )
    start, end = (0.0, 1.0) if interval is None else _read_interval(interval)
    shares = [step / steps for step in range(steps)]
    if callable(scale):
        named = [(f"{_NAME}({share:.4g})", scale(share)) for share in shares]
    elif isinstance(scale, Sequence) and not isinstance(scale, str):
        if len(scale) != steps:
            raise ValueError(f"{_NAME} has {len(scale)} entries for {steps} steps; give one each, or a function")
        named = [(f"{_NAME}[{step}]", value) for step, value in enumerate(scale)]
    else:
        named = [(_NAME, scale)] * steps
    scales = [_read_scale(name, value) for name, value in named]
    inside = [value if start <= share < end else None for share, value in zip(shares, scales, strict=True)]
    return inside if any(value is not None for value in inside) else None


def _read_scale(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} is a number of at least 0, or None for the text's guidance scale, not {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {value}; it has to be at least 0 (0 leaves the emotion out) and finite")
    return float(value)


def _read_interval(interval: Any) -> tuple[float, float]:
    pair = tuple(interval) if isinstance(interval, Sequence) and not isinstance(interval, str) else ()
    if len(pair) != 2 or not all(isinstance(end, Real) and not isinstance(end, bool) for end in pair):
        raise TypeError(f"guidance_interval is two shares of the steps such as (0.0, 0.6), not {interval!r}")
    if not 0 <= pair[0] < pair[1] <= 1:
        raise ValueError(
            f"guidance_interval is {pair}; it needs 0 <= start < end <= 1, shares of the steps from the noise on"
        )
    return pair


class EmotionGuidance:
    """The emotion's guidance during one call of a pipeline: which step it is, and what its extra passes need.

    Args:
        pipe: the Wan pipeline, for what its `__call__` notes down on it.
        scales: of each step, as `read_emotion_guidance` returns them.
        batched: c_te and c_t in one forward of twice the batch rather than in two forwards. Faster where a forward
            does not fill the device, and takes more memory. Not the default, because products of another shape round
            differently: c_te would no longer be, bit for bit, what ordinary guidance computes, nor a neutral prompt
            among others the base's.
    """

    def __init__(self, pipe: Any, scales: Sequence[float | None], batched: bool = False):
        self._pipe = pipe
        self._scales = scales
        self._batched = batched
        self._calls = 0
        self._text_scales: dict[str, float | None] = {}
        self._reference: torch.Tensor | None = None
        self._text_length = 0

    def begin(self, reference: torch.Tensor, text_length: int) -> None:
        """Take what is known once the prompts are encoded.

        Args:
            reference: [M, tail, D], the negative emotion's tokens.
            text_length: tokens before them.

        Raises:
            ValueError: a g_t of 0, by which x would have to be divided.
        """
        # Now, and not at every step: the pipeline's loop keeps the numbers that it was called with.
        self._text_scales = {name: getattr(self._pipe, own) for name, own in GUIDANCE_SCALES.items()}
        if self._pipe.do_classifier_free_guidance and self._text_scales["transformer_2"] == 0:
            raise ValueError(
                f"guidance_scale_2 is 0, and without any guidance of the text the emotion's cannot be added: give "
                f"guidance_scale_2=1, or leave {_NAME} at None"
            )
        self._reference, self._text_length = reference, text_length

    @contextlib.contextmanager
    def around(self, transformers: Mapping[str, nn.Module]) -> Iterator[None]:
        """Guide every call of the transformers while open."""
        with contextlib.ExitStack() as stack:
            for name, transformer in transformers.items():
                stack.enter_context(branch_calls(transformer, self._for(name)))
            yield

    def _for(self, transformer: str) -> Callable[[str, Run, dict[str, Any]], torch.Tensor]:
        def on_branch(branch: str, run: Run, inputs: dict[str, Any]) -> torch.Tensor:
            if branch != "cond":
                return run(branch, **inputs)
            # Without a pass for u the pipeline takes x as it is, as if g_t were 1.
            text_scale = self._text_scales[transformer] if self._pipe.do_classifier_free_guidance else 1.0
            scale = self._next_scale()
            if scale is None or scale == text_scale:
                return run(branch, **inputs)
            return self._guided(run, inputs, scale / text_scale)

        return on_branch

    def _next_scale(self) -> float | None:
        # A scheduler of second order has two timesteps a step.
        step = self._calls * len(self._scales) // self._pipe.num_timesteps
        self._calls += 1
        return self._scales[step]

    def _guided(self, run: Run, inputs: dict[str, Any], ratio: float) -> torch.Tensor:
        """c_t + ratio (c_te - c_t), [B, C, F, H, W]."""
        both = inputs["encoder_hidden_states"]
        text = torch.cat([both[:, : self._text_length], self._reference.to(both)], dim=1)
        if ratio == 0:
            return run("cond_text", **{**inputs, "encoder_hidden_states": text})
        if self._batched:
            # Under one name of its own: a step cache cannot compare it with passes of half the batch.
            with_emotion, without = run("cond_both", **_twice(inputs, text)).chunk(2)
        else:
            with_emotion = run("cond", **inputs)
            without = run("cond_text", **{**inputs, "encoder_hidden_states": text})
        return torch.lerp(without.float(), with_emotion.float(), ratio).to(with_emotion.dtype)


def _twice(inputs: dict[str, Any], text: torch.Tensor) -> dict[str, Any]:
    doubled = dict(inputs)
    for name in ("hidden_states", "timestep", "encoder_hidden_states_image"):
        if inputs.get(name) is not None:
            doubled[name] = torch.cat([inputs[name]] * 2)
    doubled["encoder_hidden_states"] = torch.cat([inputs["encoder_hidden_states"], text])
    return doubled
