"""Which models the studio finds, and what it says of those that are not there."""

import pytest

import emogen.embedded
from emogen.studio.models import IMAGE, TEXT, Defaults, ModelMissing, Source, defaults_of


def _missing():
    raise FileNotFoundError("i2v_adapter/config.json is missing")


def test_missing_embedded_weights_are_named_with_the_way_out_and_seen_when_they_come(monkeypatch, tmp_path):
    monkeypatch.setattr(emogen.embedded, "embedded_i2v_adapter", _missing)
    source = Source(IMAGE)
    assert "embedded image-to-video model is not installed" in source.status()
    assert "i2v_adapter/config.json" in source.status() and "--image_model" in source.status()
    with pytest.raises(ModelMissing):
        source.resolve()
    monkeypatch.setattr(emogen.embedded, "embedded_i2v_adapter", lambda: "the adapter")
    monkeypatch.setattr(emogen.embedded, "embedded_i2v_model", lambda: str(tmp_path))
    assert "no transformer weights" in source.status()
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer" / "diffusion_pytorch_model.safetensors").touch()
    assert source.status() is None and source.resolve() == (str(tmp_path), "the adapter")


def test_embedded_text_model_is_there_with_its_adapter_and_its_own_numbers():
    model, adapter = Source(TEXT).resolve()
    assert (model, adapter) == (emogen.embedded.embedded_model(), emogen.embedded.embedded_adapter())
    assert defaults_of(Source(TEXT)) == Defaults(steps=20, guidance_scale=2.5, num_frames=13)
    assert Source(TEXT, adapter="none").resolve() == (model, None)


def test_other_models_bring_no_adapter_of_their_own(model_folder):
    assert Source(TEXT, model_folder).resolve() == (model_folder, None)
    assert Source(TEXT, model_folder, "someone/adapter").resolve() == (model_folder, "someone/adapter")
    assert Source(TEXT, model_folder, "None").resolve() == (model_folder, None)
    assert defaults_of(Source(TEXT, model_folder)) == Defaults()


def test_hub_id_is_taken_at_its_word_and_nothing_is_downloaded():
    assert Source(TEXT, "Wan-AI/Wan2.1-T2V-1.3B-Diffusers").status() is None
    assert defaults_of(Source(TEXT, "Wan-AI/Wan2.1-T2V-1.3B-Diffusers")) == Defaults()


def test_folder_without_a_model_is_refused_by_its_flag(tmp_path):
    assert Source(TEXT, str(tmp_path)).status().startswith(f"--model {tmp_path}: ")
    assert Source(IMAGE, "./nowhere").status().startswith("--image_model ./nowhere: ")
