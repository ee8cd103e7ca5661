"""Diffusers pipelines that take an emotion, imported when they are first asked for."""

from __future__ import annotations

if not __name__.startswith("emogen."):
    raise ImportError(f"import emogen.pipelines, not {__name__}: under another name it is a second copy")

from typing import TYPE_CHECKING

from emogen.lazy import lazily

_HOMES = {
    "EmotionAdapterMixin": "mixin",
    "EmotionWanImageToVideoPipeline": "wan_i2v",
    "EmotionWanPipeline": "wan",
    "GenerationDefaults": "defaults",
    "fit_image": "images",
}

__all__ = [
    "EmotionAdapterMixin",
    "EmotionWanImageToVideoPipeline",
    "EmotionWanPipeline",
    "GenerationDefaults",
    "fit_image",
]

if TYPE_CHECKING:
    from emogen.pipelines.defaults import GenerationDefaults
    from emogen.pipelines.images import fit_image
    from emogen.pipelines.mixin import EmotionAdapterMixin
    from emogen.pipelines.wan import EmotionWanPipeline
    from emogen.pipelines.wan_i2v import EmotionWanImageToVideoPipeline


__getattr__, __dir__ = lazily(__name__, _HOMES)
