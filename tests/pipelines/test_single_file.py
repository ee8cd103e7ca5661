"""Models in the files that people have: every layout gives, bit for bit, what is in it; what is none is named."""

import json

import layout_parts as parts
import pytest
import torch
from diffusers import WanTransformer3DModel
from parts import PUBLISHED, PUBLISHED_MODELS, published_config

from emogen.models.file_kinds import Weights, WeightsError, networks_in
from emogen.pipelines.loading import kinds_of, open_pipeline
from emogen.pipelines.model_files import ModelFiles
from emogen.pipelines.original_layout import transformer_config
from emogen.pipelines.single_file import plan_of

PREFIX = "model.diffusion_model."
MODEL = "diffusion_models/wan.safetensors"


def same(module, expected, dtype=torch.float32):
    """A module's tensors are the expected ones, rounded once to its dtype, or kept in float32."""
    found = module.state_dict()
    assert found.keys() == expected.keys()
    kept = module._keep_in_fp32_modules or [] if hasattr(module, "_keep_in_fp32_modules") else []
    for name, value in expected.items():
        own = torch.float32 if set(kept) & set(name.split(".")) else dtype
        assert found[name].dtype == own, name
        assert torch.equal(found[name], value.float().to(own)), name


def layouts(root):
    """Name -> (a writer of a transformer, which returns the file and what it means by Wan's names)."""
    model = parts.wan_names(parts.transformer())

    def write(tensors, name=MODEL):
        return parts.save(tensors, root / name)

    def plain(dtype, prefix=""):
        small = {name: value.to(dtype) for name, value in model.items()}
        return write({f"{prefix}{name}": value for name, value in small.items()}), small

    def scaled(prefix="", **how):
        file, meaning = parts.fp8_scaled(model, **how)
        return write({f"{prefix}{name}": value for name, value in file.items()}), meaning

    return {
        "fp16": lambda: plain(torch.float16),
        "fp16, prefixed": lambda: plain(torch.float16, PREFIX),
        "bf16, the shorter prefix": lambda: plain(torch.bfloat16, "diffusion_model."),
        "fp8": lambda: plain(torch.float8_e4m3fn),
        "fp8, the wider range": lambda: plain(torch.float8_e5m2, PREFIX),
        "fp8 scaled": scaled,
        "fp8 scaled, prefixed": lambda: scaled(PREFIX),
        "fp8 scaled, a scale a row": lambda: scaled(rows=True),
        "fp8 scaled, ComfyUI's newer names": lambda: scaled(old_marks=False),
        "diffusers' names": lambda: (write(parts.transformer().state_dict()), model),
    }


NAMES = tuple(layouts(None))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_a_transformer_in_one_file(name, dtype, tmp_path):
    file, meaning = layouts(parts.comfyui_folder(tmp_path))[name]()
    pipe = open_pipeline(str(file), device="cpu", dtype=dtype)
    expected = dict(zip(parts.transformer().state_dict(), meaning.values(), strict=True))
    same(pipe.transformer, expected, getattr(torch, dtype))
    same(pipe.vae, parts.vae().state_dict(), getattr(torch, dtype))
    assert torch.equal(pipe.text_encoder.shared.weight, parts.text_encoder().shared.weight.to(getattr(torch, dtype)))
    assert pipe.switched_on == ["model: wan.safetensors, wan_vae.safetensors, umt5_xxl.safetensors"]
    assert kinds_of(str(file)) == ("text",)


def test_stock_from_single_file_drops_the_scales(tmp_path):
    """The reason for reading them here: diffusers' own reader gives other weights, without an error. A
    release that reads them makes this fail, and the table in docs/compatibility.md wrong."""
    file, meaning = layouts(tmp_path)["fp8 scaled"]()
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "WanTransformer3DModel", **parts.SIZES}))
    theirs = WanTransformer3DModel.from_single_file(str(file), config=str(tmp_path), dtype=torch.float32)
    name = "blocks.0.attn1.to_q.weight"
    expected = meaning["blocks.0.self_attn.q.weight"]
    assert (theirs.state_dict()[name] - expected).norm() > 100 * expected.norm()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_same_clip_as_from_diffusers_folder(dtype, tmp_path, generate):
    parts.diffusers_folder(tmp_path / "diffusers")
    parts.save(parts.wan_names(parts.transformer()), parts.comfyui_folder(tmp_path) / MODEL)
    call = {"height": 32, "width": 32, "emotion": None}
    by_folder, by_file = (
        open_pipeline(str(tmp_path / name), device="cpu", dtype=dtype) for name in ("diffusers", MODEL)
    )
    for part in ("transformer", "vae", "text_encoder"):
        own, other = (getattr(pipe, part).state_dict() for pipe in (by_folder, by_file))
        assert own.keys() == other.keys()
        for name in own:
            assert own[name].dtype == other[name].dtype and torch.equal(own[name], other[name]), name
    assert by_folder.scheduler.config["flow_shift"] == by_file.scheduler.config["flow_shift"] == 3.0
    if dtype == "float32":
        clips = [generate(pipe.to("cpu"), **call) for pipe in map(quiet, (by_folder, by_file))]
        assert torch.equal(*clips)


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_the_layout_of_wans_own_repositories(tmp_path):
    """A folder of shards, its config.json, and the others in Wan's names as safetensors."""
    names = parts.wan_names(parts.transformer())
    half = len(names) // 2
    for number, chosen in enumerate((list(names)[:half], list(names)[half:]), 1):
        file = tmp_path / f"diffusion_pytorch_model-0000{number}-of-00002.safetensors"
        parts.save({name: names[name] for name in chosen}, file)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "WanModel", "dim": 128}))
    parts.save(parts.vae_names(parts.vae()), tmp_path / "Wan2.1_VAE.safetensors")
    text = parts.renamed(parts.text_tensors(parts.text_encoder()), parts.TEXT_TO_WAN)
    parts.save(text, tmp_path / "models_t5_umt5-xxl-enc-bf16.safetensors")
    parts.tiny_tokenizer().save_pretrained(tmp_path / "google" / "umt5-xxl")
    for model in (tmp_path, tmp_path / "diffusion_pytorch_model-00002-of-00002.safetensors"):
        pipe = open_pipeline(str(model), device="cpu")
        same(pipe.transformer, parts.transformer().state_dict())
        same(pipe.vae, parts.vae().state_dict())
        same(pipe.text_encoder, parts.text_encoder().state_dict())
    (tmp_path / "diffusion_pytorch_model-00001-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"one of 2 parts; diffusion_pytorch_model-00001-of-00002.safeten"):
        plan_of(ModelFiles(str(tmp_path)))


@pytest.mark.parametrize("form", ["transformers' names", "Wan's names", "fp8 scaled"])
def test_text_encoders(form, tmp_path):
    tensors = parts.text_tensors(parts.text_encoder())
    meaning = dict(tensors)
    if form == "Wan's names":
        tensors = parts.renamed(tensors, parts.TEXT_TO_WAN)
    elif form == "fp8 scaled":
        tensors, meaning = parts.fp8_scaled(tensors)
        tensors["spiece_model"] = torch.zeros(9, dtype=torch.uint8)
    root = parts.comfyui_folder(tmp_path)
    parts.save(parts.wan_names(parts.transformer()), root / MODEL)
    file = parts.save(tensors, root / "text_encoders" / "other.safetensors")
    pipe = open_pipeline(ModelFiles(str(root / MODEL), text_encoder=str(file)), device="cpu")
    meaning["encoder.embed_tokens.weight"] = meaning["shared.weight"]
    same(pipe.text_encoder, meaning)
    assert pipe.text_encoder.encoder.embed_tokens.weight is pipe.text_encoder.shared.weight


@pytest.mark.parametrize("names", [parts.vae_names, lambda module: module.state_dict()], ids=["Wan's", "diffusers'"])
def test_wan22s_autoencoder_and_ti2v(names, tmp_path):
    root = parts.comfyui_folder(tmp_path, 48)
    parts.save(parts.wan_names(parts.transformer("ti2v")), root / MODEL)
    parts.save(names(parts.vae(48)), root / "vae" / "wan_vae.safetensors")
    assert kinds_of(str(root / MODEL)) == ("text", "image")
    for kind in ("text", "image"):
        pipe = open_pipeline(str(root / MODEL), kind=kind, device="cpu")
        same(pipe.vae, parts.vae(48).state_dict())
        assert pipe.config.expand_timesteps and pipe.vae_scale_factor_spatial == 16
    published = PUBLISHED["vae"]["Wan2.2-TI2V-5B"]
    assert {name: pipe.vae.config[name] for name in ("latents_mean", "latents_std", "patch_size", "is_residual")} == {
        name: published[name] for name in ("latents_mean", "latents_std", "patch_size", "is_residual")
    }
    assert pipe.scheduler.config["flow_shift"] == 5.0


@pytest.mark.parametrize("kind", ["i2v", "flf2v"])
def test_an_image_branch(kind, tmp_path):
    root = parts.comfyui_folder(tmp_path)
    parts.save(parts.wan_names(parts.transformer(kind)), root / MODEL)
    pipe = open_pipeline(str(root / MODEL), device="cpu")
    same(pipe.transformer, parts.transformer(kind).state_dict())
    same(pipe.image_encoder, parts.image_encoder().state_dict())
    assert pipe.image_processor is not None
    assert pipe.scheduler.config["flow_shift"] == (16.0 if kind == "flf2v" else 3.0)
    with pytest.raises(ValueError, match="image-to-video model"):
        open_pipeline(str(root / MODEL), kind="text", device="cpu")


@pytest.mark.parametrize(("kind", "boundary"), [("t2v", 0.875), ("i2v 2.2", 0.9)])
def test_wan22s_pair(kind, boundary, tmp_path):
    root = parts.comfyui_folder(tmp_path)
    high = parts.save(parts.wan_names(parts.transformer(kind)), root / "diffusion_models/x_high_noise_14B.safetensors")
    if kind != "t2v":
        with pytest.raises(WeightsError, match="give that of the low ones with --model_2"):
            plan_of(ModelFiles(str(high)))
    low = parts.save(parts.wan_names(parts.transformer(kind, 9)), root / "diffusion_models/x_low_noise_14B.safetensors")
    for files in (str(high), ModelFiles(str(high), model_2=str(low))):
        pipe = open_pipeline(files, device="cpu")
        same(pipe.transformer, parts.transformer(kind).state_dict())
        same(pipe.transformer_2, parts.transformer(kind, 9).state_dict())
        assert pipe.config.boundary_ratio == boundary
    for name, file in (("high_noise_model", high), ("low_noise_model", low)):
        (root / "repository" / name).mkdir(parents=True)
        file.rename(root / "repository" / name / "diffusion_pytorch_model.safetensors")
    pipe = open_pipeline(str(root / "repository"), device="cpu")
    same(pipe.transformer_2, parts.transformer(kind, 9).state_dict())


def test_a_checkpoint_that_holds_everything(tmp_path):
    tensors = {f"{PREFIX}{name}": value for name, value in parts.wan_names(parts.transformer()).items()}
    tensors |= {f"first_stage_model.{name}": value for name, value in parts.vae_names(parts.vae()).items()}
    text = parts.text_tensors(parts.text_encoder())
    tensors |= {f"text_encoders.umt5xxl.transformer.{name}": value for name, value in text.items()}
    parts.save(tensors, tmp_path / "all.safetensors")
    parts.tiny_tokenizer().save_pretrained(tmp_path / "tokenizer")
    pipe = open_pipeline(str(tmp_path / "all.safetensors"), device="cpu")
    same(pipe.transformer, parts.transformer().state_dict())
    same(pipe.vae, parts.vae().state_dict())
    same(pipe.text_encoder, parts.text_encoder().state_dict())


def test_the_rest_of_a_base_and_an_emotion(tmp_path, generate, config, train):
    base = parts.diffusers_folder(tmp_path / "base")
    (base / "generation_config.json").write_text('{"num_inference_steps": 7}')
    file = parts.save(parts.wan_names(parts.transformer(seed=5)), tmp_path / "fine_tuned.safetensors")
    pipe = quiet(open_pipeline(ModelFiles(str(file), base=str(base)), device="cpu"))
    same(pipe.transformer, parts.transformer(seed=5).state_dict())
    assert pipe.generation_defaults.num_inference_steps == 7
    train(pipe.add_emotion_adapter(config))
    plain, sad = (generate(pipe, height=32, width=32, emotion=emotion) for emotion in (None, "sadness"))
    assert (plain - sad).abs().mean() > 1e-4


@pytest.mark.parametrize("number", ["Q8_0", "F16", "BF16"])
def test_gguf(number, tmp_path, generate):
    gguf = pytest.importorskip("gguf", reason="GGUF files need the package gguf")
    root = parts.comfyui_folder(tmp_path)
    (root / "unet").mkdir()
    writer = gguf.GGUFWriter(root / "unet" / "wan.gguf", "wan")
    meaning = {}
    kind = getattr(gguf.GGMLQuantizationType, number)
    for name, value in parts.wan_names(parts.transformer()).items():
        matrix = value.ndim == 2 and value.shape[1] % 32 == 0
        stored = kind if matrix or (number == "BF16" and name.endswith("modulation")) else gguf.GGMLQuantizationType.F32
        raw = gguf.quants.quantize(value.numpy(), stored)
        writer.add_tensor(name, raw, raw_dtype=stored)
        meaning[name] = torch.from_numpy(gguf.quants.dequantize(raw, stored)).reshape(value.shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    pipe = quiet(open_pipeline(str(root / "unet" / "wan.gguf"), device="cpu", dtype="float32"))
    reference = parts.transformer()
    reference.load_state_dict(dict(zip(reference.state_dict(), meaning.values(), strict=True)))
    inputs = {
        "hidden_states": torch.randn(1, 16, 2, 4, 4, generator=torch.Generator().manual_seed(0)),
        "timestep": torch.tensor([500]),
        "encoder_hidden_states": torch.randn(1, 12, 16, generator=torch.Generator().manual_seed(1)),
    }
    with torch.no_grad():
        found, expected = (one(**inputs, return_dict=False)[0] for one in (pipe.transformer, reference))
    near = 1e-2 if number == "Q8_0" else 1e-5  # diffusers multiplies its scales in float16
    torch.testing.assert_close(found, expected, rtol=near, atol=near)
    assert generate(pipe, height=32, width=32, emotion=None).isfinite().all()


@pytest.mark.parametrize("name", PUBLISHED_MODELS)
def test_published_sizes_are_read_from_shapes(name, tmp_path):
    """The configuration that a published model's file gives is the published one; VACE is refused by name."""
    import diffusers

    config = published_config(name)
    with torch.device("meta"):
        model = getattr(diffusers, config.pop("_class_name"))(**config)
    names = parts.wan_names(model)
    if "VACE" in name:
        file = parts.save({"vace_blocks.0.after_proj.weight": torch.ones(1)}, tmp_path / "vace.safetensors")
        with pytest.raises(
            WeightsError, match="a Wan transformer of another kind: VACE, not a Wan transformer; give a"
        ):
            plan_of(ModelFiles(str(file)))
        return
    shapes = {key: tuple(value.shape) for key, value in names.items()}
    weights = Weights((tmp_path / "x.safetensors",), "", shapes, dict.fromkeys(shapes, "BF16"), "transformer", "", "")
    found = transformer_config(weights)
    assert {key: list(v) if isinstance(v := found[key], tuple) else v for key in config} == config
    assert found.keys() - config.keys() <= {"pos_embed_seq_len"}


FOREIGN = {
    "a LoRA": ("blocks.0.self_attn.q.lora_A.weight", r"is a LoRA, not a Wan transformer; give it with --lora beside"),
    "an adapter": ("encoder.null", r"is an emotion adapter, .*; give its folder with --adapter"),
    "a VAE": ("decoder.middle.0.residual.0.gamma", r"is Wan's autoencoder \(VAE\), .*; give it with --vae"),
    "a text encoder": ("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight", r"is Wan's text encoder "
                       r"\(UMT5\), .*; give it with --text_encoder"),
    "the T5 of Flux": ("encoder.block.0.layer.0.SelfAttention.q.weight", "is a T5 text encoder of another model"),
    "CLIP vision": ("vision_model.embeddings.class_embedding", "is the image encoder .*; give it with --image_encoder"),
    "SDXL": ("conditioner.embedders.1.model.ln_final.weight", "is a Stable Diffusion XL checkpoint, .* it is no Wan"),
    "SD": (f"{PREFIX}input_blocks.0.0.weight", "is a Stable Diffusion checkpoint"),
    "Flux": ("double_blocks.0.img_attn.norm.key_norm.scale", "is Flux, not a Wan transformer"),
    "HunyuanVideo": ("txt_in.individual_token_refiner.blocks.0.norm1.weight", "is HunyuanVideo"),
    "Animate": ("face_adapter.fuser_blocks.0.k_norm.weight", ".* of another kind: Animate"),
    "speech": ("casual_audio_encoder.encoder.final_linear.weight", r".* of another kind: S2V \(speech\)"),
    "nothing": ("weight", "is no model that is known here, .*; give a Wan2.1 or Wan2.2 text-to-video"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_transformer_is_named(name, tmp_path):
    key, message = FOREIGN[name]
    file = parts.save({key: torch.ones(2, 2)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match=f"--model .*x.safetensors: {message}"):
        open_pipeline(str(file), device="cpu")


BYTES = {
    "x.pth": (
        b"PK\x03\x04",
        "is a pickle, which can run code when it is opened, and is not read here; give the .safet",
    ),
    "x.ckpt": (b"PK\x03\x04", "is a pickle"),
    "x.safetensors": (b"not one", "not a whole safetensors file .*; fetch it again"),
    "lfs.safetensors": (b"version https://git-lfs.github.com/spec/v1", "is a pointer of Git LFS.*git lfs pull"),
    "page.safetensors": (b"<!DOCTYPE html><html>", "is a web page, not weights; download the file itself"),
    "named.safetensors": (b"GGUF\x03\x00", "is a GGUF file; name it .gguf"),
}


@pytest.mark.parametrize("name", BYTES)
def test_files_that_are_not_read(name, tmp_path):
    (tmp_path / name).write_bytes(BYTES[name][0])
    with pytest.raises(WeightsError, match=BYTES[name][1]):
        open_pipeline(str(tmp_path / name), device="cpu")


def test_what_is_missing_or_does_not_fit(tmp_path, adapter_folder):
    root = parts.comfyui_folder(tmp_path / "models")
    model = parts.wan_names(parts.transformer())
    whole = str(parts.save(model, root / MODEL))

    def refused(message, **files):
        with pytest.raises((WeightsError, FileNotFoundError), match=message):
            plan = plan_of(ModelFiles(**({"model": whole} | files)))
            plan.load("text", torch.float32)

    refused("none.safetensors: no such file", model=str(tmp_path / "none.safetensors"))
    part = {name: value for name, value in model.items() if "blocks.1." not in name or "ffn.0" in name}
    refused(
        r"is only a part of a Wan transformer: \d+ of \d+ tensors lack",
        model=str(parts.save(part, root / "a/p.safetensors")),
    )
    more = model | {"blocks.0.new.weight": torch.ones(1)}
    refused(
        "1 tensors that are not known here, such as blocks.0.new.weight",
        model=str(parts.save(more, root / "a/m.safetensors")),
    )
    packed = model | {"blocks.0.self_attn.q.weight": torch.zeros(128, 64, dtype=torch.uint8)}
    refused(
        "is stored as U8, a quantisation that is not read here", model=str(parts.save(packed, root / "a/q.safetensors"))
    )
    refused("is Wan's autoencoder .*not Wan's text encoder", text_encoder=str(root / "vae" / "wan_vae.safetensors"))
    other = str(parts.save(parts.vae_names(parts.vae(48)), tmp_path / "wan22_vae.safetensors"))
    refused("an autoencoder of 48 channels, the transformer takes 16: give Wan2.1's", vae=other)
    alone = str(parts.save(model, tmp_path / "alone" / "wan.safetensors"))
    refused("no autoencoder of it was found; give its .safetensors with --vae, or a model", model=alone)
    (tmp_path / "alone" / "Wan2.1_VAE.pth").write_bytes(b"PK")
    refused(r"no autoencoder .* \(Wan2.1_VAE.pth is a pickle, which is not read here\)", model=alone)
    refused("is the folder of an emotion adapter; give it with --adapter", model=str(adapter_folder))
    parts.diffusers_folder(tmp_path / "diffusers")
    refused(
        "is a part of a model in diffusers' format; give .*diffusers$", model=str(tmp_path / "diffusers/transformer")
    )
    (tmp_path / "empty").mkdir()
    refused("is neither a model in diffusers' format .* nor one in Wan's own", model=str(tmp_path / "empty"))


def test_a_missing_gguf_package_is_said(tmp_path, monkeypatch):
    import sys

    (tmp_path / "wan.gguf").write_bytes(b"GGUF")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(WeightsError, match=r'the package gguf reads; run pip install "gguf>=0.10", or give'):
        networks_in(tmp_path / "wan.gguf")
