"""Each option for speed or memory, with the adapter, the three-way guidance and the stock pipeline beside it."""

from pathlib import Path

import pytest
import torch
from diffusers import PyramidAttentionBroadcastConfig, WanPipeline
from diffusers.models.attention_dispatch import AttentionBackendName
from parts import ranks

from emogen.emotion.given import read_emotion
from emogen.models.encoder import emotion_tensors
from emogen.pipelines.speed import (
    SpeedError,
    SpeedOptions,
    apply_speed,
    check_backend,
    measure_mag_ratios,
    offload,
    reset_caches,
)

STEPS = {"num_inference_steps": 6, "output_type": "latent"}
RATIOS = (1.0, 1.0, 0.99, 0.98, 0.97, 0.96)
FEAR, THREE = {"emotion": "fear"}, {"emotion": "fear", "emotion_guidance_scale": 6.0}
EXACT = [
    {"attention_backend": "native"},
    {"attention_backend": "_native_math"},
    {"offload": "group"},
    {"offload": "group_disk"},
    {"vae_tiling": True, "vae_slicing": True},
    {"compile": True, "compile_backend": "eager"},
]
NEAR = [
    {"cache": "first_block", "cache_threshold": 0.2},
    {"cache": "taylorseer", "cache_interval": 3},
    {"cache": "magcache", "cache_threshold": 0.3, "mag_ratios": RATIOS, "num_inference_steps": 6},
    {"layerwise_casting": True},
    {"layerwise_casting": True, "cache": "first_block", "cache_threshold": 0.2, "offload": "group_disk"},
]


@pytest.fixture
def make(make_pipe, config, train):
    """Builds a pipeline with a trained adapter and these options."""

    def build(**options):
        pipe = make_pipe()
        train(pipe.add_emotion_adapter(config))
        words = apply_speed(pipe, SpeedOptions(**options))
        assert len(words) == len(
            [
                k
                for k in options
                if k
                in (
                    "cache",
                    "offload",
                    "compile",
                    "layerwise_casting",
                    "attention_backend",
                    "vae_tiling",
                    "vae_slicing",
                )
            ]
        )
        return pipe

    return build


@pytest.fixture
def stock_with(stock):
    def build(**options):
        apply_speed(stock, SpeedOptions(**options))
        return stock

    return build


def ids(options):
    return "-".join(f"{value}" for value in options.values() if not isinstance(value, tuple))


@pytest.mark.parametrize("options", EXACT, ids=ids)
def test_exact_mechanisms(options, make, dressed, stock_with, generate):
    sped, steps = make(**options), STEPS | {"num_inference_steps": 2, "output_type": "pt"}
    for call in (FEAR, THREE, {"emotion": "0:fear 1:awe"}, FEAR | {"emotion_scale": 0.5}):
        expected = generate(dressed, **steps, **call)
        torch.testing.assert_close(generate(sped, **steps, **call), expected, atol=1e-4, rtol=1e-4)
    base = generate(sped, **steps, emotion="fear", emotion_scale=0)
    assert torch.equal(base, generate(stock_with(**options), **steps))
    assert (generate(sped, **steps, **FEAR) - base).abs().mean() > 1e-3


@pytest.mark.parametrize("options", NEAR, ids=ids)
def test_near_mechanisms(options, make, dressed, stock_with, generate):
    sped = make(**options)
    for call in (FEAR, THREE, {"emotion": "0:fear 1:awe"}):
        plain, base = generate(dressed, **STEPS, **call), generate(dressed, **STEPS)
        found, found_base = generate(sped, **STEPS, **call), generate(sped, **STEPS)
        assert 0 < (found - plain).norm() < 0.3 * plain.norm()
        effect, kept = (plain - base).flatten(), (found - found_base).flatten()
        assert torch.cosine_similarity(effect, kept, dim=0) > 0.8
        assert 0.7 < kept.norm() / effect.norm() < 1.4
        assert torch.equal(generate(sped, **STEPS, **call), found)  # nothing is kept from call to call
    base = generate(sped, **STEPS, emotion="fear", emotion_scale=0)
    assert torch.equal(base, generate(stock_with(**options), **STEPS))


@pytest.mark.parametrize("options", NEAR[:3], ids=ids)
def test_a_cache_computes_less_in_every_branch(options, make, generate):
    def count(pipe, **call):
        seen = []
        hook = pipe.transformer.blocks[1].ffn.register_forward_hook(lambda *_: seen.append(1))
        generate(pipe, **STEPS, **call)
        hook.remove()
        return len(seen)

    sped, plain = make(**options), make()
    for call in (FEAR, THREE):
        branches = count(plain, **call) // 6
        assert branches == (2 if call is FEAR else 3)
        assert branches < count(sped, **call) < 6 * branches


@pytest.mark.parametrize("options", NEAR[:3], ids=ids)
def test_an_interrupted_call_is_forgotten(options, make, generate):
    def interrupt(pipe, step, *_):
        if step == 3:
            raise KeyboardInterrupt
        return {}

    sped = make(**options)
    expected = generate(sped, **STEPS, **FEAR)
    with pytest.raises(KeyboardInterrupt):
        generate(sped, **STEPS, emotion="awe", callback_on_step_end=interrupt)
    reset_caches(sped)
    assert torch.equal(generate(sped, **STEPS, **FEAR), expected)


def test_offloading_of_whole_components(dressed, stock, generate):
    calls = (FEAR, THREE, FEAR | {"emotion_scale": 0.5})
    expected = [generate(dressed, **call) for call in calls]
    offload(dressed, "model", torch.device("cpu"))
    for call, frames in zip(calls, expected, strict=True):
        assert torch.equal(generate(dressed, **call), frames)
    assert torch.equal(generate(dressed, emotion="fear", emotion_scale=0), generate(stock))


def test_offloading_layer_by_layer_keeps_the_encoder_and_the_scale(dressed):
    """accelerate cannot run it from CPU to CPU, the stock pipeline no more than this one: only the adapter's part."""
    adapter = dressed.emotion_adapter
    emotions = emotion_tensors([read_emotion("fear")], 2, 4, False)
    expected = adapter.tail(emotions)
    offload(dressed, "sequential", torch.device("cpu"))
    processor = dressed.transformer.blocks[0].attn2.processor
    assert processor.emo_q.weight.device.type == "meta"
    assert torch.equal(adapter.tail(emotions), expected)
    adapter.scale = 0.5
    assert processor.scale.device.type == "cpu" and processor.scale.item() == 0.5


@pytest.mark.parametrize("how", ["model", "sequential"])
def test_offloads_that_need_an_accelerator(how, dressed):
    with pytest.raises(SpeedError, match=rf"--offload {how} .* runs on the CPU; --offload group_disk"):
        apply_speed(dressed, SpeedOptions(offload=how))


def test_files_of_offloading_go_with_the_pipeline(make, generate, tmp_path):
    pipe = make(offload="group_disk", offload_folder=str(tmp_path))
    generate(pipe, **FEAR)
    (folder,) = tmp_path.iterdir()
    names = {path.parent.name for path in folder.rglob("*.safetensors")}
    assert names == {"transformer", "text_encoder"}
    pipe._offload_files.cleanup()
    assert not list(tmp_path.iterdir())


def test_fp8_leaves_adapter_and_lora_alone(make, make_pipe, config, train):
    transformer = make(layerwise_casting=True).transformer
    dtypes = {name: value.dtype for name, value in transformer.named_parameters()}
    assert dtypes["blocks.0.attn1.to_q.weight"] == dtypes["blocks.1.ffn.net.2.weight"] == torch.float8_e4m3fn
    kept = [name for name in dtypes if "emotion_encoder" in name or "processor" in name or "norm" in name]
    assert len(kept) > 10 and all(dtypes[name] == torch.float32 for name in kept)
    assert transformer.dtype == torch.float32


def test_a_backend_is_the_transformers_alone(make):
    pipe = make(attention_backend="_native_math")
    for block in pipe.transformer.blocks:
        assert block.attn1.processor._attention_backend == block.attn2.processor._attention_backend == "_native_math"
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry

    assert _AttentionBackendRegistry.get_active_backend()[0] == AttentionBackendName.NATIVE


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("xformers", r"needs a CUDA device, and this runs on cpu: pip install -e \"\.\[xformers\]\""),
        ("flash", "needs a CUDA device, and this runs on cpu: the package flash-attn"),
        ("sage", "needs a CUDA device, and this runs on cpu: the package sageattention"),
        ("flash_hub", "needs a CUDA device, and this runs on cpu: pip install kernels"),
        ("_native_cudnn", "needs a CUDA device, and this runs on cpu"),
        ("_native_npu", "not usable because of missing package.*torch_npu"),
    ],
)
def test_backends_that_are_not_there(name, message, dressed, generate):
    with pytest.raises(SpeedError, match=f"--attention_backend {name}.*{message}"):
        apply_speed(dressed, SpeedOptions(attention_backend=name))
    assert all(block.attn1.processor._attention_backend is None for block in dressed.transformer.blocks)
    apply_speed(dressed, SpeedOptions())  # a refusal leaves the pipeline free for others


def test_a_backend_that_fails_or_errs_is_found_out_by_trial(dressed, monkeypatch):
    from emogen.pipelines import speed as speed_attention

    right = speed_attention.dispatch_attention_fn
    arguments = "flex", dressed.transformer, torch.device("cpu"), dressed.emotion_adapter

    def few_keys(query, key, value, backend):
        if backend == "flex" and key.shape[1] == 4:
            raise RuntimeError("too few keys")
        return right(query, key, value, backend=AttentionBackendName.NATIVE)

    monkeypatch.setattr(speed_attention, "dispatch_attention_fn", few_keys)
    with pytest.raises(SpeedError, match=r"flex cannot compute the emotion's attention \(2 heads of 32, 4 keys.*few"):
        check_backend(*arguments)

    def wrong(query, key, value, backend):
        out = right(query, key, value, backend=AttentionBackendName.NATIVE)
        return out if backend == "native" else 1.2 * out

    monkeypatch.setattr(speed_attention, "dispatch_attention_fn", wrong)
    with pytest.raises(SpeedError, match=r"computes the self-attention .* wrongly: off by 20%"):
        check_backend(*arguments)


@torch.no_grad()
def test_why_pyramid_is_refused(make_transformer):
    """Under it the pass without the prompt gets the attention of the pass with it. Should this fail, allow it."""
    torch.manual_seed(0)
    transformer = make_transformer()
    transformer.enable_cache(
        PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=2,
            spatial_attention_timestep_skip_range=(-1, 1001),
            current_timestep_callback=lambda: 500,
        )
    )
    video, outputs = torch.randn(1, 4, 2, 4, 4), []
    forward = transformer.blocks[1].attn1.forward
    transformer.blocks[1].attn1.forward = lambda *args: outputs.append(forward(*args)) or outputs[-1]
    for branch in ("cond", "uncond"):
        with transformer.cache_context(branch):
            transformer(video, torch.tensor([500]), torch.randn(1, 12, 16))
    assert torch.equal(*outputs)


def test_mag_ratios_are_measured(make, dressed, generate, stock):
    call = {"height": 16, "width": 16, "num_frames": 5, "max_sequence_length": 12, "guidance_scale": 3.0}
    ratios = measure_mag_ratios(dressed, "a red ball", emotion="fear", num_inference_steps=4, **call)
    assert len(ratios) == 4 and ratios[0] == 1 and all(0.5 < ratio < 2 for ratio in ratios)
    assert len(set(ratios)) > 2
    assert not dressed.transformer.is_cache_enabled
    assert torch.equal(generate(dressed), generate(stock))
    dressed.transformer.enable_cache(PyramidAttentionBroadcastConfig(2, current_timestep_callback=lambda: 0))
    with pytest.raises(SpeedError, match="a cache is on already"):
        measure_mag_ratios(dressed, "a red ball", **call)


def test_what_depends_on_the_model(make_pipe, make_transformer, dressed, tmp_path):
    def refused(pipe, message, **options):
        with pytest.raises(SpeedError, match=message):
            apply_speed(pipe, SpeedOptions(**options))

    two = make_pipe(transformer_2=make_transformer(), boundary_ratio=0.8)
    refused(two, "magcache counts one transformer's steps", cache="magcache", mag_ratios=RATIOS)
    shallow = make_pipe(transformer=make_transformer(num_layers=1))
    refused(shallow, "this transformer has only one", cache="first_block")
    refused(dressed, "--cache_warmup is 6 of 6", cache="taylorseer", cache_warmup=6, num_inference_steps=6)
    refused(dressed, "no such folder", offload="group_disk", offload_folder=str(tmp_path / "none"))
    refused(dressed, "need an accelerator a process|one process a device", ulysses=2)
    apply_speed(dressed, SpeedOptions(vae_slicing=True))
    refused(dressed, "has its speed options already", vae_tiling=True)
    words = apply_speed(two, SpeedOptions(cache="first_block", layerwise_casting=True))
    assert words[1] == "cache first_block (threshold 0.05)"
    for transformer in (two.transformer, two.transformer_2):
        assert transformer.is_cache_enabled
        assert transformer.blocks[0].attn1.to_q.weight.dtype == torch.float8_e4m3fn


def test_two_processes_share_a_clip():
    said = ranks(Path(__file__).parent / "ranked_speed.py")
    assert said.count("shared") == 2, said[-3000:]


def test_a_stock_pipeline_takes_the_options_too(stock, generate):
    assert isinstance(stock, WanPipeline) and not hasattr(stock, "emotion_adapter")
    before = generate(stock)
    assert apply_speed(stock, SpeedOptions(vae_slicing=True, offload="group")) == [
        "offloading: group", "the VAE works clip by clip",
    ]  # fmt: skip
    assert torch.equal(generate(stock), before)
