"""Wan image-to-video with an emotion."""

import inspect
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
from transformers import AutoTokenizer, CLIPVisionModel, UMT5EncoderModel

from emogen.emotion import EmotionArc
from emogen.emotion.given import EmotionLike, read_emotions
from emogen.models import latent_frame_count
from emogen.pipelines.emotion_call import (
    EmotionArguments,
    bound,
    count_prompts,
    merged_signature,
)
from emogen.pipelines.guidance import EmotionGuidanceLike
from emogen.pipelines.images import Colour, cover, fit_size, read_image
from emogen.pipelines.mixin import EmotionAdapterMixin


def _is_news(record: logging.LogRecord) -> bool:
    """Where torchvision is missing, transformers says on this import, which diffusers' pipeline makes too, that the
    processor made with Pillow takes its place. That one is enough here, and there is nothing to be done about it."""
    return not record.getMessage().startswith("`CLIPImageProcessor` requires torchvision")


_logger = logging.getLogger("transformers.utils.import_utils")
_logger.addFilter(_is_news)
try:
    from diffusers import WanImageToVideoPipeline
    from transformers import CLIPImageProcessor
finally:
    _logger.removeFilter(_is_news)

_PIXEL_MULTIPLE = 16  # the stock pipeline takes no other heights and widths
_TEXT_LENGTH = 512  # where Wan's attention to image and text splits them


class EmotionWanImageToVideoPipeline(EmotionAdapterMixin, WanImageToVideoPipeline):
    """`WanImageToVideoPipeline` with `emotion=`: for Wan2.1 I2V and FLF2V, and Wan2.2 I2V and TI2V.

    With no emotion, a neutral one or `emotion_scale=0` the result is the stock pipeline's bit for bit, also with an
    adapter loaded.

        pipe = EmotionWanImageToVideoPipeline.from_pretrained("Wan-AI/Wan2.1-I2V-14B-480P-Diffusers")
        pipe.load_emotion_adapter("folder/of/an/adapter")
        video = pipe("first_frame.png", "a lighthouse on a cliff", emotion="awe:0.8").frames[0]
    """

    _stock_class_name = "WanImageToVideoPipeline"
    _takes_image = True

    # diffusers reads the names and (unpostponed) annotations here to find the components, so they are
    # spelled out.
    def __init__(
        self,
        tokenizer: AutoTokenizer,
        text_encoder: UMT5EncoderModel,
        vae: AutoencoderKLWan,
        scheduler: FlowMatchEulerDiscreteScheduler,
        image_processor: CLIPImageProcessor | None = None,
        image_encoder: CLIPVisionModel | None = None,
        transformer: WanTransformer3DModel | None = None,
        transformer_2: WanTransformer3DModel | None = None,
        boundary_ratio: float | None = None,
        expand_timesteps: bool = False,
    ):
        super().__init__(
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            vae=vae,
            scheduler=scheduler,
            image_processor=image_processor,
            image_encoder=image_encoder,
            transformer=transformer,
            transformer_2=transformer_2,
            boundary_ratio=boundary_ratio,
            expand_timesteps=expand_timesteps,
        )

    def __call__(
        self,
        *args: Any,
        emotion: EmotionLike | Sequence[EmotionLike | None] | None = None,
        negative_emotion: EmotionLike | Sequence[EmotionLike | None] | None = None,
        emotion_scale: float = 1.0,
        emotion_guidance_scale: EmotionGuidanceLike | None = None,
        guidance_interval: Sequence[float] | None = None,
        background: Colour = "white",
        **kwargs: Any,
    ):
        """Generate videos that begin with an image. Takes every argument of `WanImageToVideoPipeline.__call__`, and
        the emotion arguments of `EmotionWanPipeline.__call__`. What differs from the stock pipeline:

        Args:
            image: a PIL image, the path of an image file, or a tensor [C, H, W] or [1, C, H, W], uint8 or in [0, 1]
                (see `read_image`); one for all prompts.
            last_image: in the same forms, what the clip ends with: with models that know it (Wan2.1 FLF2V, Wan2.2 I2V).
            height, width: in pixels. With neither, the image keeps its proportions in as many pixels as the model's
                own height and width have (`fit_image`); with one, the other follows from the image. With both, images
                are stretched to them, as in the stock pipeline.
            num_videos_per_prompt: also for models with an image encoder, where the stock pipeline fails.
            emotion: an arc needs a clip of at least two latent frames (five frames).
            background: colour that transparent parts of the images lie on, by name, "#rrggbb" or (r, g, b). Without
                effect on images that have none.

        Arguments that are not given come from `pipe.generation_defaults`, and then from the stock pipeline.

        Raises:
            UnknownEmotionError: a word is no known emotion.
            FileNotFoundError: no file at an image's path.
            TypeError: an image is a list, or something else that is none.
            ValueError: what is no image; a `last_image` that the model cannot use, or lacks; latents of another
                shape than the clip's; an arc over one latent frame; a text length other than 512 for a model with an
                image encoder; and what `EmotionWanPipeline.__call__` refuses.
        """
        call = super().__call__
        arguments = self._with_defaults(self._with_pictures(call, bound(call, args, kwargs), background))
        self._check_model(call, arguments)
        prompts = count_prompts(arguments)
        self._check_latents(call, arguments, prompts)
        emotions = read_emotions(emotion, prompts)
        negatives = read_emotions(negative_emotion, prompts, "negative_emotion")
        if any(isinstance(e, EmotionArc) for e in (*emotions, *negatives)):
            self._check_length(call, arguments, "an emotion that changes over the clip")
        repeats = arguments.get("num_videos_per_prompt") or 1
        if repeats > 1 and self._model.config.image_dim is not None:
            arguments = _one_prompt_for_each_video(arguments, repeats)
            emotions, negatives = ([e for e in many for _ in range(repeats)] for many in (emotions, negatives))
        asked = EmotionArguments(emotions, negatives, emotion_scale, emotion_guidance_scale, guidance_interval)
        return self._call_with_emotion(call, arguments, asked)

    __call__.__signature__ = merged_signature(WanImageToVideoPipeline.__call__, __call__)

    @property
    def _model(self) -> torch.nn.Module:
        """The transformer, or the second where that is the only one."""
        return self.transformer if self.transformer is not None else self.transformer_2

    def _with_pictures(self, call: Callable, arguments: dict[str, Any], background: Colour) -> dict[str, Any]:
        """The arguments with RGB images and, if the caller did not give both, a height and a width."""
        arguments = dict(arguments)
        if arguments.get("image") is None:
            raise ValueError(
                "image is missing: give the picture that the clip begins with (image_embeds do not replace it, because "
                "the first frame's latents are made from it)"
            )
        pictures = {
            name: read_image(arguments[name], name, background)
            for name in ("image", "last_image")
            if arguments.get(name) is not None
        }
        if arguments.get("height") is None or arguments.get("width") is None:
            image = pictures["image"]
            width, height = self._size_for(
                call, image.width / image.height, arguments.get("width"), arguments.get("height")
            )
            pictures = {name: cover(picture, width, height) for name, picture in pictures.items()}
            arguments |= {"width": width, "height": height}
        return arguments | pictures

    def _size_for(self, call: Callable, aspect: float, width: int | None, height: int | None) -> tuple[int, int]:
        """Width and height of the clip, of which the caller gave at most one."""
        multiple = math.lcm(_PIXEL_MULTIPLE, self.vae_scale_factor_spatial * max(self._model.config.patch_size[1:]))
        if height is None and width is None:
            stock = inspect.signature(call).parameters
            defaults = self.generation_defaults
            area = (defaults.height or stock["height"].default) * (defaults.width or stock["width"].default)
            return fit_size(aspect, area, multiple)
        if height is None:
            return width, max(1, round(width / aspect / multiple)) * multiple
        return max(1, round(height * aspect / multiple)) * multiple, height

    def _check_model(self, call: Callable, arguments: dict[str, Any]) -> None:
        """Refuse what the stock pipeline would run into late, or would silently do wrong."""
        config, last = self._model.config, arguments.get("last_image") is not None
        if last and self.config.expand_timesteps:
            raise ValueError("this model (Wan2.2 TI2V) knows only a first frame; leave last_image out")
        if last and config.image_dim is not None and config.pos_embed_seq_len is None:
            raise ValueError(
                "this model knows only a first frame; leave last_image out, or load a first-and-last-frame model such "
                "as Wan-AI/Wan2.1-FLF2V-14B-720P-diffusers"
            )
        if not last and config.pos_embed_seq_len is not None:
            raise ValueError("this model makes the frames between two images; give last_image")
        if last:
            self._check_length(call, arguments, "last_image")
        if config.image_dim is not None and (self.image_encoder is None or self.image_processor is None):
            raise ValueError(
                "this model needs image_encoder and image_processor, and the pipeline has none; load them from the "
                "model's folders of those names"
            )
        if config.added_kv_proj_dim is None:
            return
        lengths = {"max_sequence_length": arguments.get("max_sequence_length", _TEXT_LENGTH)}
        for name in ("prompt_embeds", "negative_prompt_embeds"):
            if arguments.get(name) is not None:
                lengths[name] = arguments[name].shape[1]
        for name, length in lengths.items():
            if length != _TEXT_LENGTH:
                raise ValueError(
                    f"this model takes {_TEXT_LENGTH} text tokens, and {name} has {length}: it would then take text "
                    f"for image tokens. Set max_sequence_length={_TEXT_LENGTH}, and pad embeddings to it"
                )

    def _check_latents(self, call: Callable, arguments: dict[str, Any], prompts: int) -> None:
        latents = arguments.get("latents")
        if latents is None:
            return
        _, rows, columns = self._model.config.patch_size
        scale = self.vae_scale_factor_spatial
        frames = arguments.get("num_frames", inspect.signature(call).parameters["num_frames"].default)
        needed = (
            prompts * (arguments.get("num_videos_per_prompt") or 1),
            self.vae.config.z_dim,
            latent_frame_count(frames, self.vae_scale_factor_temporal),
            arguments["height"] // (scale * rows) * rows,
            arguments["width"] // (scale * columns) * columns,
        )
        if tuple(latents.shape) != needed:
            raise ValueError(
                f"latents have the shape {tuple(latents.shape)}, and this call's are {needed}: videos, channels, "
                "latent frames, rows, columns; set num_frames, height and width to those of the latents"
            )

    def _check_length(self, call: Callable, arguments: dict[str, Any], what: str) -> None:
        if self._latent_frames(arguments, call) < 2:
            raise ValueError(
                f"{what} needs a clip of at least two latent frames; set num_frames to "
                f"{self.vae_scale_factor_temporal + 1} or more"
            )


def _one_prompt_for_each_video(arguments: dict[str, Any], repeats: int) -> dict[str, Any]:
    """The same videos asked for by repeated prompts: the stock pipeline repeats the image's embedding for each prompt,
    but not for each video of a prompt."""
    arguments = arguments | {"num_videos_per_prompt": 1}
    if isinstance(arguments.get("prompt"), str):
        arguments["prompt"] = [arguments["prompt"]]
    for name in ("prompt", "negative_prompt"):
        if isinstance(arguments.get(name), list):
            arguments[name] = [text for text in arguments[name] for _ in range(repeats)]
    for name in ("prompt_embeds", "negative_prompt_embeds"):
        if arguments.get(name) is not None:
            arguments[name] = arguments[name].repeat_interleave(repeats, dim=0)
    return arguments
