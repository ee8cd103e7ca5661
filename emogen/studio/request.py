"""What the page's inputs ask for, read and checked: the clips to make, and what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from emogen.emotion import MIKELS, EmotionState
from emogen.studio.emotion_input import Emotion, number_or_none, read, read_avoid, with_strength
from emogen.studio.job import Job, Opening

ONE, ALL, SET = "one clip", "all eight", "sticker set"
WHAT = (ONE, ALL, SET)
AMOUNTS = tuple(f"amount_{name}" for name in MIKELS)
EMOTION_FIELDS = ("source", "point", *AMOUNTS, "arc", "words", "strength")
FIELDS = (
    "prompt", "image", *EMOTION_FIELDS, "what", "platform", "best_of", "emotion_scale", "guidance_scale",
    "emotion_guidance_scale", "guidance_interval", "avoid", "negative_prompt", "steps", "seed", "num_frames", "height",
    "width", "loras", "cache", "offload", "fp8", "compile", "vae_tiling",
)  # fmt: skip
"""The page's inputs, in the order in which they are handed over."""


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        jobs: a clip each; those of one request share prompt, seed and everything but the emotion.
        best_of: seeds that are tried.
        platform: of the sticker set; None makes no set.
    """

    jobs: tuple[Job, ...]
    best_of: int = 1
    platform: str | None = None


def read_emotion(values: Mapping[str, Any]) -> Emotion:
    """The emotion that the inputs say.

    Raises:
        ValueError: see `emotion_input.read`.
    """
    return read(values["source"], point=values["point"], amounts=[values[name] for name in AMOUNTS], arc=values["arc"],
                words=values["words"], strength=values["strength"])  # fmt: skip


def read_request(values: Mapping[str, Any]) -> Request:
    """The request of the page's inputs, by the names of `FIELDS`.

    Raises:
        ValueError: an input that cannot be, naming it.
    """
    what = values["what"]
    if what not in WHAT:
        raise ValueError(f"there is no {what!r}; there are {', '.join(WHAT)}")
    seed = number_or_none(None if str(values["seed"]).strip() == "-1" else values["seed"], "seed", whole=True)
    whole = {name: number_or_none(values[name], name, whole=True) for name in ("height", "width")}
    job = Job(
        prompt=values["prompt"], emotion=EmotionState.neutral(), image=values["image"] or None,
        avoid=read_avoid(values["avoid"]), negative_prompt=(values["negative_prompt"] or "").strip() or None,
        emotion_scale=values["emotion_scale"], guidance_scale=values["guidance_scale"],
        emotion_guidance_scale=number_or_none(values["emotion_guidance_scale"], "emotion guidance scale"),
        guidance_interval=read_interval(values["guidance_interval"]), steps=values["steps"],
        num_frames=values["num_frames"], seed=seed, opening=_opening(values), **whole,
    )  # fmt: skip
    if what == ONE:
        emotions = [read_emotion(values)]
    else:
        emotions = [with_strength(EmotionState.of(name), values["strength"]) for name in MIKELS]
    jobs = tuple(replace(job, emotion=emotion) for emotion in emotions)
    for one in jobs:
        one.check()
    return Request(jobs, int(values["best_of"] or 1), values["platform"] if what == SET else None)


def read_interval(text: str | None) -> tuple[float, float] | None:
    """Two shares of the steps, such as "0 to 0.6"; None where the field is empty.

    Raises:
        ValueError: something else.
    """
    if not text or not text.strip():
        return None
    parts = [part for part in re.split(r"\s*(?:to|,|\s)\s*", text.strip()) if part]
    try:
        start, end = (float(part) for part in parts)
    except ValueError:
        raise ValueError(
            f"guidance interval is {text[:40]!r}; give two shares of the steps, such as 0 to 0.6"
        ) from None
    return start, end


def _opening(values: Mapping[str, Any]) -> Opening:
    lines = [line.strip() for line in (values["loras"] or "").splitlines()]
    return Opening(tuple(line for line in lines if line), values["cache"] or "none", values["offload"] or "none",
                   bool(values["fp8"]), bool(values["compile"]), bool(values["vae_tiling"]))  # fmt: skip
