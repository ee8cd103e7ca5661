"""Temporal flickering: how much neighbouring frames differ."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from emogen.eval.metrics.base import ClipMean, register
from emogen.eval.metrics.pixels import check_clips, to_unit

FORMS = ("score", "error")


def temporal_flickering(clips: Tensor, form: str = "score") -> Tensor:
    """Temporal flickering of single clips.

    VBench (Huang et al., CVPR 2024): `(255 - MAE) / 255`, with MAE the mean absolute difference of neighbouring frames
    over pixels, colours and pairs of frames, in 0..255. EmoVid (AAAI 2026, table of results) prints the same quantity
    as an error, `MAE / 255`, lower is better; the two add up to 1.

    Args:
        clips: `[B, F, 3, H, W]`, uint8 or float in [0, 1], F >= 2.
        form: "score" (VBench; 1 is a still picture, higher is steadier) or "error" (EmoVid).

    Returns:
        `[B]` in [0, 1].

    Raises:
        ValueError: another form, or not clips of two frames and more.
        TypeError: not a tensor of pixels.
    """
    if form not in FORMS:
        raise ValueError(f"form {form!r} is not one of {', '.join(FORMS)}")
    pixels = to_unit(check_clips(clips, least_frames=2))
    error = pixels.diff(dim=1).abs().double().mean(dim=(1, 2, 3, 4))
    return error if form == "error" else 1 - error


@register(
    "temporal_flickering", heading="flicker score", better="more",
    meaning="flicker score: VBench's, 1 is a still picture",
)  # fmt: skip
class TemporalFlickering(ClipMean):
    """Mean temporal flickering of clips (`temporal_flickering`).

    A frozen clip has the best score, so read it beside a measure of motion. VBench first drops clips that an optical
    flow filter calls static, and rescales its leaderboard; neither is done here. Real clips do not reach 1.

    Args:
        form: "score" (VBench, higher is better) or "error" (EmoVid, lower is better).
    """

    def __init__(self, form: str = "score", **kwargs: Any):
        if form not in FORMS:
            raise ValueError(f"form {form!r} is not one of {', '.join(FORMS)}")
        super().__init__(**kwargs)
        self.form = form

    @property
    def higher_is_better(self) -> bool:
        """Whether more is steadier: of the score, not of the error."""
        return self.form == "score"

    def score(self, clips: Tensor) -> Tensor:
        """Flickering of each clip `[B]`; `clips` as in `temporal_flickering`."""
        return temporal_flickering(clips, self.form)
