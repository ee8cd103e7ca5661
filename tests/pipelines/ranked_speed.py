"""A clip shared by two processes, for tests: `torchrun --nproc_per_node 2 ranked_speed.py`.

diffusers asks for an accelerator a process; two CPU processes say here that they have them.
"""

import faulthandler
import os
import sys
from pathlib import Path

import pytest
import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
torch.set_num_threads(1)
torch.accelerator.device_count = lambda: 2

from conftest import CALL, components, quiet, train_at_random  # noqa: E402

from emogen.models import EmotionAdapterConfig  # noqa: E402
from emogen.pipelines import EmotionWanPipeline  # noqa: E402
from emogen.pipelines.speed import SpeedError, SpeedOptions, apply_speed  # noqa: E402


def dressed():
    pipe = quiet(EmotionWanPipeline(**components()))
    config = EmotionAdapterConfig(rank=64, head_dim=32, hidden_dim=16, text_length=12)
    train_at_random(pipe.add_emotion_adapter(config))
    return pipe


def latents(pipe, **arguments):
    generator = torch.Generator().manual_seed(5)
    call = CALL | {"num_inference_steps": 5, "generator": generator, "output_type": "latent"} | arguments
    return pipe("a red ball", **call).frames


def main():
    faulthandler.dump_traceback_later(400, exit=True)  # processes that wait for each other for ever say where
    pipe = dressed()
    calls = [{"emotion": "fear"}, {}, {"emotion": "fear", "emotion_guidance_scale": 6.0}]
    expected = [latents(pipe, **call) for call in calls]
    taylor = dressed()
    apply_speed(taylor, SpeedOptions(cache="taylorseer"))
    extrapolated = latents(taylor, emotion="fear")

    shared = dressed()
    words = apply_speed(shared, SpeedOptions(ulysses=2))
    assert words == ["each clip is shared by 2 processes"], words
    for call, latent in zip(calls, expected, strict=True):
        torch.testing.assert_close(latents(shared, **call), latent, atol=1e-4, rtol=1e-4)
    assert (expected[0] - expected[1]).abs().mean() > 1e-3
    with pytest.raises(NotImplementedError, match="cannot run under context parallelism"):
        latents(shared, emotion="0:fear 1:awe")

    both = dressed()
    apply_speed(both, SpeedOptions(ulysses=2, cache="taylorseer"))
    torch.testing.assert_close(latents(both, emotion="fear"), extrapolated, atol=1e-4, rtol=1e-4)
    assert (extrapolated - expected[0]).abs().mean() > 1e-4

    for options, message in (
        (SpeedOptions(ulysses=4), "makes 4 processes, and 2 are running"),
        (SpeedOptions(ring=2), "--ring needs the attention's own sums"),
    ):
        with pytest.raises(SpeedError, match=message):
            apply_speed(dressed(), options)
    print("shared", flush=True)
    torch.distributed.barrier()
    os._exit(0)  # before gloo's threads, which a device mesh keeps alive, meet an interpreter that is taken down


main()
