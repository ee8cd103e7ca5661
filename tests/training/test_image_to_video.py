"""Training image-to-video models: conditions as the pipeline makes them, and a run."""

import json
import shutil
from contextlib import nullcontext

import pytest
import torch
from safetensors.torch import load_file

from emogen.data.buckets import Bucket
from emogen.data.records import read_records
from emogen.emotion import parse_emotion
from emogen.training.data.clips import PlannedClip, load_clip
from emogen.training.data.encode import Encoding, cache_of, encode_clips
from emogen.training.families import ModelFolderError, family_of
from emogen.training.run import run

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=["with image branch", "without"])
def i2v_folder(request, model_folder, tmp_path_factory):
    """The tiny model with a transformer that takes mask and first frame, and perhaps CLIP's embedding of it."""
    from diffusers import WanTransformer3DModel
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    folder = tmp_path_factory.mktemp("i2v") / "model"
    shutil.copytree(model_folder, folder)
    branch = {"image_dim": 16, "added_kv_proj_dim": 24} if request.param == "with image branch" else {}
    torch.manual_seed(1)
    WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=12, out_channels=4,
        text_dim=16, freq_dim=16, ffn_dim=32, num_layers=2, rope_max_seq_len=32, **branch,
    ).save_pretrained(folder / "transformer")  # fmt: skip
    if branch:
        CLIPVisionModel(CLIPVisionConfig(
            hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=32,
            patch_size=16,
        )).save_pretrained(folder / "image_encoder")  # fmt: skip
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder / "image_processor")
        index = json.loads((folder / "model_index.json").read_text())
        index |= {"image_encoder": ["transformers", "CLIPVisionModel"],
                  "image_processor": ["transformers", "CLIPImageProcessor"]}  # fmt: skip
        (folder / "model_index.json").write_text(json.dumps(index))
        settings = json.loads((folder / "generation_config.json").read_text())
        (folder / "generation_config.json").write_text(json.dumps(settings | {"max_sequence_length": 512}))
    return folder


@pytest.fixture(scope="module")
def clips(clips_folder):
    return [PlannedClip(record, Bucket(5, 16, 16)) for record in read_records(clips_folder)]


def test_the_kind_is_read_off_the_folder(i2v_folder, model_folder, tmp_path):
    family = family_of(i2v_folder)
    assert family.kind == "i2v"
    assert bool(family.image_dim) == (i2v_folder / "image_encoder").is_dir()
    text = family_of(model_folder)
    assert (text.kind, bool(text.image_dim), text.spatial, text.temporal, text.size_multiple) == ("t2v", False, 4, 4, 8)
    assert text.tokens(5, 16, 16) == 8
    other = tmp_path / "other"
    shutil.copytree(model_folder, other)
    config = json.loads((other / "transformer/config.json").read_text())
    (other / "transformer/config.json").write_text(json.dumps(config | {"in_channels": 7}))
    with pytest.raises(ModelFolderError, match=r"takes 7 channels for 4: neither text-to-video \(4\) nor"):
        family_of(other)
    shutil.rmtree(other / "vae")
    with pytest.raises(ModelFolderError, match="has no folder 'vae'"):
        family_of(other)


def test_conditions_are_the_pipelines(i2v_folder, clips):
    from diffusers import AutoencoderKLWan, WanImageToVideoPipeline

    family = family_of(i2v_folder)
    pixels = load_clip(clips[0], 8, "skip")[None]
    found = family.clip_encoder(CPU)(pixels)
    vae = AutoencoderKLWan.from_pretrained(i2v_folder / "vae")
    assert found["latents"].shape == (1, 4, 2, 4, 4) and found["condition"].shape == (1, 8, 2, 4, 4)
    mask, first = found["condition"].split([4, 4], dim=1)
    assert torch.equal(mask[:, :, 0], torch.ones(1, 4, 4, 4)) and not mask[:, :, 1:].any()
    alone = torch.cat([pixels[:, :, :1], torch.zeros_like(pixels[:, :, 1:])], dim=2)
    with torch.no_grad():
        raw = vae.encode(alone).latent_dist.mode()
    mean, std = (torch.tensor(getattr(vae.config, k)).view(1, 4, 1, 1, 1) for k in ("latents_mean", "latents_std"))
    assert torch.allclose(first, (raw - mean) / std, atol=1e-5)
    if bool(family.image_dim):
        from diffusers import FlowMatchEulerDiscreteScheduler
        from PIL import Image
        from transformers import CLIPImageProcessor, CLIPVisionModel

        pipeline = WanImageToVideoPipeline(
            tokenizer=None, text_encoder=None, vae=vae, scheduler=FlowMatchEulerDiscreteScheduler(),
            image_encoder=CLIPVisionModel.from_pretrained(i2v_folder / "image_encoder"),
            image_processor=CLIPImageProcessor.from_pretrained(i2v_folder / "image_processor"),
        )  # fmt: skip
        picture = ((pixels[0, :, 0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        assert torch.allclose(found["image"], pipeline.encode_image(Image.fromarray(picture), CPU), atol=1e-5)


def test_a_run(i2v_folder, make_config, tmp_path, capsys):
    model = {"pretrained_model_name_or_path": str(i2v_folder), "fold_padding": True}
    run(make_config(model=model, run={"max_train_steps": 2}, validation={"validation_steps": 2}))
    assert load_file(tmp_path / "run/emotion_adapter.safetensors")
    branch = (i2v_folder / "image_encoder").is_dir()
    lora = load_file(tmp_path / "run/pytorch_lora_weights.safetensors")
    assert len(lora) == 2 * 2 * 2 * 4  # A and B, blocks, attentions, layers
    if branch:
        short = {"model": model, "data": {"max_sequence_length": 64}, "run": {"output_dir": str(tmp_path / "x")}}
        with pytest.raises(ModelFolderError, match=r"takes 512 text tokens; set data\.max_sequence_length"):
            run(make_config(**short))


@torch.no_grad()
def test_folded_text_leaves_the_prediction_as_it_is(i2v_folder):
    from diffusers import WanTransformer3DModel

    from emogen.models import EmotionTensors, attach_emotion_adapter
    from emogen.training.families.wan import fold_padding

    torch.manual_seed(2)
    image = torch.randn(2, 5, 16) if (i2v_folder / "image_encoder").is_dir() else None
    text = torch.nn.functional.pad(torch.randn(2, 7, 16), (0, 0, 0, 512 - 7))
    emotion = EmotionTensors.from_states([parse_emotion("joy"), parse_emotion("fear:0.5")])
    inputs = {"hidden_states": torch.randn(2, 12, 2, 4, 4), "timestep": torch.tensor([300.0, 800.0]),
              "encoder_hidden_states_image": image, "emotion": emotion, "return_dict": False}  # fmt: skip
    found = []
    for folded in (None, 9):
        torch.manual_seed(3)
        transformer = WanTransformer3DModel.from_pretrained(i2v_folder / "transformer").eval()
        if folded:
            fold_padding(transformer, 512, folded)
        adapter = attach_emotion_adapter(transformer)
        adapter.text_length = folded or 512
        for processor in adapter.processors["transformer"].values():
            torch.nn.init.ones_(processor.emo_o.weight)
        found.append(transformer(encoder_hidden_states=text[:, : folded or 512], **inputs)[0])
        with pytest.raises(ValueError, match="512 text tokens, not 11") if image is not None else nullcontext():
            adapter.text_length = 11
    assert torch.allclose(*found, atol=1e-5)


def test_the_image_encoder_is_part_of_the_cache_key(i2v_folder, clips, tmp_path):
    family = family_of(i2v_folder)
    cache = cache_of(family, tmp_path / "cache", 8.0, "skip", 512)
    assert encode_clips(family, cache, clips[:1], Encoding(CPU, quiet=True)) == []
    names = {"latents", "condition"} | ({"image"} if bool(family.image_dim) else set())
    assert set(cache.read_clip(clips[0])) == names
    if bool(family.image_dim):
        other = tmp_path / "other"
        shutil.copytree(i2v_folder, other)
        (other / "image_encoder/config.json").write_text("{}")
        changed = cache_of(family_of(other), tmp_path / "cache", 8.0, "skip", 512)
        assert changed.clip_path(clips[0]) != cache.clip_path(clips[0]) and changed.clip_state(clips[0]) == "missing"


def test_a_still_is_dropped_with_the_reason(i2v_folder, make_config, clips_folder, tmp_path, capsys):
    from PIL import Image

    folder = tmp_path / "clips"
    shutil.copytree(clips_folder, folder)
    Image.new("RGB", (16, 16)).save(folder / "still.png")
    with (folder / "metadata.jsonl").open("a") as file:
        file.write(json.dumps({"file_name": "still.png", "caption": "a", "emotion": "awe"}) + "\n")
    run(make_config(
        model={"pretrained_model_name_or_path": str(i2v_folder)}, run={"max_train_steps": 1},
        data={"dataset_name": str(folder), "max_bad_fraction": 0.2},
    ))  # fmt: skip
    assert "still.png: an image-to-video model learns nothing from a still" in capsys.readouterr().out


def test_samples_are_drawn_by_the_pipeline_that_takes_an_image(i2v_folder, make_config, tmp_path):
    from PIL import Image

    from emogen.training.config import ConfigError
    from emogen.training.run import dry_run

    Image.new("RGB", (16, 16), "red").save(tmp_path / "first.png")
    model = {"pretrained_model_name_or_path": str(i2v_folder), "fold_padding": True}
    checks = {"preview_steps": 1, "validation_prompts": ["a red ball"], "validation_emotions": ["neutral", "fear"],
              "num_inference_steps": 2, "guidance_scale": 1.0}  # fmt: skip
    with pytest.raises(ConfigError, match=r"needs validation\.validation_images for an image-to-video"):
        dry_run(make_config(model=model, validation=checks))
    checks["validation_images"] = [str(tmp_path / "first.png")]
    run(make_config(model=model, validation=checks, run={"max_train_steps": 1}))
    with Image.open(tmp_path / "run/samples/step-000001.webp") as grid:
        assert grid.n_frames == 5
    assert (tmp_path / "run/checkpoint-1").is_dir()


def test_the_code_on_the_card_works(i2v_folder, make_config, tmp_path, monkeypatch):
    """Of a run on a folder the base's name stands for it, so the code is run where the folder has that name."""
    import re

    from PIL import Image

    model = {"pretrained_model_name_or_path": str(i2v_folder)}
    run(make_config(model=model, run={"max_train_steps": 1}))
    blocks = re.findall(r"```python\n(.*?)```", (tmp_path / "run/README.md").read_text(), flags=re.S)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").symlink_to(i2v_folder)
    (tmp_path / "this").mkdir()
    (tmp_path / "this/folder").symlink_to(tmp_path / "run")
    Image.new("RGB", (16, 16), "red").save(tmp_path / "first_frame.png")
    for block in blocks:
        found = {}
        exec(block.replace("emotion=", "num_inference_steps=1, emotion="), found)
        assert "video" not in found or len(found["video"]) == 5
    assert len(blocks) == 2 and "EmotionWanImageToVideoPipeline" in blocks[0]
