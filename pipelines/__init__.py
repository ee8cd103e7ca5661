"""Diffusers pipelines that take an emotion."""

from emogen.pipelines.defaults import GenerationDefaults
from emogen.pipelines.images import fit_image
from emogen.pipelines.mixin import EmotionAdapterMixin
from emogen.pipelines.wan import EmotionWanPipeline
from emogen.pipelines.wan_i2v import EmotionWanImageToVideoPipeline

__all__ = [
    "EmotionAdapterMixin",
    "EmotionWanImageToVideoPipeline",
    "EmotionWanPipeline",
    "GenerationDefaults",
    "fit_image",
]
