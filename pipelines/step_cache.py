"""Step caches of diffusers on a Wan transformer that carries an emotion adapter.

The caches keep a state for each `cache_context`, so that the branches of guidance (with the prompt, without, and
"cond_text" and "cond_both" of `emotion_guidance_scale`) do not mix. Within a branch the emotion is a part of what is
cached.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

from diffusers import FirstBlockCacheConfig, MagCacheConfig, TaylorSeerCacheConfig
from torch import nn

from emogen.models.compat import mag_cache_ratios, reset_step_cache
from emogen.pipelines.speed_options import SpeedError, SpeedOptions


def cache_config(options: SpeedOptions, transformer: nn.Module, steps: int) -> Any:
    """diffusers' configuration of the options' cache.

    Args:
        steps: denoising steps of the calls to come.

    Raises:
        SpeedError: the transformer is too shallow for the cache, or the warm-up longer than the call.
    """
    if options.cache in ("first_block", "magcache") and len(transformer.blocks) < 2:
        raise SpeedError(f"--cache {options.cache} skips the blocks after the first; this transformer has only one")
    if options.cache_warmup is not None and options.cache_warmup >= steps:
        raise SpeedError(f"--cache_warmup is {options.cache_warmup} of {steps} steps; nothing would be skipped")
    if options.cache == "first_block":
        return FirstBlockCacheConfig(threshold=_given(options.cache_threshold, 0.05))
    if options.cache == "taylorseer":
        # The light form extrapolates the output of the whole transformer. diffusers' other form would keep every
        # attention's output, tens of gigabytes for a clip; and its default patterns match no layer of Wan at all.
        return TaylorSeerCacheConfig(
            cache_interval=_given(options.cache_interval, 5),
            disable_cache_before_step=_given(options.cache_warmup, 3),
            max_order=_given(options.cache_order, 1),
            taylor_factors_dtype=transformer.dtype,
            use_lite_mode=True,
        )
    warmup = options.cache_warmup
    return MagCacheConfig(
        threshold=_given(options.cache_threshold, 0.06),
        max_skip_steps=_given(options.cache_max_skip, 3),
        retention_ratio=0.2 if warmup is None else warmup / steps,
        num_inference_steps=steps,
        mag_ratios=list(options.mag_ratios),
    )


def reset_caches(pipe: Any) -> None:
    """Forget what the caches of a pipeline keep. A call that ends does this itself; one that is interrupted (by an
    exception, or Ctrl-C) does not, and the next call would take the state for its own."""
    for component in pipe.components.values():
        reset_step_cache(component)


def measure_mag_ratios(pipe: Any, *args: Any, **call: Any) -> list[float]:
    """Run one call and return how the size of the transformer's residual changes from step to step, one number a step,
    which MagCache needs of a model (diffusers' calibration, whose numbers it only prints).

    Args:
        args, call: of the pipeline; best with the scheduler, the number of steps and the guidance of later calls.

    Raises:
        SpeedError: the model has two transformers, or a cache is on.
    """
    if getattr(pipe, "transformer_2", None) is not None:
        raise SpeedError("MagCache counts the steps of one transformer, and this model has two")
    transformer = pipe.transformer
    if transformer.is_cache_enabled:
        raise SpeedError("a cache is on already: measure the ratios on a pipeline without one")
    measured: list[float] = []

    def note(_pipe: Any, _step: int, _timestep: Any, kwargs: dict) -> dict:
        measured[:] = mag_cache_ratios(transformer)
        return kwargs

    # One step more than any call has: at its last step the hook prints the numbers and forgets them.
    transformer.enable_cache(MagCacheConfig(calibrate=True, num_inference_steps=10**6))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            pipe(*args, callback_on_step_end=note, **{"output_type": "latent", **call})
    finally:
        reset_caches(pipe)
        transformer.disable_cache()
    return measured


def call_steps(pipe: Any, options: SpeedOptions) -> int:
    """Denoising steps of the calls to come, as far as it is known before them."""
    defaults = getattr(pipe, "generation_defaults", None)
    return options.num_inference_steps or (defaults and defaults.num_inference_steps) or 50


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value
