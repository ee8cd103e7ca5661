"""emogen's nodes for ComfyUI: an emotion for Wan models, from words, mixtures, points and arcs.

ComfyUI loads this folder from its custom_nodes. The nodes import the emogen package of the checkout which the folder
belongs to: a package of that name on the registry is somebody else's.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

if "emogen" not in sys.modules:  # by its path, so that nothing else of the checkout becomes importable
    _HOME = Path(__file__).resolve().parents[1] / "emogen"  # resolved: the folder is often a link
    _SPEC = spec_from_file_location("emogen", _HOME / "__init__.py", submodule_search_locations=[str(_HOME)])
    sys.modules["emogen"] = _EMOGEN = module_from_spec(_SPEC)
    _SPEC.loader.exec_module(_EMOGEN)

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
