"""A judge's reading of a clip, and how much of it is the emotion that was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from emogen.emotion import MIKELS, EmotionArc
from emogen.emotion.given import Emotion

from .adapter import CATEGORY
from .emotion_nodes import EMOTION

JUDGES = ("embedded", "embedded_blends")


class JudgeEmotion:
    """Reads frames. The judges in the package read stickers alone; their reading of other clips means nothing."""

    DESCRIPTION = "Which of the eight a clip shows, by a judge. Those in the package have only seen stickers."
    RETURN_TYPES = ("STRING", "FLOAT", "STRING")
    RETURN_NAMES = ("emotion", "share_of_asked", "report")
    FUNCTION = "judge"
    CATEGORY = CATEGORY
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ("IMAGE",), "judge": (list(JUDGES),)}, "optional": {"asked": (EMOTION,)}}

    def judge(self, images: torch.Tensor, judge: str, asked: Emotion | None = None) -> dict[str, Any]:
        from emogen.eval.judges import load_judge

        clip = (images.cpu().float().clamp(0, 1) * 255).round().to(torch.uint8).numpy()[None]
        verdict = load_judge(judge)(clip)
        shares, (valence, arousal) = verdict.distribution[0], verdict.valence_arousal[0]
        order = np.argsort(-shares)
        lines = [f"{MIKELS[i]} {shares[i]:.0%}" for i in order[:3]]
        lines += [f"valence {valence:+.2f}, arousal {arousal:+.2f}", f"any emotion at all: {verdict.confidence[0]:.0%}"]
        share = 0.0
        if asked is not None:
            state = asked.at(1.0) if isinstance(asked, EmotionArc) else asked
            if not state.is_neutral:
                share = float(shares[MIKELS.index(state.dominant)])
                lines.append(f"asked for {state.dominant}: {share:.0%}")
        report = "\n".join(lines)
        return {"ui": {"text": [report]}, "result": (MIKELS[order[0]], share, report)}
