"""`sample.py` with a model in files: made, made again when a part changes, and refused at the door."""

import layout_parts as parts
import pytest
from PIL import Image

from emogen.commands import sample_run
from emogen.commands.sample import main as sample
from emogen.media.reader import read_metadata

CALL = ["--prompt", "a red ball", "--height", "32", "--width", "32", "--num_frames", "5", "--num_inference_steps", "1",
        "--seed", "1", "--device", "cpu", "--no_enlarge"]  # fmt: skip


@pytest.fixture
def models(tmp_path, monkeypatch):
    """ComfyUI's `models` with a text-to-video model, and the current folder beside it."""
    root = parts.comfyui_folder(tmp_path / "models")
    parts.save(parts.wan_names(parts.transformer()), root / "diffusion_models" / "wan.safetensors")
    monkeypatch.chdir(tmp_path)
    return root


@pytest.mark.filterwarnings("ignore:no emotion adapter is loaded")
def test_a_clip_from_files(models, capsys):
    file = str(models / "diffusion_models" / "wan.safetensors")
    assert sample([*CALL, "--model", file, "--output", "clip.webp"]) == 0
    assert "model: wan.safetensors, wan_vae.safetensors, umt5_xxl.safetensors" in capsys.readouterr().err
    assert read_metadata("clip.webp")["model"] == file
    (models.parent / "rows.csv").write_text("prompt,emotion\na red ball,neutral\n")
    batch = ["--batch", "rows.csv", "--output_dir", "out", "--model", file, *CALL[2:]]
    made = []
    for change in (None, None, "vae/wan_vae.safetensors"):
        if change:
            parts.save(parts.vae_names(parts.random(parts.vae(), 7)), models / change)
        assert sample(batch) == 0
        made.append(next((models.parent / "out").glob("*neutral*.mp4")).read_bytes())
    assert made[0] == made[1] != made[2]


def test_wrong_files_are_refused_at_the_door(models, capsys, monkeypatch):
    monkeypatch.setattr(sample_run, "load", lambda *_: pytest.fail("a model was loaded"))
    last = str(
        parts.save(parts.wan_names(parts.transformer("flf2v")), models / "diffusion_models" / "flf2v.safetensors")
    )
    Image.new("RGB", (32, 32)).save("x.png")
    vae, model = str(models / "vae" / "wan_vae.safetensors"), str(models / "diffusion_models" / "wan.safetensors")
    for arguments, message in (
        (["--model", vae], "is Wan's autoencoder (VAE), not a Wan transformer; give it with --vae"),
        (["--model", "none.safetensors"], "none.safetensors: no such file"),
        (["--model", model, "--text_encoder", vae], "--text_encoder"),
        (["--model", model, "--image", "x.png"], "is a text-to-video model; leave --image out"),
        (["--model", last, "--image", "x.png"], "goes from a first to a last frame (FLF2V), and a last one cannot be"),
        (["--vae", vae], "--vae goes with a --model that is a file, or a folder of Wan's own files; give --model"),
        (["--model", "embedded", "--vae", vae], "embedded is a model in diffusers' format or a name"),
    ):
        with pytest.raises(SystemExit) as stop:
            sample([*CALL, *arguments])
        assert stop.value.code == 2 and message in capsys.readouterr().err, arguments


def test_a_model_in_files_becomes_a_folder_of_diffusers(models, capsys):
    from emogen.cli import main
    from emogen.pipelines.loading import open_pipeline
    from emogen.training.families import ModelFolderError, family_of, resolve_model

    file = models / "diffusion_models" / "wan.safetensors"
    with pytest.raises(ModelFolderError, match="training takes diffusers' format: write it with `emogen convert"):
        resolve_model(str(file))
    with pytest.raises(FileNotFoundError, match=r"'none.safetensors': no such file"):
        resolve_model("none.safetensors")
    assert main(["convert", str(file), "folder", "--to", "diffusers"]) == 0
    said = "folder  (diffusers; wan.safetensors, wan_vae.safetensors, umt5_xxl.safetensors)\n"
    assert capsys.readouterr().out.endswith(said)
    assert family_of(resolve_model("folder")).kind == "t2v"
    by_folder, by_file = (open_pipeline(str(model), device="cpu") for model in ("folder", file))
    for part in ("transformer", "vae", "text_encoder"):
        own, other = (getattr(pipe, part).state_dict() for pipe in (by_folder, by_file))
        assert own.keys() == other.keys() and all((own[name] == other[name]).all() for name in own), part
    for arguments, message in (
        (["folder", "--to", "diffusers"], "OUT: folder exists; --overwrite replaces it"),
        (["x", "--to", "comfyui"], "is a model; it goes --to diffusers"),
        (["x.safetensors", "--to", "diffusers"], "must be a folder for a model"),
    ):
        with pytest.raises(SystemExit):
            main(["convert", str(file), *arguments])
        assert message in capsys.readouterr().err
    assert main(["convert", str(file), "x", "--to", "diffusers", "--vae", str(file)]) == 2
    assert "--vae" in capsys.readouterr().err
