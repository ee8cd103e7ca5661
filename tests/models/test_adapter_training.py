"""Gradients, checkpointing, mixed precision, LoRA beside the adapter, compiling."""

import pytest
import torch
from peft import LoraConfig

from emogen.models import attach_emotion_adapter

LORA = LoraConfig(r=4, lora_alpha=4, target_modules=["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"])


def gradients(transformer, adapter, inputs, emotion):
    transformer.zero_grad()
    transformer(**inputs, emotion=emotion).sample.float().square().mean().backward()
    return {name: p.grad.clone() for name, p in adapter.named_parameters()}


def test_every_weight_gets_a_gradient_and_the_base_none(make_transformer, make_inputs, trained, emotions):
    transformer = make_transformer().requires_grad_(False)
    adapter = trained(transformer)
    found = gradients(transformer, adapter, make_inputs(), emotions)
    assert all(value.abs().sum() > 0 for value in found.values())
    own = {id(p) for p in adapter.trainable_parameters()}
    assert own == {id(p) for p in transformer.parameters() if p.requires_grad}
    assert all(p.grad is None for p in transformer.parameters() if id(p) not in own)


def test_a_new_adapter_learns(make_transformer, make_inputs, config, emotions, run):
    """From the zero start, a few steps move the output towards what each clip's emotion asks."""
    torch.manual_seed(0)
    transformer = make_transformer().requires_grad_(False)
    inputs = make_inputs()
    target = run(transformer, inputs) + torch.tensor([0.3, -0.3]).view(2, 1, 1, 1, 1)
    adapter = attach_emotion_adapter(transformer, config)
    optimizer = torch.optim.Adam(adapter.trainable_parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = (transformer(**inputs, emotion=emotions).sample - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("moving", [False, True])
def test_checkpointing_gives_the_same_gradients(moving, make_transformer, make_inputs, trained, emotions, arcs):
    transformer = make_transformer().train()
    adapter = trained(transformer)
    feeling = arcs if moving else emotions
    plain = gradients(transformer, adapter, make_inputs(), feeling)
    transformer.enable_gradient_checkpointing()
    for name, value in gradients(transformer, adapter, make_inputs(), feeling).items():
        assert torch.equal(value, plain[name]), name


def test_float32_adapter_on_a_bfloat16_model(make_transformer, make_inputs, trained, emotions, run):
    transformer, inputs = make_transformer(), make_inputs(dtype=torch.bfloat16)
    trained(transformer)
    exact = run(transformer, make_inputs(), emotion=emotions)
    transformer = make_transformer().to(torch.bfloat16)
    adapter = trained(transformer)  # the same weights, in float32
    assert {p.dtype for p in adapter.trainable_parameters()} == {torch.float32}
    assert transformer.dtype == torch.bfloat16
    plain = run(transformer, inputs, emotion=emotions)
    assert plain.dtype == torch.bfloat16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = run(transformer, inputs, emotion=emotions)
        found = gradients(transformer, adapter, inputs, emotions)
    assert all(value.dtype == torch.float32 and value.abs().sum() > 0 for value in found.values())
    adapter.to(torch.bfloat16)
    half = run(transformer, inputs, emotion=emotions)
    for other in (plain, cast, half):
        assert (other.float() - exact).abs().mean() < 0.03 * exact.abs().mean()


def test_a_lora_beside_the_adapter(make_transformer, make_inputs, trained, emotions, run):
    transformer = make_transformer().requires_grad_(False)
    base = run(transformer, make_inputs())
    transformer.add_adapter(LORA)
    adapter = trained(transformer)
    names = [name for name, _ in transformer.named_parameters() if "lora_" in name]
    assert names and not any("emo" in name for name in names)
    gradients(transformer, adapter, make_inputs(), emotions)
    lora_b = [p for name, p in transformer.named_parameters() if "lora_B" in name]
    assert len(lora_b) == 2 * (2 * 4 + 2) and all(p.grad.abs().sum() > 0 for p in lora_b)
    assert torch.equal(run(transformer, make_inputs()), base)  # a new LoRA is zero, and there is no emotion
    with torch.no_grad():
        for p in lora_b:
            p.normal_(std=0.1)
    with_lora = run(transformer, make_inputs())
    assert not torch.allclose(with_lora, base, atol=1e-3)
    none = emotions._replace(intensity=torch.zeros(2))
    assert torch.equal(run(transformer, make_inputs(), emotion=none), with_lora)
    transformer.disable_adapters()
    assert torch.equal(run(transformer, make_inputs()), base)


def test_a_lora_added_later_freezes_the_adapter(make_transformer, config):
    transformer = make_transformer()
    adapter = attach_emotion_adapter(transformer, config)
    transformer.add_adapter(LORA)
    assert not any("lora" in name for name, _ in adapter.named_parameters())
    with pytest.raises(RuntimeError, match="requires_grad_"):
        adapter.trainable_parameters()
    adapter.requires_grad_(True)
    assert len(adapter.trainable_parameters()) == len(adapter.state_dict())


def test_the_whole_model_compiles(make_transformer, make_inputs, trained, emotions, arcs, run):
    transformer = make_transformer()
    adapter = trained(transformer)
    compiled = torch.compile(transformer, fullgraph=True, backend="aot_eager")
    for feeling in (emotions, None, arcs):
        torch.testing.assert_close(
            run(compiled, make_inputs(), emotion=feeling), run(transformer, make_inputs(), emotion=feeling)
        )
    stop = torch._dynamo.config.patch(error_on_recompile=True)
    adapter.scale = 0.25
    with stop:  # another scale compiles nothing anew
        torch.testing.assert_close(
            run(compiled, make_inputs(), emotion=arcs), run(transformer, make_inputs(), emotion=arcs)
        )


def test_repeated_blocks_compile(make_transformer, make_inputs, trained, emotions, run):
    transformer = make_transformer()
    trained(transformer)
    expected = run(transformer, make_inputs(), emotion=emotions)
    transformer.compile_repeated_blocks(fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(run(transformer, make_inputs(), emotion=emotions), expected)


def test_the_modules_own_attention_backend_is_used(make_transformer, make_inputs, trained, emotions, run):
    """A backend set on one attention module reaches both the stock attention and the emotion's."""
    from diffusers.models import attention_dispatch

    transformer = make_transformer()
    trained(transformer)
    expected = run(transformer, make_inputs(), emotion=emotions)
    registry = attention_dispatch._AttentionBackendRegistry._backends
    name = attention_dispatch.AttentionBackendName._NATIVE_MATH
    calls, real = [], registry[name]

    def counted(*args, **kwargs):
        calls.append(1)
        return real(*args, **kwargs)

    transformer.blocks[0].attn2.set_attention_backend("_native_math")
    registry[name] = counted
    try:
        out = run(transformer, make_inputs(), emotion=emotions)
    finally:
        registry[name] = real
    assert len(calls) == 2
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-4)


def test_the_backend_outlives_attaching_and_detaching(make_transformer, trained):
    transformer = make_transformer()
    transformer.blocks[0].attn2.set_attention_backend("_native_math")
    adapter = trained(transformer)
    chosen = [block.attn2.processor._attention_backend for block in transformer.blocks]
    assert chosen[0].value == "_native_math" and chosen[1] is None
    adapter.detach()
    assert [block.attn2.processor._attention_backend for block in transformer.blocks] == chosen


def test_fused_projections(make_transformer, make_inputs, trained, emotions, run):
    transformer = make_transformer()
    trained(transformer)
    expected = run(transformer, make_inputs(), emotion=emotions)
    transformer.fuse_qkv_projections()
    torch.testing.assert_close(run(transformer, make_inputs(), emotion=emotions), expected, atol=1e-5, rtol=1e-5)


def test_layerwise_float8_storage(make_transformer, make_inputs, trained, emotions, run):
    transformer = make_transformer().to(torch.bfloat16)
    transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.bfloat16)
    inputs = make_inputs(dtype=torch.bfloat16)
    base = run(transformer, inputs)
    trained(transformer)
    assert torch.equal(run(transformer, inputs), base)
    assert run(transformer, inputs, emotion=emotions).isfinite().all()


@pytest.fixture
def process_group(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("wrap", ["ddp", "fsdp"])
def test_distributed_wrappers_see_one_root(wrap, process_group, make_transformer, make_inputs, trained, emotions):
    """The encoder runs inside the transformer's call, so its gradients come with the others'."""
    transformer = make_transformer().requires_grad_(False)
    expected = gradients(transformer, trained(transformer), make_inputs(), emotions)
    transformer = make_transformer().requires_grad_(False)
    trained(transformer)
    if wrap == "ddp":
        wrapped = torch.nn.parallel.DistributedDataParallel(transformer)
    else:
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
        for block in transformer.blocks:
            torch.distributed.fsdp.fully_shard(block, mesh=mesh)
        wrapped = torch.distributed.fsdp.fully_shard(transformer, mesh=mesh)
    wrapped(**make_inputs(), emotion=emotions).sample.square().mean().backward()
    found = {
        name.replace("emotion_encoder.", "encoder."): value.grad
        for name, value in transformer.named_parameters()
        if value.grad is not None
    }
    assert len(found) == len(expected)
    for name, value in expected.items():
        own = (
            name
            if name.startswith("encoder.")
            else name.removeprefix("transformer.").replace("attn2.", "attn2.processor.")
        )
        grad = found[own]
        torch.testing.assert_close(grad.full_tensor() if wrap == "fsdp" else grad, value)
