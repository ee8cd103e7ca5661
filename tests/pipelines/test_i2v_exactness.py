"""Image-to-video in all its forms: at rest the stock pipeline's clip bit for bit, otherwise another."""

import os
import subprocess
import sys

import pytest
import torch
from diffusers import WanImageToVideoPipeline
from wan_i2v_parts import FORMS, film, picture, tiny_i2v

from emogen.emotion import EmotionArc
from emogen.models import EmotionAdapterConfig
from emogen.pipelines import EmotionWanImageToVideoPipeline

LAST = {"last_image": picture(seed=8)}
ADAPTER = EmotionAdapterConfig(rank=64, head_dim=32, hidden_dim=16)


def ends(form):
    return LAST if form == "flf2v" else {}


@pytest.fixture
def clips(make_pipe):
    """By form: the pipeline with an untrained adapter, and the stock pipeline's clip of the same weights."""

    def make(form):
        pipe = tiny_i2v(make_pipe, EmotionWanImageToVideoPipeline, form)
        pipe.add_emotion_adapter(ADAPTER)
        return pipe, film(tiny_i2v(make_pipe, WanImageToVideoPipeline, form), **ends(form))

    return make


@pytest.mark.parametrize("form", FORMS)
def test_without_an_adapter(form, make_pipe):
    pipe, stock = (tiny_i2v(make_pipe, k, form) for k in (EmotionWanImageToVideoPipeline, WanImageToVideoPipeline))
    assert torch.equal(film(pipe, **ends(form)), film(stock, **ends(form)))


@pytest.mark.parametrize("form", FORMS)
def test_each_form(form, clips, train):
    pipe, base = clips(form)
    for emotion in ("fear", "0:fear 1:awe"):
        assert torch.equal(film(pipe, emotion=emotion, **ends(form)), base)
    train(pipe.emotion_adapter)
    at_rest = [{}, {"emotion": "neutral"}, {"emotion": "fear:0"}, {"emotion": "0:neutral 1:neutral"}]
    scaled = [{"emotion": "fear"}, {"emotion": "0:fear 1:awe"}, {"negative_emotion": "fear"}]
    for call in (*at_rest, *(c | {"emotion_scale": 0} for c in scaled)):
        assert torch.equal(film(pipe, **call, **ends(form)), base), call
    fear, awe = (film(pipe, emotion=emotion, **ends(form)) for emotion in ("fear", "awe"))
    for one, other in ((fear, base), (awe, base), (fear, awe)):
        assert (one - other).abs().mean() > 1e-3
    arc = film(pipe, emotion="0:fear 1:awe", **ends(form))
    for other in (fear, awe, base):
        assert (arc - other).abs().mean() > 1e-4
    assert torch.equal(film(pipe, emotion="fear", **ends(form)), fear)
    assert torch.equal(film(pipe, **ends(form)), base)  # nothing of a call outlives it


@pytest.mark.parametrize("form", FORMS)
def test_guidance_of_the_emotion(form, clips, train):
    pipe, base = clips(form)
    train(pipe.emotion_adapter)
    call = ends(form) | {"emotion": "fear"}
    ordinary = film(pipe, **call)
    for scale in (3.0, [3.0, None], lambda share: 3.0):
        assert torch.equal(film(pipe, emotion_guidance_scale=scale, **call), ordinary)
    strong = film(pipe, emotion_guidance_scale=6.0, **call)
    assert (strong - ordinary).abs().mean() > 1e-3
    pipe.batch_emotion_guidance = True
    batched = film(pipe, emotion_guidance_scale=6.0, **call)
    torch.testing.assert_close(batched, strong, atol=1e-4, rtol=1e-4)
    at_rest = ends(form) | {"emotion": "fear", "emotion_scale": 0.0}
    assert torch.equal(film(pipe, emotion_guidance_scale=6.0, **at_rest), base)


def test_no_guidance_of_the_text(clips, make_pipe, train):
    pipe, _ = clips("wan2.1")
    train(pipe.emotion_adapter)
    base = film(tiny_i2v(make_pipe, WanImageToVideoPipeline), guidance_scale=1.0)
    assert torch.equal(film(pipe, guidance_scale=1.0), base)
    assert (film(pipe, guidance_scale=1.0, emotion="fear") - base).abs().mean() > 1e-4


@pytest.mark.parametrize("form", ["wan2.1", "wan2.2"])
def test_arcs(form, clips, train):
    pipe, _ = clips(form)
    train(pipe.emotion_adapter)
    plain = film(pipe, emotion="fear:0.8")
    for arc in ("0:fear:0.8 1:fear:0.8", EmotionArc.constant("fear:0.8")):
        assert torch.equal(film(pipe, emotion=arc), plain)
    forth, back = (film(pipe, emotion=arc, num_frames=9) for arc in ("0:fear 1:awe", "0:awe 1:fear"))
    assert forth.shape[1] == 9 and (forth - back).abs().mean() > 1e-4


def test_images_count(clips, train):
    pipe, base = clips("wan2.1")
    train(pipe.emotion_adapter)
    other = film(pipe, image=picture(seed=3))
    assert (other - base).abs().mean() > 1e-4
    pipe, base = clips("flf2v")
    assert (film(pipe, last_image=picture(seed=3)) - base).abs().mean() > 1e-4


def test_a_last_image_without_an_image_branch(clips, make_pipe, train):
    """Wan2.2 reads it from the latents."""
    stock = tiny_i2v(make_pipe, WanImageToVideoPipeline, "wan2.2")
    pipe, base = clips("wan2.2")
    train(pipe.emotion_adapter)
    expected = film(stock, **LAST)
    assert torch.equal(film(pipe, **LAST), expected) and not torch.equal(expected, base)


@pytest.mark.parametrize("size", [(40, 24), (24, 40), (16, 16)])
def test_images_are_stretched_to_a_size_that_is_given(size, clips, make_pipe):
    pipe, _ = clips("wan2.1")
    image = picture(*size)
    assert torch.equal(film(pipe, image=image), film(tiny_i2v(make_pipe, WanImageToVideoPipeline), image=image))


def test_the_stock_pipeline_runs_on_a_dressed_transformer(clips, make_pipe, train):
    pipe, base = clips("wan2.1")
    train(pipe.emotion_adapter)
    stock = tiny_i2v(make_pipe, WanImageToVideoPipeline, transformer=pipe.transformer)
    assert torch.equal(film(stock), base)


def test_a_failed_call_leaves_nothing(clips, train):
    def fail(*_):
        raise KeyboardInterrupt

    pipe, base = clips("wan2.1")
    train(pipe.emotion_adapter)
    with pytest.raises(KeyboardInterrupt):
        film(pipe, emotion="fear", emotion_scale=0.5, callback_on_step_end=fail)
    assert pipe.emotion_adapter.scale == 1 and torch.equal(film(pipe), base)


def test_the_import_is_late_and_quiet():
    code = """
import logging, sys
import emogen.pipelines
assert "torch" not in sys.modules
from emogen import EmotionWanPipeline
stock = "diffusers.pipelines.wan.pipeline_wan_i2v"
assert stock not in sys.modules
from emogen.pipelines import EmotionWanImageToVideoPipeline
assert stock in sys.modules
logging.getLogger("transformers.utils.import_utils").warning("other news")
logging.getLogger("transformers.utils.import_utils").warning("`CLIPImageProcessor` requires torchvision, again")
"""
    # a command that ran in this process before may have asked transformers for silence
    loud = {name: value for name, value in os.environ.items() if name != "TRANSFORMERS_VERBOSITY"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=loud)
    assert ran.returncode == 0, ran.stderr
    assert "falling back" not in ran.stderr and "other news" in ran.stderr
    assert "torchvision, again" in ran.stderr  # the filter stands only during the import
