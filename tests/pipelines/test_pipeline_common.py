"""What diffusers tests on every pipeline, with the emotion adapter attached: text-to-video and both image-to-videos."""

import pytest
import torch
from case_parts import ImageToVideo, TextToVideo, quiet
from peft import LoraConfig, get_peft_model_state_dict

from emogen.pipelines.speed import offload

FEAR = {"emotion": "fear"}
CALLS = ({}, FEAR, {"emotion": "0:fear 1:awe"}, {"emotion": "fear", "emotion_guidance_scale": 6.0})
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(params=["t2v", "wan2.1", "wan2.2"])
def case(request, make_pipe, generate, train, make_transformer):
    parts = (make_pipe, generate, train, make_transformer)
    return TextToVideo(*parts) if request.param == "t2v" else ImageToVideo(request.param, *parts)


def lora_folder(pipe, folder, seed):
    """A LoRA with alpha other than its rank, in diffusers' form; the pipeline's transformer is left with it."""
    layers = ["to_q", "to_v", "ffn.net.2"]
    pipe.transformer.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=layers), adapter_name="made")
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in pipe.transformer.named_parameters():
            if "lora_B" in name:
                value.copy_(0.2 * torch.randn(value.shape, generator=random))
    pipe.save_lora_weights(
        folder,
        transformer_lora_layers=get_peft_model_state_dict(pipe.transformer, adapter_name="made"),
        transformer_lora_adapter_metadata=pipe.transformer.peft_config["made"].to_dict(),
    )
    return folder


def close_to_all(case, pipe, expected):
    """Every kind of call, near what another pipeline gave."""
    for call, frames in zip(CALLS, expected, strict=True):
        torch.testing.assert_close(case.film(pipe, **call), frames, **CLOSE)


def all_calls(case, pipe):
    return [case.film(pipe, **call) for call in CALLS]


def test_optional_components_that_are_missing(case, tmp_path):
    alone = {"transformer": None, "transformer_2": case.transformer(), "boundary_ratio": 1.1}
    if case.form == "wan2.1":  # without an image branch no image encoder is needed
        alone |= {"image_encoder": None, "image_processor": None}
    pipe, base = case.dressed(**alone), case.film(case.stock(**alone))
    expected = all_calls(case, pipe)
    assert torch.equal(expected[0], base)
    pipe.save_pretrained(tmp_path / "model")
    pipe.save_emotion_adapter(tmp_path / "adapter")
    again = quiet(case.kind.from_pretrained(tmp_path / "model"))
    again.load_emotion_adapter(tmp_path / "adapter")
    missing = {name for name, part in pipe.components.items() if part is None}
    assert "transformer" in missing and {n for n, part in again.components.items() if part is None} == missing
    assert again.config.boundary_ratio == 1.1
    close_to_all(case, again, expected)


def test_variants_and_types_of_a_folder(case, tmp_path):
    pipe = case.dressed()
    expected = case.film(pipe, **FEAR)
    pipe.save_pretrained(tmp_path / "model", variant="small")
    pipe.save_emotion_adapter(tmp_path / "adapter")
    assert list((tmp_path / "model/transformer").glob("*.small.safetensors"))
    types = {"transformer": torch.bfloat16, "transformer_2": torch.bfloat16, "default": torch.float32}
    again = quiet(case.kind.from_pretrained(tmp_path / "model", variant="small", torch_dtype=types))
    again.load_emotion_adapter(tmp_path / "adapter")
    assert again.transformer.dtype == torch.bfloat16 and again.vae.dtype == torch.float32
    assert {value.dtype for value in again.emotion_adapter.state_dict().values()} == {torch.bfloat16}
    assert 0 < (case.film(again, **FEAR) - expected).abs().mean() < 0.03


def test_from_a_stock_pipeline_and_back(case):
    stock = case.stock()
    base = case.film(stock)
    pipe = quiet(case.kind.from_pipe(stock))
    assert pipe.config.boundary_ratio == stock.config.boundary_ratio and pipe.transformer is stock.transformer
    case.train(pipe.add_emotion_adapter(case.config))
    pipe.set_emotion_scale(0.5)
    expected = all_calls(case, pipe)
    assert torch.equal(expected[0], base) and not torch.equal(expected[1], base)
    other = quiet(case.kind.from_pipe(pipe))
    assert other.emotion_adapter is pipe.emotion_adapter
    assert all(torch.equal(a, b) for a, b in zip(all_calls(case, other), expected, strict=True))
    assert torch.equal(case.film(quiet(case.stock_kind.from_pipe(other))), base)
    assert torch.equal(case.film(pipe, **FEAR), expected[1])  # the first pipeline is as it was


def test_from_components(case):
    pipe = case.dressed()
    other = quiet(case.kind(**pipe.components, boundary_ratio=pipe.config.boundary_ratio))
    assert torch.equal(case.film(other, **FEAR), case.film(pipe, **FEAR))


def test_bfloat16(case):
    exact = all_calls(case, case.dressed())
    half = case.dressed().to(torch.bfloat16)
    found = all_calls(case, half)
    assert torch.equal(found[0], case.film(case.stock().to(torch.bfloat16)))
    for one, other in zip(found, exact, strict=True):
        assert 0 < (one.float() - other).abs().mean() < 0.04
    assert (found[1] - found[0]).abs().mean() > 1e-3


@pytest.mark.parametrize("guidance", [{}, {"emotion_guidance_scale": 6.0}])
def test_a_batch_of_two_is_two_calls(guidance, case):
    pipe, seeds = case.dressed(), (1, 2)
    each = [
        {"prompt": "a red ball", "negative_prompt": "the table", "emotion": "fear", "negative_emotion": "awe"},
        {"prompt": "the table", "negative_prompt": "video", "emotion": "0:awe 1:fear", "negative_emotion": "anger"},
    ]
    together = {name: [call[name] for call in each] for name in each[0]}
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    both = case.film(pipe, generator=generators, **together, **guidance)
    for row, call in enumerate(each):
        alone = case.film(pipe, seed=seeds[row], **call, **guidance)
        torch.testing.assert_close(both[row], alone[0], **CLOSE)
    assert (both[0] - both[1]).abs().mean() > 1e-3


def test_callbacks(case):
    """As diffusers asks: each tensor, all of them, changed latents, and no others."""
    pipe, seen = case.dressed(), []
    names = type(pipe)._callback_tensor_inputs
    assert {"latents", "prompt_embeds", "negative_prompt_embeds"} <= set(names)

    def note(pipe, step, timestep, tensors):
        seen.append(set(tensors))
        return tensors

    expected = case.film(pipe, **FEAR)
    for wanted in (["latents"], ["prompt_embeds"], names):
        seen.clear()
        asked = {"callback_on_step_end": note, "callback_on_step_end_tensor_inputs": wanted}
        assert torch.equal(case.film(pipe, **FEAR, **asked), expected)
        assert seen == [set(wanted)] * 2

    def blank(pipe, step, timestep, tensors):
        return {"latents": torch.zeros_like(tensors["latents"])} if step == 1 else {}

    blanked = case.film(pipe, **FEAR, output_type="latent", callback_on_step_end=blank)
    assert blanked.abs().sum() == 0
    with pytest.raises(ValueError, match="callback_on_step_end_tensor_inputs"):
        case.film(pipe, **FEAR, callback_on_step_end=note, callback_on_step_end_tensor_inputs=["tail"])


@pytest.mark.parametrize("how", ["hooks", "groups"])
def test_offloading(how, case):
    pipe = case.dressed()
    expected = all_calls(case, pipe)
    cpu = torch.device("cpu")
    if how == "hooks":
        offload(pipe, "model", cpu)
        assert pipe._all_hooks
    else:
        pipe.enable_group_offload(
            onload_device=cpu, offload_device=cpu, offload_type="block_level", num_blocks_per_group=1
        )
        assert hasattr(pipe.transformer.blocks[0], "_diffusers_hook")
    for call, frames in zip(CALLS, expected, strict=True):
        assert torch.equal(case.film(pipe, **call), frames)


@pytest.mark.parametrize("backend", ["native", "_native_math"])
def test_attention_backends(backend, case):
    pipe, stock = case.dressed(), case.stock()
    expected, models = all_calls(case, pipe), [*pipe._wan_transformers().values(), stock.transformer]
    models += [stock.transformer_2] if stock.transformer_2 is not None else []
    try:
        for model in models:
            model.set_attention_backend(backend)
        assert pipe.transformer.blocks[0].attn2.processor._attention_backend == backend
        close_to_all(case, pipe, expected)
        assert torch.equal(case.film(pipe), case.film(stock))
    finally:  # the backend of the whole process was set too
        for model in models:
            model.reset_attention_backend()


def test_loras_beside_the_adapter(case, tmp_path):
    """One stays on its scale, all the others come and go, and the emotion's weights are nobody's target."""
    pipe, plain = case.dressed(), case.stock()
    before = {name: value.clone() for name, value in pipe.emotion_adapter.state_dict().items()}
    bare = all_calls(case, pipe)
    for seed in (1, 2):
        lora_folder(case.pipe(), tmp_path / f"{seed}", seed)
        pipe.load_lora_weights(tmp_path / f"{seed}", adapter_name=f"lora{seed}")
    assert pipe.get_list_adapters() == {"transformer": ["lora1", "lora2"]}
    assert not [name for name, _ in pipe.transformer.named_modules() if "emo_" in name and "lora" in name]
    plain.load_lora_weights(tmp_path / "1", adapter_name="lora1")
    pipe.set_adapters("lora1")
    with_one = all_calls(case, pipe)
    assert torch.equal(with_one[0], case.film(plain)) and (with_one[1] - bare[1]).abs().mean() > 1e-4
    assert (with_one[1] - with_one[0]).abs().mean() > 1e-3  # the emotion is still heard
    pipe.set_adapters(["lora1", "lora2"], [1.0, 0.0])
    close_to_all(case, pipe, with_one)
    pipe.set_adapters("lora1", 0.5)
    assert not torch.equal(case.film(pipe, **FEAR), with_one[1])
    pipe.set_adapters("lora1")
    pipe.fuse_lora(adapter_names=["lora1"])
    assert pipe.num_fused_loras == 1
    close_to_all(case, pipe, with_one)
    pipe.unfuse_lora()
    close_to_all(case, pipe, with_one)
    pipe.disable_lora()
    close_to_all(case, pipe, bare)
    pipe.enable_lora()
    pipe.delete_adapters("lora2")
    assert pipe.get_list_adapters() == {"transformer": ["lora1"]}
    close_to_all(case, pipe, with_one)
    pipe.unload_lora_weights()
    close_to_all(case, pipe, bare)
    after = pipe.emotion_adapter.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items()) and after.keys() == before.keys()


def test_a_fused_lora_is_saved_in_the_base(case, tmp_path):
    pipe = case.dressed()
    pipe.load_lora_weights(lora_folder(case.pipe(), tmp_path / "lora", 1), adapter_name="lora")
    expected = case.film(pipe)
    pipe.fuse_lora()
    pipe.unload_lora_weights()
    pipe.save_pretrained(tmp_path / "model")
    stock = quiet(case.stock_kind.from_pretrained(tmp_path / "model"))
    torch.testing.assert_close(case.film(stock), expected, **CLOSE)
    assert (expected - case.film(case.stock())).abs().mean() > 1e-4
