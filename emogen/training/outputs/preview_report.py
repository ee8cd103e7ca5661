"""What the clips of a preview say: are the emotions read, and what else do they change?

A model that only tints its clips moves the colours and not the judge; `Preview.recolours` and `only_recolours` say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from emogen.data.attributes import ClipAttributes, mean_change
from emogen.emotion import EmotionArc, parse_emotion
from emogen.eval.agreement import hits, rate
from emogen.eval.judges.embedded import Judge
from emogen.training.outputs.preview_media import moving_grid, still_sheet

_JUDGED_AT_ONCE = 16


@dataclass(frozen=True)
class PreviewClip:
    """One sampled clip; `frames` uint8 `[F, H, W, 3]`."""

    prompt: str
    emotion: str
    seed: int
    frames: np.ndarray
    attributes: ClipAttributes


@dataclass(frozen=True)
class Preview:
    """What a preview found.

    Attributes:
        clips: prompt after prompt, in each seed after seed, in each emotion after emotion.
        emotions: as they were asked for.
        fps: frames a second of the clips.
        agreement: "EA-8" and "EA-2", each with "value", "low", "high" (Wilson 95 %) and "n", and "neutral": how often
            the neutral clips of the same prompts and seeds are read so ("EA-8" only; None without neutral clips). Clips
            of one prompt are alike, so the intervals are a little too narrow. None without a judge.
        changes: emotion -> its clips' attributes minus those of the neutral clips of the same prompts and seeds, on
            average; empty without neutral clips.
        recolours: emotion -> whether its clips differ from the neutral ones in colour (`ClipAttributes.recoloured`)
            while the judge reads the emotion in them no more often than in the neutral ones. Of a few clips, so a
            hint; None without a judge or neutral clips.
        only_recolours: the same of all clips together, where the interval of EA-8 must lie above what the neutral clips
            reach to count as read; None as above.
        values: all of it as flat numbers, `val/...`, for logs and trackers.
    """

    clips: list[PreviewClip]
    emotions: list[str]
    fps: float
    agreement: dict[str, dict[str, Any]] | None
    changes: dict[str, ClipAttributes]
    recolours: dict[str, bool] | None
    only_recolours: bool | None
    values: dict[str, float]

    @cached_property
    def grid(self) -> np.ndarray:
        """uint8 `[F, H, W, 3]`, moving: a row a prompt (of the first seed), a column an emotion."""
        return moving_grid(self._rows(), self.emotions)

    @cached_property
    def sheet(self) -> np.ndarray:
        """uint8 `[H, W, 3]`: the grid standing still, two frames a clip."""
        return still_sheet(self._rows(), self.emotions)

    def _rows(self) -> dict[str, list[np.ndarray]]:
        rows: dict[str, list[np.ndarray]] = {}
        for clip in self.clips:
            if clip.seed == self.clips[0].seed:
                rows.setdefault(clip.prompt, []).append(clip.frames)
        return rows


def asked_categories(emotions: Sequence[str]) -> dict[str, str | None]:
    """Each emotion's text -> the one of the eight that a judge should read; None where there is no one answer: neutral,
    an emotion that changes over the clip, a negative strength.

    Raises:
        UnknownEmotionError, ValueError: a text is no emotion.
    """
    asked: dict[str, str | None] = {}
    for text in emotions:
        if EmotionArc.looks_like_arc(text):
            EmotionArc.parse(text)
            asked[text] = None
        else:
            state = parse_emotion(text)
            asked[text] = state.dominant if state.intensity > 0 else None
    return asked


def read_clips(judge: Judge, clips: Sequence[PreviewClip]) -> np.ndarray:
    """The judge's shares of the eight, `[clips, 8]`."""
    frames = [clip.frames for clip in clips]
    parts = (frames[start : start + _JUDGED_AT_ONCE] for start in range(0, len(frames), _JUDGED_AT_ONCE))
    return np.concatenate([np.asarray(judge(np.stack(part)).distribution) for part in parts])


def report(
    clips: Sequence[PreviewClip], asked: Mapping[str, str | None], shares: np.ndarray | None, fps: float
) -> Preview:
    """Put it together.

    Args:
        clips: every prompt with every seed and emotion, prompts first and emotions last.
        asked: of `asked_categories`.
        shares: of `read_clips`, or None without a judge.
    """
    pairs = _pairs(clips, asked)
    changes = {text: mean_change([clips[own].attributes - clips[neutral].attributes for own, neutral in rows])
               for text, rows in pairs.items()}  # fmt: skip
    values = {f"val/change/{name}/{text}": value for text, change in changes.items()
              for name, value in change.to_dict().items() if value is not None}  # fmt: skip
    agreement = recolours = only = None
    judged = [row for row, clip in enumerate(clips) if asked[clip.emotion] is not None]
    if shares is not None and judged:
        categories = [asked[clips[row].emotion] for row in judged]
        eight, two = hits(shares[judged], categories)
        read = dict(zip(judged, eight.tolist(), strict=True))
        agreement = {"EA-8": rate(eight), "EA-2": rate(two)}
        values |= {f"val/EA-8/{text}": float(np.mean([read[row] for row in judged if clips[row].emotion == text]))
                   for text, category in asked.items() if category is not None}  # fmt: skip
        # what the neutral clips would score by chance or by what the model always shows
        base = {own: bool(hits(shares[[neutral]], [asked[text]])[0][0])
                for text, rows in pairs.items() if asked[text] is not None for own, neutral in rows}  # fmt: skip
        if base:
            agreement["EA-8"]["neutral"] = float(np.mean(list(base.values())))
            recolours = {text: changes[text].recoloured() and sum(read[own] - base[own] for own, _ in rows) <= 0
                         for text, rows in pairs.items() if asked[text] is not None}  # fmt: skip
            unread = agreement["EA-8"]["low"] <= agreement["EA-8"]["neutral"]
            only = unread and any(changes[text].recoloured() for text in recolours)
            values |= {f"val/recolours/{text}": float(flag) for text, flag in recolours.items()}
            values["val/recolours"] = float(only)
        for metric, found in agreement.items():
            values[f"val/{metric}"] = found["value"]
            values |= {f"val/{metric}_{part}": float(found[part]) for part in found if part != "value"}
    return Preview(list(clips), list(asked), fps, agreement, changes, recolours, only, values)


def _pairs(clips: Sequence[PreviewClip], asked: Mapping[str, str | None]) -> dict[str, list[tuple[int, int]]]:
    """Each emotion -> (its clip, the neutral clip of the same prompt and seed); empty without neutral clips."""
    neutral = next((t for t in asked if not EmotionArc.looks_like_arc(t) and parse_emotion(t).is_neutral), None)
    if neutral is None:
        return {}
    place = {(clip.prompt, clip.seed, clip.emotion): row for row, clip in enumerate(clips)}
    return {text: [(row, place[clip.prompt, clip.seed, neutral]) for row, clip in enumerate(clips)
                   if clip.emotion == text] for text in asked if text != neutral}  # fmt: skip
