"""Networks: the emotion encoder, the attention processor, and the adapter that holds them together.

Each name is imported when it is first used: the encoder, the emotion's attention and a folder's weights need no
diffusers, and so run in programs that have their own transformer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emogen.emotion import latent_frame_times
from emogen.lazy import lazily

_HOMES = {
    "AdapterMismatchError": "config",
    "EmotionAdapter": "adapter",
    "EmotionAdapterConfig": "config",
    "EmotionEncoder": "encoder",
    "EmotionTensors": "encoder",
    "EmotionWanAttnProcessor": "processor",
    "TailLayout": "processor",
    "attach_emotion_adapter": "adapter",
    "detach_emotion_adapter": "adapter",
    "get_emotion_adapter": "adapter",
    "latent_frame_count": "processor",
    "load_emotion_adapter": "storage",
    "save_emotion_adapter": "storage",
}

__all__ = [
    "AdapterMismatchError",
    "EmotionAdapter",
    "EmotionAdapterConfig",
    "EmotionEncoder",
    "EmotionTensors",
    "EmotionWanAttnProcessor",
    "TailLayout",
    "attach_emotion_adapter",
    "detach_emotion_adapter",
    "get_emotion_adapter",
    "latent_frame_count",
    "latent_frame_times",
    "load_emotion_adapter",
    "save_emotion_adapter",
]

if TYPE_CHECKING:
    from emogen.models.adapter import (
        EmotionAdapter,
        attach_emotion_adapter,
        detach_emotion_adapter,
        get_emotion_adapter,
    )
    from emogen.models.config import AdapterMismatchError, EmotionAdapterConfig
    from emogen.models.encoder import EmotionEncoder, EmotionTensors
    from emogen.models.processor import EmotionWanAttnProcessor, TailLayout, latent_frame_count
    from emogen.models.storage import load_emotion_adapter, save_emotion_adapter


__getattr__, __dir__ = lazily(__name__, _HOMES)
