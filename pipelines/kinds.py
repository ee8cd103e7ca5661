"""How a pipeline comes by its model: of the right kind, and from another pipeline with what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import WanTransformer3DModel

HUB_ARGUMENTS = ("cache_dir", "token", "revision", "local_files_only", "force_download")


class ModelKindMixin:
    """Refuses a model that the pipeline's class cannot run, by the channels of its transformer.

    A text-to-video transformer takes as many channels as it makes. An image-to-video one takes mask and first frame
    beside the noise. Wan2.2's TI2V, marked by `expand_timesteps`, takes no more channels and is both.
    """

    _takes_image: bool = False

    def __init__(self, **components: Any):
        for name in ("transformer", "transformer_2"):
            if components.get(name) is not None:
                expands = bool(components.get("expand_timesteps"))
                check_kind(components[name].config, expands, self._takes_image, f"the given {name}")
        super().__init__(**components)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any):
        """As the stock pipeline's.

        Raises:
            ValueError: before anything is loaded, if the model is one for the other class.
        """
        if "transformer" not in kwargs:  # one that is given is seen by __init__
            hub = {name: kwargs[name] for name in HUB_ARGUMENTS if name in kwargs}
            try:
                index = cls.load_config(pretrained_model_name_or_path, **hub)
                config = WanTransformer3DModel.load_config(
                    pretrained_model_name_or_path, subfolder="transformer", **hub
                )
            except (OSError, ValueError):
                pass  # no model at all, or one without its first transformer: what follows says so better
            else:
                expands = bool(kwargs.get("expand_timesteps", index.get("expand_timesteps")))
                check_kind(config, expands, cls._takes_image, str(pretrained_model_name_or_path))
        return super().from_pretrained(pretrained_model_name_or_path, **kwargs)

    @classmethod
    def from_pipe(cls, pipeline: Any, **kwargs: Any):
        """As the stock pipeline's; from an emotion pipeline with its defaults, and with the scale and the LoRA of the
        adapter that they then share."""
        pipe = super().from_pipe(pipeline, **kwargs)
        if isinstance(pipeline, ModelKindMixin):
            pipe.generation_defaults = pipeline.generation_defaults
            if pipe.emotion_adapter is not None and pipe.emotion_adapter is pipeline.emotion_adapter:
                pipe._emotion_scale, pipe._emotion_lora = pipeline._emotion_scale, pipeline._emotion_lora
        return pipe


def check_kind(config: Mapping[str, Any], expand_timesteps: bool, takes_image: bool, name: str) -> None:
    """Refuse a transformer of the other kind; one that is of neither is left to the stock pipeline.

    Args:
        config: the transformer's.
        name: of the model, for the error.

    Raises:
        ValueError: naming the class to use.
    """
    inside = config.get("in_channels", 0)
    outside = config.get("out_channels") or inside
    if takes_image and inside == outside and not expand_timesteps:
        raise ValueError(
            f"{name} is a text-to-video model ({inside} channels in and out, none for a first frame): use "
            "EmotionWanPipeline, or load an image-to-video model such as Wan-AI/Wan2.1-I2V-14B-480P-Diffusers"
        )
    if not takes_image and inside > 2 * outside:
        raise ValueError(
            f"{name} is an image-to-video model ({inside} channels in, {outside} out): use "
            "EmotionWanImageToVideoPipeline"
        )
