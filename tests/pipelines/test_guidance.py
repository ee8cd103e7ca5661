"""`emotion_guidance_scale` in calls of the pipeline, against a loop written out and against ordinary guidance."""

import pytest
import torch
from diffusers import FlowMatchHeunDiscreteScheduler

from emogen.emotion import EmotionArc
from emogen.emotion.given import read_emotion
from emogen.models.branches import branch_calls
from emogen.models.encoder import emotion_tensors

NOISE = torch.randn(2, 4, 2, 4, 4, generator=torch.Generator().manual_seed(9))


@pytest.fixture
def latents(generate):
    """The latents of a call, from fixed noise: [1, C, F, H, W]."""

    def call(pipe, prompt="a red ball", noise=NOISE[:1], **arguments):
        return generate(pipe, prompt, latents=noise, output_type="latent", **arguments)

    return call


@pytest.fixture
def two_stages(make_pipe, make_transformer, config, train):
    """Wan2.2's form: a transformer for the noisy half, another for the rest."""
    torch.manual_seed(1)
    pipe = make_pipe(transformer_2=make_transformer(), boundary_ratio=0.8)
    train(pipe.add_emotion_adapter(config))
    return pipe


@pytest.fixture
def passes():
    """Counts the forwards of a pipeline's transformers, and notes their batch sizes and cache contexts."""

    class Passes(list):
        def watch(self, pipe):
            for transformer in pipe._wan_transformers().values():
                transformer.register_forward_pre_hook(
                    lambda module, args, kwargs: self.append(kwargs["hidden_states"].shape[0]), with_kwargs=True
                )
            return self

        def of(self, call, *args, **kwargs):
            self.clear()
            call(*args, **kwargs)
            return list(self)

    return Passes()


@torch.no_grad()
def by_hand(pipe, emotion, negative, scales, steps=2):
    """The loop written out; `scales` are (g_t, g_e) of each step."""
    adapter = pipe.emotion_adapter
    text, negative_text = pipe.encode_prompt("a red ball", "", max_sequence_length=12)
    read = [read_emotion(emotion), read_emotion(negative)]
    moving = any(isinstance(e, EmotionArc) for e in read)
    with_emotion, without = (adapter.tail(emotion_tensors([e], 2, 4, moving)) for e in read)
    pipe.scheduler.set_timesteps(steps)
    sample, boundary = NOISE[:1], (pipe.config.boundary_ratio or 0) * 1000
    for t, (text_scale, scale) in zip(pipe.scheduler.timesteps, scales, strict=True):
        model = pipe.transformer if t >= boundary else pipe.transformer_2

        def predict(words, tail, model=model, t=t, sample=sample):
            return model(sample, t[None], torch.cat([words, tail], 1), return_dict=False)[0]

        adapter.text_length = 12
        u, c_t, c_te = predict(negative_text, without), predict(text, without), predict(text, with_emotion)
        sample = pipe.scheduler.step(u + text_scale * (c_t - u) + scale * (c_te - c_t), t, sample).prev_sample
    return sample


@pytest.mark.parametrize("negative", [None, "awe"])
@pytest.mark.parametrize("emotion", ["fear", "0:fear 1:amusement"])
@pytest.mark.parametrize(("text_scale", "scale"), [(3.0, 6.0), (3.0, 1.0), (3.0, 0.0), (1.0, 4.0), (1.0, 0.0)])
def test_the_formula(text_scale, scale, emotion, negative, dressed, latents):
    expected = by_hand(dressed, emotion, negative, [(text_scale, scale)] * 2)
    guidance = {"guidance_scale": text_scale, "emotion_guidance_scale": scale}
    found = latents(dressed, emotion=emotion, negative_emotion=negative, **guidance)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    ordinary = latents(dressed, emotion=emotion, negative_emotion=negative, guidance_scale=text_scale)
    assert (found - ordinary).abs().mean() > 1e-3
    dressed.batch_emotion_guidance = True
    batched = latents(dressed, emotion=emotion, negative_emotion=negative, **guidance)
    torch.testing.assert_close(batched, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("text_scale", [3.0, 1.0])
@pytest.mark.parametrize("batched", [False, True])
def test_the_texts_scale_is_ordinary_guidance(batched, text_scale, dressed, latents, passes):
    dressed.batch_emotion_guidance = batched
    ordinary = latents(dressed, emotion="fear", guidance_scale=text_scale)
    passes.watch(dressed)
    for scale in (None, text_scale, [text_scale, None], lambda share: None):
        found = latents(dressed, emotion="fear", guidance_scale=text_scale, emotion_guidance_scale=scale)
        assert torch.equal(found, ordinary)
    assert passes == [1] * 4 * 2 * (2 if text_scale > 1 else 1)


def test_how_many_passes(dressed, latents, passes):
    passes.watch(dressed)
    steps = {"num_inference_steps": 4, "emotion": "fear"}
    assert len(passes.of(latents, dressed, emotion_guidance_scale=6, **steps)) == 12
    assert len(passes.of(latents, dressed, emotion_guidance_scale=0, **steps)) == 8
    assert len(passes.of(latents, dressed, emotion_guidance_scale=6, guidance_scale=1, **steps)) == 8
    assert len(passes.of(latents, dressed, emotion_guidance_scale=6, guidance_interval=(0, 0.5), **steps)) == 10
    dressed.batch_emotion_guidance = True
    assert passes.of(latents, dressed, emotion_guidance_scale=6, **steps) == [2, 1] * 4


def test_schedules(dressed, latents):
    steps = {"num_inference_steps": 4, "emotion": "fear"}
    early = latents(dressed, emotion_guidance_scale=6, guidance_interval=(0, 0.5), **steps)
    expected = by_hand(dressed, "fear", None, [(3, 6)] * 2 + [(3, 3)] * 2, steps=4)
    torch.testing.assert_close(early, expected, atol=1e-4, rtol=1e-4)
    for scale in ([6, 6, 3, 3], [6, 6, None, None], lambda share: 6 if share < 0.5 else None):
        assert torch.equal(latents(dressed, emotion_guidance_scale=scale, **steps), early)
    late = latents(dressed, emotion_guidance_scale=6, guidance_interval=(0.5, 1), **steps)
    assert not torch.equal(late, early)


def test_a_scheduler_with_two_timesteps_a_step(dressed, latents, passes):
    dressed.scheduler = FlowMatchHeunDiscreteScheduler()
    passes.watch(dressed)
    found = passes.of(latents, dressed, emotion="fear", num_inference_steps=4, emotion_guidance_scale=[6, 3, 3, 6])
    assert len(dressed.scheduler.timesteps) == 7 and len(found) == 14 + 2 + 1


def test_neutral_is_the_base(dressed, stock, latents):
    base = latents(stock)
    for emotion in ({}, {"emotion": "neutral"}, {"emotion": "fear", "emotion_scale": 0}, {"emotion": "fear:0"}):
        found = latents(dressed, emotion_guidance_scale=6, guidance_interval=(0, 0.6), **emotion)
        assert torch.equal(found, base)


def test_each_prompt_of_a_batch(dressed, stock, latents):
    prompts, guidance = ["a red ball", "the table"], {"emotion_guidance_scale": 6}
    both = latents(dressed, prompts, NOISE, emotion=["0:fear 1:awe", None], **guidance)
    assert torch.equal(both[1], latents(stock, prompts, NOISE)[1])
    alone = latents(dressed, emotion="0:fear 1:awe", **guidance)
    torch.testing.assert_close(both[:1], alone, atol=1e-4, rtol=1e-4)
    several = latents(dressed, noise=NOISE, emotion="0:fear 1:awe", num_videos_per_prompt=2, **guidance)
    torch.testing.assert_close(several[:1], alone, atol=1e-4, rtol=1e-4)
    dressed.batch_emotion_guidance = True
    batched = latents(dressed, prompts, NOISE, emotion=["0:fear 1:awe", None], **guidance)
    torch.testing.assert_close(batched, both, atol=1e-4, rtol=1e-4)


def test_two_transformers_with_scales_of_their_own(two_stages, latents, passes):
    own = {"emotion": "fear", "guidance_scale": 3.0, "guidance_scale_2": 2.0, "num_inference_steps": 4}
    two_stages.scheduler.set_timesteps(4)
    noisy = int((two_stages.scheduler.timesteps >= 800).sum())
    assert 0 < noisy < 4
    found = latents(two_stages, emotion_guidance_scale=5, **own)
    expected = by_hand(two_stages, "fear", None, [(3, 5)] * noisy + [(2, 5)] * (4 - noisy), steps=4)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    passes.watch(two_stages)
    assert len(passes.of(latents, two_stages, emotion_guidance_scale=3, **own)) == 8 + 4 - noisy
    with pytest.raises(ValueError, match="guidance_scale_2 is 0"):
        latents(two_stages, emotion_guidance_scale=5, **(own | {"guidance_scale_2": 0.0}))
    with pytest.raises(ValueError, match="has 3 entries for 4 steps"):
        latents(two_stages, emotion_guidance_scale=[5] * 3, **own)


def test_nothing_outlives_a_call(dressed, latents):
    before = set(vars(dressed.transformer))
    ordinary = latents(dressed, emotion="fear")
    latents(dressed, emotion="fear", emotion_guidance_scale=6)

    def fail(pipe, step, timestep, tensors):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        latents(dressed, emotion="fear", emotion_guidance_scale=6, callback_on_step_end=fail)
    assert set(vars(dressed.transformer)) - before <= {"_diffusers_hook"}
    assert torch.equal(latents(dressed, emotion="fear"), ordinary)


def test_guidance_of_the_text_switched_off_on_the_way(dressed, latents):
    def switch_off(pipe, step, timestep, tensors):
        pipe._guidance_scale = 1.0
        return {}

    found = latents(dressed, emotion="fear", emotion_guidance_scale=6, callback_on_step_end=switch_off)
    expected = by_hand(dressed, "fear", None, [(3, 6), (1, 6)])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_an_emotion_faded_by_a_callback(dressed, latents):
    """The text part is read from the embeddings of the step, so that a callback's changes count."""

    def neutral(pipe, step, timestep, tensors):
        embeds = tensors["prompt_embeds"]
        return {"prompt_embeds": torch.cat([embeds[:, :12], embeds[:, -1:].expand(-1, 5, -1)], dim=1)}

    faded = {"callback_on_step_end": neutral, "callback_on_step_end_tensor_inputs": ["prompt_embeds"]}
    one_step = latents(dressed, emotion="fear", emotion_guidance_scale=[6, 1], **faded)
    # in the second step there is no emotion left to guide
    torch.testing.assert_close(one_step, latents(dressed, emotion="fear", emotion_guidance_scale=[6, 3], **faded))


def test_step_caches_keep_the_passes_apart(dressed, latents, monkeypatch):
    names, kind = [], type(dressed.transformer)
    stock = kind.cache_context
    noted = lambda self, name, **step: names.append((name, step["step_index"])) or stock(self, name, **step)  # noqa: E731
    monkeypatch.setattr(kind, "cache_context", noted)
    latents(dressed, emotion="fear", emotion_guidance_scale=6)
    assert names == [(name, step) for step in (0, 1) for name in ("cond", "cond_text", "uncond")]
    names.clear()
    dressed.batch_emotion_guidance = True
    latents(dressed, emotion="fear", emotion_guidance_scale=6)
    assert names == [(name, step) for step in (0, 1) for name in ("cond", "cond_both", "uncond")]


def test_a_pipeline_that_names_no_branches(dressed):
    with (
        branch_calls(dressed.transformer, lambda name, run, inputs: run(name, **inputs)),
        pytest.raises(RuntimeError, match="called outside of cache_context"),
    ):
        dressed.transformer(hidden_states=NOISE)


def test_without_an_adapter(pipe, generate):
    with pytest.raises(ValueError, match="emotion_guidance_scale needs an emotion adapter"):
        generate(pipe, emotion="fear", emotion_guidance_scale=6)


def test_group_offload(dressed, latents):
    expected = latents(dressed, emotion="fear", emotion_guidance_scale=6)
    dressed.transformer.enable_group_offload(
        onload_device=torch.device("cpu"), offload_device=torch.device("cpu"), offload_type="leaf_level"
    )
    assert torch.equal(latents(dressed, emotion="fear", emotion_guidance_scale=6), expected)


@pytest.mark.parametrize("how", ["in place", "wrapped"])
def test_a_compiled_transformer(how, dressed, latents):
    """Same numbers, and no graph more than ordinary guidance compiles."""
    graphs, call = [], {"emotion": "fear", "num_inference_steps": 4}
    expected = latents(dressed, emotion_guidance_scale=[6, 5, 3, 0], **call)

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    if how == "in place":
        dressed.transformer.compile(backend=backend)
    else:
        dressed.transformer = torch.compile(dressed.transformer, backend=backend)
    ordinary = latents(dressed, **call)
    compiled = len(graphs)
    assert compiled
    assert torch.equal(latents(dressed, emotion_guidance_scale=[6, 5, 3, 0], **call), expected)
    assert torch.equal(latents(dressed, **call), ordinary)
    assert len(graphs) == compiled
    torch.compiler.reset()
