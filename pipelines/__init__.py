"""Diffusers pipelines that take an emotion."""

from emogen.pipelines.defaults import GenerationDefaults
from emogen.pipelines.mixin import EmotionAdapterMixin
from emogen.pipelines.wan import EmotionWanPipeline

__all__ = ["EmotionAdapterMixin", "EmotionWanPipeline", "GenerationDefaults"]
