"""Wan text-to-video with an emotion."""

from collections.abc import Sequence
from typing import Any

from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from transformers import AutoTokenizer, UMT5EncoderModel

from emogen.emotion.given import EmotionLike
from emogen.pipelines.emotion_call import EmotionArguments, bound, merged_signature
from emogen.pipelines.guidance import EmotionGuidanceLike
from emogen.pipelines.mixin import EmotionAdapterMixin


class EmotionWanPipeline(EmotionAdapterMixin, WanPipeline):
    """`WanPipeline` with `emotion=`.

    Everything of the stock pipeline works as before; with no emotion, a neutral one or `emotion_scale=0` the
    result is the stock pipeline's bit for bit, also with an adapter loaded.

        pipe = EmotionWanPipeline.from_pretrained("Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
        pipe.load_emotion_adapter("folder/of/an/adapter")
        video = pipe("a lighthouse on a cliff", emotion="awe:0.8").frames[0]
    """

    _stock_class_name = "WanPipeline"

    # diffusers reads the names and (unpostponed) annotations here to find the components, so they are
    # spelled out.
    def __init__(
        self,
        tokenizer: AutoTokenizer,
        text_encoder: UMT5EncoderModel,
        vae: AutoencoderKLWan,
        scheduler: FlowMatchEulerDiscreteScheduler,
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
        **kwargs: Any,
    ):
        """Generate videos. Takes every argument of `WanPipeline.__call__`, and:

        Args:
            emotion: text ("awe", "sadness:0.6", "joy:0.7+awe:0.3", "va:0.8,0.3", "0:fear 0.6:fear
                1:amusement"), an `EmotionState`, an `EmotionArc`, or a list with one for each prompt (None
                is neutral). Without an adapter it becomes a sentence of the prompt.
            negative_emotion: what guidance steers away from, in the same forms; neutral by default. Has no
                effect without guidance of text or emotion.
            emotion_scale: factor on what the adapter adds, times `set_emotion_scale`'s.
            emotion_guidance_scale: g_e in `u + g_t (c_t - u) + g_e (c_te - c_t)`, where g_t is `guidance_scale`, u
                is (negative prompt, negative emotion), c_t (prompt, negative emotion) and c_te (prompt, emotion).
                None is g_t itself, exactly ordinary guidance. A number of at least 0; a list with one for each
                step; or a function of the share of the steps that lie behind, from 0 to just below 1. Steps where
                it differs from g_t take a third pass (see `batch_emotion_guidance`). With `guidance_scale=1` only
                the emotion is guided. 0 leaves the emotion out.
            guidance_interval: (start, end), the share of the steps, counted from the noise, in which
                `emotion_guidance_scale` holds; before `start` and from `end` on the emotion is guided like the
                text, without a third pass.

        Arguments that are not given come from `pipe.generation_defaults`, and then from the stock pipeline.

        Raises:
            UnknownEmotionError: a word is no known emotion.
            ValueError: a number that is not finite; a list of the wrong length; an arc or an `emotion_guidance_scale`
                without an adapter; a negative scale; an interval that is reversed or outside 0-1.
            NotFiniteError: the sampling gave nan or infinity; the message names the step.
        """
        call = super().__call__
        asked = EmotionArguments(emotion, negative_emotion, emotion_scale, emotion_guidance_scale, guidance_interval)
        return self._call_with_emotion(call, bound(call, args, kwargs), asked)

    __call__.__signature__ = merged_signature(WanPipeline.__call__, __call__)
