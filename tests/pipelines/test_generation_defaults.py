"""`generation_config.json`: what a call takes for what it is not told."""

import json

import pytest
import torch
from diffusers import WanPipeline

from emogen.pipelines import EmotionWanPipeline, GenerationDefaults

SETTINGS = {
    "height": 16,
    "width": 32,
    "num_frames": 9,
    "num_inference_steps": 2,
    "guidance_scale": 2.0,
    "max_sequence_length": 12,
    "negative_prompt": "the table",
    "fps": 8,
}


@pytest.fixture
def stock(stock, tmp_path):
    """The stock pipeline, also opened from a folder (weights in other places of memory round differently)."""
    stock.save_pretrained(tmp_path)
    stock = WanPipeline.from_pretrained(tmp_path)
    stock.set_progress_bar_config(disable=True)
    return stock


@pytest.fixture
def model(stock, tmp_path):
    (tmp_path / "generation_config.json").write_text(json.dumps(SETTINGS | {"_remark": "tiny"}))
    pipe = EmotionWanPipeline.from_pretrained(tmp_path)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def run(pipe, **arguments):
    generator = torch.Generator().manual_seed(5)
    return pipe("a red ball", generator=generator, output_type="pt", **arguments).frames


def test_a_call_takes_the_models_settings(model, stock):
    said = {name: value for name, value in SETTINGS.items() if name != "fps"}
    expected = run(stock, **said)
    assert expected.shape == (1, 9, 3, 16, 32)
    assert torch.equal(run(model), expected)
    assert torch.equal(run(model, height=None, num_frames=None, negative_prompt=None), expected)
    assert torch.equal(run(model, num_frames=5), run(stock, **(said | {"num_frames": 5})))
    assert torch.equal(run(model, negative_prompt=""), run(stock, **(said | {"negative_prompt": ""})))
    assert model.fps == 8


def test_an_arc_counts_the_models_frames(model, config):
    model.add_emotion_adapter(config)
    assert torch.equal(run(model, emotion="0:fear 1:awe"), run(model))  # three latent frames, or it would raise


def test_embeddings_override_the_models_negative_prompt(model, stock):
    with torch.no_grad():
        embeds, negative = stock.encode_prompt("a red ball", "a", max_sequence_length=12)
    given = {"prompt_embeds": embeds, "negative_prompt_embeds": negative, "output_type": "pt"}
    video = model(generator=torch.Generator().manual_seed(5), **given).frames
    assert torch.equal(video, run(model, negative_prompt="a"))


def test_saved_with_the_model(model, tmp_path):
    folder = tmp_path / "copy"
    model.save_pretrained(folder)
    assert json.loads((folder / "generation_config.json").read_text()) == SETTINGS
    assert EmotionWanPipeline.from_pretrained(folder).generation_defaults == GenerationDefaults(**SETTINGS)


def test_stock_settings_without_a_file(pipe):
    assert pipe.fps == 16 and pipe.generation_defaults.call_arguments == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "holds a list"),
        ('{"heigth": 16}', "unknown key 'heigth'; known are height"),
        ('{"height": "16"}', "height is '16'; it must be int"),
        ('{"height": 0}', "height is 0"),
        ('{"guidance_scale": true}', "guidance_scale is True; it must be float"),
        ('{"negative_prompt": 3}', "negative_prompt is 3; it must be str"),
    ],
)
def test_mistakes_in_the_file_are_named(text, message, tmp_path):
    path = tmp_path / "generation_config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        GenerationDefaults.from_pretrained(tmp_path)
    assert str(path) in str(error.value)


def test_a_hub_model(tmp_path, monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    path = tmp_path / "generation_config.json"
    path.write_text('{"num_frames": 33}')
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(path))
    assert GenerationDefaults.from_pretrained("someone/model").num_frames == 33

    def missing(*_, **__):
        raise LocalEntryNotFoundError("offline")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", missing)
    assert GenerationDefaults.from_pretrained("someone/model") == GenerationDefaults()
