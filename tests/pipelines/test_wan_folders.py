"""Model folders and adapter folders."""

import json

import pytest
import torch
from diffusers import DiffusionPipeline, WanPipeline, WanVACETransformer3DModel
from parts import TINY_WAN
from peft import LoraConfig
from safetensors import safe_open

from emogen.models import AdapterMismatchError
from emogen.pipelines import EmotionWanPipeline, GenerationDefaults
from emogen.pipelines.loading import open_pipeline


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


def keys(folder):
    with safe_open(folder / "transformer" / "diffusion_pytorch_model.safetensors", "pt") as file:
        return set(file.keys())


def test_from_a_stock_folder(stock, tmp_path, generate):
    stock.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "model_index.json").read_text())["_class_name"] == "WanPipeline"
    pipe = quiet(EmotionWanPipeline.from_pretrained(tmp_path))
    assert type(pipe) is EmotionWanPipeline and pipe.generation_defaults == GenerationDefaults()
    assert torch.equal(generate(pipe), generate(quiet(WanPipeline.from_pretrained(tmp_path))))


def test_to_a_stock_folder_without_the_adapter(dressed, stock, tmp_path, generate):
    fear = generate(dressed, emotion="fear")
    dressed.save_pretrained(tmp_path)
    assert keys(tmp_path) == set(stock.transformer.state_dict())
    assert not (tmp_path / "generation_config.json").exists()
    opened = quiet(DiffusionPipeline.from_pretrained(tmp_path))
    assert type(opened) is WanPipeline
    for name, value in opened.transformer.state_dict().items():
        assert torch.equal(value, stock.transformer.state_dict()[name])
    assert torch.equal(generate(dressed, emotion="fear"), fear)


def test_from_pipe_shares_the_adapter(dressed, stock, generate):
    other = quiet(EmotionWanPipeline.from_pipe(dressed))
    assert other.emotion_adapter is dressed.emotion_adapter
    assert torch.equal(generate(other, emotion="fear"), generate(dressed, emotion="fear"))
    base = quiet(WanPipeline.from_pipe(dressed))
    assert torch.equal(generate(base), generate(stock))


def test_adapter_round_trip(dressed, adapter_folder, generate, make_pipe):
    fresh = make_pipe()
    base = generate(fresh)
    fresh.load_emotion_adapter(adapter_folder)
    assert fresh.emotion_encoder is fresh.transformer.emotion_encoder
    for emotion in ("fear", "0:awe:0.5 1:fear"):
        assert torch.equal(generate(fresh, emotion=emotion), generate(dressed, emotion=emotion))
    fresh.set_emotion_scale(0.5)
    fresh.unload_emotion_adapter()
    assert fresh.emotion_adapter is None and fresh.emotion_encoder is None
    assert torch.equal(generate(fresh), base)
    fresh.unload_emotion_adapter()
    fresh.load_emotion_adapter(str(adapter_folder))
    assert torch.equal(generate(fresh, emotion="fear"), generate(dressed, emotion="fear"))


def add_lora(pipe, name="emotion"):
    pipe.transformer.add_adapter(
        LoraConfig(r=4, lora_alpha=8, target_modules=["to_q", "to_v", "ffn.net.2"]), adapter_name=name
    )
    random = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for key, value in pipe.transformer.named_parameters():
            if "lora_B" in key:
                value.copy_(0.2 * torch.randn(value.shape, generator=random))
    return pipe


@pytest.fixture
def folder_with_lora(pipe, config, tmp_path, train):
    """An adapter folder with a LoRA (alpha other than rank, so its metadata matters); and the pipeline."""
    add_lora(pipe)
    pipe._emotion_lora = "emotion"
    train(pipe.add_emotion_adapter(config))
    pipe.save_emotion_adapter(tmp_path)
    return tmp_path, pipe


def test_the_lora_comes_with_the_adapter(folder_with_lora, stock, generate, make_pipe):
    folder, trained = folder_with_lora
    names = ["config.json", "emotion_adapter.safetensors", "pytorch_lora_weights.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == names
    fresh = make_pipe()
    fresh.load_emotion_adapter(folder)
    assert fresh.get_list_adapters() == {"transformer": ["emotion"]}
    for emotion in (None, "fear"):
        assert torch.equal(generate(fresh, emotion=emotion), generate(trained, emotion=emotion))
    with pytest.raises(ValueError, match="carries the LoRA emotion"):
        fresh.save_pretrained(folder / "model")
    fresh.unload_emotion_adapter()
    assert torch.equal(generate(fresh), generate(stock))
    fresh.load_emotion_adapter(folder, load_lora=False)
    assert fresh.get_list_adapters() == {} and torch.equal(generate(fresh), generate(stock))
    stock.load_lora_weights(folder, weight_name="pytorch_lora_weights.safetensors")
    assert torch.equal(generate(stock), generate(trained))


def test_a_lora_of_the_users_own_stays(folder_with_lora, generate, make_pipe):
    folder, _ = folder_with_lora
    fresh = add_lora(make_pipe(), "style")
    styled = generate(fresh)
    fresh.load_emotion_adapter(folder, adapter_name="feeling")
    assert fresh.get_list_adapters() == {"transformer": ["style", "feeling"]}
    fresh.load_emotion_adapter(folder, adapter_name="feeling")  # in place of the loaded one
    assert fresh.get_list_adapters() == {"transformer": ["style", "feeling"]}
    fresh.unload_emotion_adapter()
    assert fresh.get_list_adapters() == {"transformer": ["style"]}
    fresh.set_adapters("style")
    assert torch.equal(generate(fresh), styled)


def test_a_wrong_folder_leaves_the_pipeline_alone(adapter_folder, tmp_path, generate, make_pipe, make_transformer):
    wide = make_pipe(transformer=make_transformer(num_attention_heads=4))
    before = generate(wide)
    with pytest.raises(AdapterMismatchError, match=r"inner_dim 64.*has inner_dim 128"):
        wide.load_emotion_adapter(adapter_folder)
    with pytest.raises(AdapterMismatchError, match=r"no config.json"):
        wide.load_emotion_adapter(tmp_path)
    assert wide.emotion_adapter is None and torch.equal(generate(wide), before)
    for missing in ("no/such/folder/here", "./nowhere"):
        with pytest.raises(FileNotFoundError, match="neither a folder nor an adapter on the hub"):
            wide.load_emotion_adapter(missing)
    with pytest.raises(RuntimeError, match="nothing to save"):
        wide.save_emotion_adapter(tmp_path / "new")


def test_a_loaded_adapter_survives_a_failed_load(dressed, tmp_path, generate):
    fear = generate(dressed, emotion="fear")
    (tmp_path / "config.json").write_text('{"_class_name": "EmotionAdapter", "format_version": 1}')
    with pytest.raises(AdapterMismatchError, match=r"emotion_adapter.safetensors: missing"):
        dressed.load_emotion_adapter(tmp_path)
    assert torch.equal(generate(dressed, emotion="fear"), fear)


def test_from_the_hub(adapter_folder, pipe, dressed, monkeypatch):
    """A hub id is downloaded, only the adapter's files of it, with the caller's hub arguments."""
    asked = {}

    def snapshot_download(repository, **arguments):
        asked.update(arguments, repository=repository)
        return str(adapter_folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    pipe.unload_emotion_adapter()
    pipe.load_emotion_adapter("someone/an-adapter", revision="v1")
    assert pipe.emotion_adapter is not None
    assert asked["repository"] == "someone/an-adapter" and asked["revision"] == "v1"
    assert "emotion_adapter.safetensors" in asked["allow_patterns"]


def test_bfloat16(dressed, adapter_folder, generate, make_pipe):
    exact = generate(dressed, emotion="fear")
    half = make_pipe()
    half.transformer.to(torch.bfloat16)
    half.load_emotion_adapter(adapter_folder)
    assert {value.dtype for value in half.emotion_adapter.state_dict().values()} == {torch.bfloat16}
    for dtype in (torch.bfloat16, torch.float32):
        half.emotion_adapter.to(dtype)
        video = generate(half, emotion="fear")
        assert (video - exact).abs().mean() < 0.02
    half.to(torch.bfloat16)
    assert generate(half, emotion="0:fear 1:awe").isfinite().all()


def test_two_transformers(config, generate, tmp_path, make_pipe, make_transformer, train):
    """Wan2.2: both get processors, and both stages are steered."""
    torch.manual_seed(1)
    second = make_transformer()
    pipe = make_pipe(transformer_2=second, boundary_ratio=0.9)
    base = generate(pipe)
    train(pipe.add_emotion_adapter(config))
    assert torch.equal(generate(pipe), base)
    fear = generate(pipe, emotion="fear")
    assert (fear - base).abs().mean() > 1e-3
    pipe.save_emotion_adapter(tmp_path)
    pipe.unload_emotion_adapter()
    again = make_pipe(transformer_2=second, boundary_ratio=0.9)
    again.load_emotion_adapter(tmp_path)
    assert torch.equal(generate(again, emotion="fear"), fear)
    again.transformer_2 = make_transformer()
    with pytest.raises(RuntimeError, match="transformer_2 does not carry the emotion adapter"):
        generate(again, emotion="fear")


def test_a_second_transformer_alone(config, generate, train, make_pipe, make_transformer):
    pipe = make_pipe(transformer=None, transformer_2=make_transformer(), boundary_ratio=1.1)
    train(pipe.add_emotion_adapter(config))
    assert pipe.emotion_adapter is not None
    assert not torch.equal(generate(pipe, emotion="fear"), generate(pipe))


def test_a_model_of_another_kind_is_refused_by_name(make_pipe, tmp_path):
    """VACE's transformer takes as many channels as it makes, and would fail in its first step."""

    vace = WanVACETransformer3DModel(**TINY_WAN, vace_layers=[0], vace_in_channels=6)
    with pytest.raises(ValueError, match="the given transformer is a Wan model of another kind, VACE, which"):
        make_pipe(transformer=vace)
    parts = {name: part for name, part in make_pipe().components.items() if name != "transformer"}
    WanPipeline(**parts, transformer=vace).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="another kind, VACE"):
        open_pipeline(str(tmp_path), device="cpu")
