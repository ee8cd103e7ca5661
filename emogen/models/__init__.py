"""Networks: the emotion encoder, the attention processor, and the adapter that holds them together."""

from emogen.emotion import latent_frame_times
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
