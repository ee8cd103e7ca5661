"""`--preset fast`: four Euler steps at the levels of step-distilled models, one pass each, with the emotion."""

import layout_parts as parts
import pytest
import torch
from test_published_loras import distilled

from emogen.commands.sample import main as sample
from emogen.media.reader import read_metadata
from emogen.pipelines.composition import add_loras
from emogen.pipelines.loading import open_pipeline
from emogen.pipelines.presets import apply_preset, loras_for

LEVELS = [5 * u / (1 + 4 * u) for u in (1, 0.75, 0.5, 0.25)]
UNSAID = {"num_inference_steps": None, "guidance_scale": None}  # as if they were not given


class Passes:
    """Counts the forwards of a transformer, and keeps their noise levels."""

    def __init__(self, transformer):
        self.levels = []
        transformer.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, module, args, kwargs):
        self.levels.append(float(kwargs["timestep"].flatten()[0]) / 1000)


def test_the_steps_are_eulers(pipe):
    """For a known velocity field: the same path as Euler's steps over the shifted levels, to the last."""
    apply_preset(pipe, "fast")
    scheduler = pipe.scheduler
    scheduler.set_timesteps(4)
    torch.testing.assert_close(scheduler.sigmas, torch.tensor([*LEVELS, 0.0]), rtol=0, atol=2e-3)
    start = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    found, expected, levels = start, start, [float(level) for level in scheduler.sigmas]
    for step, time in enumerate(scheduler.timesteps):
        assert time == pytest.approx(1000 * levels[step], abs=1)
        found = scheduler.step(found.sin() - levels[step], time, found).prev_sample
        expected = expected + (levels[step + 1] - levels[step]) * (expected.sin() - levels[step])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="no preset 'slow'; there are fast"):
        apply_preset(pipe, "slow")
    with pytest.raises(ValueError, match="no preset 'slow'"):  # before the model is looked for
        open_pipeline("nowhere", preset="slow")


def test_four_passes_and_an_emotion(dressed, generate):
    apply_preset(dressed, "fast")
    passes = Passes(dressed.transformer)
    joy, fear = (generate(dressed, emotion=emotion, **UNSAID) for emotion in ("joy", "fear"))
    assert passes.levels == pytest.approx(2 * LEVELS, abs=2e-3)
    assert (joy - fear).abs().mean() > 1e-4
    passes.levels.clear()
    generate(dressed, emotion="fear", num_inference_steps=8, guidance_scale=None)
    assert len(passes.levels) == 8
    passes.levels.clear()
    stronger = generate(dressed, emotion="fear", emotion_guidance_scale=3.0, **UNSAID)
    assert len(passes.levels) == 8  # a second pass a step
    assert (stronger - fear).abs().mean() > 1e-5


def test_with_a_distilled_lora(make_pipe, config, train, generate, tmp_path):
    file = parts.save(distilled("lightx2v")[0], tmp_path / "x.safetensors")
    pipe = make_pipe(transformer=parts.transformer(), vae=parts.vae())
    train(pipe.add_emotion_adapter(config))
    apply_preset(pipe, "fast")
    size = {"height": 32, "width": 32}
    before = generate(pipe, emotion="fear", **size, **UNSAID)
    add_loras(pipe, [f"{file}:0.5"])
    fear, joy = (generate(pipe, emotion=emotion, **size, **UNSAID) for emotion in ("fear", "joy"))
    assert (fear - before).abs().mean() > 1e-3 and (fear - joy).abs().mean() > 1e-4


@pytest.mark.filterwarnings("error:Already found a")
def test_the_embedded_model_brings_its_own_lora():
    """Four steps with it come nearer to the guided clip than four without it, with and without other LoRAs' weights."""
    call = {"prompt": "a flat sticker of a round yellow face", "emotion": "joy", "output_type": "latent"}

    def clip(preset, **more):
        pipe = open_pipeline("embedded", "embedded", preset=preset)
        pipe.set_progress_bar_config(disable=True)
        return pipe, pipe(generator=torch.Generator().manual_seed(3), **call, **more).frames

    fast, four = clip("fast")
    assert fast.transformer.blocks[0].attn1.to_q.active_adapters == ["emotion", "fast"]
    plain, guided = clip(None, num_inference_steps=10)
    apply_preset(plain, "fast")
    without = plain(generator=torch.Generator().manual_seed(3), **call, **UNSAID).frames
    assert (four - guided).square().mean() < 0.7 * (without - guided).square().mean()
    assert loras_for("fast", "some/model", "text", None) is None and loras_for(None, "embedded", "text", None) is None


@pytest.mark.filterwarnings("ignore:no emotion adapter is loaded")
def test_the_command(tmp_path, monkeypatch, capsys):
    root = parts.comfyui_folder(tmp_path / "models")
    file = parts.save(parts.wan_names(parts.transformer()), root / "diffusion_models" / "wan.safetensors")
    monkeypatch.chdir(tmp_path)
    call = ["--prompt", "a red ball", "--height", "32", "--width", "32", "--num_frames", "5", "--seed", "1",
            "--device", "cpu", "--no_enlarge", "--model", str(file), "--preset", "fast"]  # fmt: skip
    assert sample([*call, "--output", "a.webp"]) == 0
    said = capsys.readouterr().err
    assert "preset fast: 4 steps, guidance 1, shift 5" in said and "note: --preset fast is for step-distilled" in said
    assert read_metadata("a.webp")["preset"] == "fast"
    assert sample(["--from", "a.webp", "--trust", "--device", "cpu", "--output", "b.webp"]) == 0
    assert (tmp_path / "a.webp").read_bytes()[-2000:] == (tmp_path / "b.webp").read_bytes()[-2000:]
    with pytest.raises(SystemExit):
        sample([*call[:-1], "slow"])
    assert "invalid choice: 'slow'" in capsys.readouterr().err
