"""emogen's nodes for ComfyUI: an emotion for Wan models, from words, mixtures, points and arcs.

ComfyUI loads this folder from its custom_nodes. The nodes import the emogen package: the installed one, or that of the
checkout which this folder belongs to.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("emogen") is None:
    sys.path.append(str(Path(__file__).resolve().parents[1]))  # resolved: the folder is often a link

from .adapter import ApplyAdapterLora, LoadEmotionAdapter
from .curve import PreviewEmotion
from .embedded import DecodeEmbedded, EncodeEmbeddedPrompt, LoadEmbeddedModel
from .emotion_nodes import EmotionArcNode, EmotionMixture, EmotionPoint, EmotionWords
from .guidance import GuideEmotion
from .judge import JudgeEmotion
from .patch import ApplyEmotion

NODE_CLASS_MAPPINGS = {
    "EmogenWords": EmotionWords,
    "EmogenMixture": EmotionMixture,
    "EmogenPoint": EmotionPoint,
    "EmogenArc": EmotionArcNode,
    "EmogenPreview": PreviewEmotion,
    "EmogenLoadAdapter": LoadEmotionAdapter,
    "EmogenAdapterLora": ApplyAdapterLora,
    "EmogenApply": ApplyEmotion,
    "EmogenGuidance": GuideEmotion,
    "EmogenJudge": JudgeEmotion,
    "EmogenEmbeddedModel": LoadEmbeddedModel,
    "EmogenEmbeddedPrompt": EncodeEmbeddedPrompt,
    "EmogenEmbeddedDecode": DecodeEmbedded,
}

NODE_DISPLAY_NAME_MAPPINGS = {
    "EmogenWords": "Emotion from words",
    "EmogenMixture": "Emotion from a mixture",
    "EmogenPoint": "Emotion from a point",
    "EmogenArc": "Emotion that changes (arc)",
    "EmogenPreview": "Preview emotion",
    "EmogenLoadAdapter": "Load emotion adapter",
    "EmogenAdapterLora": "Apply the adapter's LoRA",
    "EmogenApply": "Apply emotion",
    "EmogenGuidance": "Emotion guidance",
    "EmogenJudge": "Judge emotion",
    "EmogenEmbeddedModel": "Load emogen's embedded model",
    "EmogenEmbeddedPrompt": "Prompt of the embedded model",
    "EmogenEmbeddedDecode": "Decode of the embedded model",
}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
