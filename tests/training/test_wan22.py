"""Wan2.2: two transformers by noise level, and one with a first frame among the noisy ones, from a run to samples."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from wan22_parts import a14b, ti2v

from emogen.emotion import EmotionArc
from emogen.models.config import AdapterMismatchError
from emogen.pipelines import EmotionWanImageToVideoPipeline, EmotionWanPipeline
from emogen.pipelines.loading import open_pipeline
from emogen.training.config import ConfigError
from emogen.training.data.batches import Batch
from emogen.training.families import ModelFolderError, family_of
from emogen.training.families.wan22 import Wan22Family
from emogen.training.objective import NoiseLevels, flow_loss
from emogen.training.run import dry_run, run

HIGH, LOW = "pytorch_lora_weights.safetensors", "pytorch_lora_weights_2.safetensors"


@pytest.fixture(scope="module")
def folders(model_folder, tmp_path_factory):
    base = tmp_path_factory.mktemp("wan22")
    return {
        "t2v": a14b(model_folder, base / "t2v"),
        "i2v": a14b(model_folder, base / "i2v", image=True),
        "ti2v": ti2v(model_folder, base / "ti2v"),
    }


@pytest.fixture
def config(make_config, folders):
    def make(kind, **changes):
        model = {"pretrained_model_name_or_path": str(folders[kind]), "base_dtype": "fp32"} | changes.pop("model", {})
        return make_config(model=model, **changes)

    return make


def sampled(pipe, **more):
    given = {"image": Image.new("RGB", (16, 16), "red")} if isinstance(pipe, EmotionWanImageToVideoPipeline) else {}
    made = pipe(
        **given, prompt="a red ball", num_inference_steps=4, guidance_scale=2.0, output_type="np",
        generator=torch.Generator().manual_seed(0), **more,
    )  # fmt: skip
    return made.frames[0]


def arguments(folder, kind):
    return SimpleNamespace(model=str(folder), kind="image" if kind == "i2v" else "text")


@pytest.mark.parametrize(
    ("preset", "shift"), [("wan", 2.0), ("wan", 5.0), ("logit_normal", 1.0), ("uniform", 3.0), ("diffsynth", 5.0)]
)
@pytest.mark.parametrize("boundary", [0.875, 0.9])
def test_levels_are_drawn_on_the_right_side(preset, shift, boundary):
    """Of each side, and of both together what one transformer would be trained on."""
    levels = NoiseLevels(preset, shift)
    even = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    high = levels.sigma(levels.within(even, boundary, 1.0))
    low = levels.sigma(levels.within(even, 0.0, boundary))
    assert high.min() >= boundary - 1e-6 and low.max() <= boundary + 1e-6
    share = (levels.sigma(even) >= boundary).double().mean().item()
    assert 0.01 < share < 0.99
    together = share * high.mean() + (1 - share) * low.mean()
    assert together.item() == pytest.approx(levels.sigma(even).mean().item(), abs=2e-3)
    assert torch.equal(levels.within(even, 0.0, 1.0), even)


@pytest.mark.parametrize("kind", ["t2v", "i2v"])
def test_both_transformers_train_resume_and_sample(config, folders, tmp_path, capsys, kind):
    changes = {"checkpoint": {"checkpointing_steps": 1, "checkpoints_total_limit": 9, "export_formats": ["comfyui"]}}
    run(config(kind, run={"max_train_steps": 4}, validation={"validation_steps": 4}, **changes))
    said = capsys.readouterr().out
    boundary = {"t2v": 0.875, "i2v": 0.9}[kind]
    assert f"high_noise ({boundary:g} to 1) and low_noise (0 to {boundary:g})" in said
    done = tmp_path / "run"
    weights = {step: load_file(done / f"checkpoint-{step}/trained.safetensors") for step in (2, 3, 4)}
    changed = {name for name, value in weights[3].items() if not torch.equal(value, weights[2][name])}
    assert any(name.startswith("transformer.blocks") for name in changed)
    assert not any(name.startswith("transformer_2.") for name in changed), "a step is of one transformer"
    changed = {name for name, value in weights[4].items() if not torch.equal(value, weights[3][name])}
    assert {name.partition(".")[0] for name in changed if ".blocks." in name} == {"transformer_2"}

    # from a checkpoint before the second transformer's first step, bit for bit
    if kind == "t2v":
        resume = {"resume_from_checkpoint": str(done / "checkpoint-1")}
        run(config(kind, run={"max_train_steps": 4, "output_dir": str(tmp_path / "again")}, checkpoint=resume))
        again = load_file(tmp_path / "again/checkpoint-4/trained.safetensors")
        assert all(torch.equal(value, again[name]) for name, value in weights[4].items())

    # one folder, one call
    pipe = open_pipeline(**vars(arguments(folders[kind], kind)), adapter=done, device="cpu")
    assert set(pipe.transformer.peft_config) == set(pipe.transformer_2.peft_config) == {"emotion"}
    adapter = load_file(done / "emotion_adapter.safetensors")
    stored = pipe.emotion_adapter.state_dict()
    assert all(torch.equal(value, stored[name]) for name, value in adapter.items()) and stored.keys() == adapter.keys()
    neutral, awe = sampled(pipe), sampled(pipe, emotion="awe")
    assert np.isfinite(awe).all() and not np.array_equal(neutral, awe)
    arc = sampled(pipe, emotion=EmotionArc.parse("0:fear 1:awe"))
    guided = sampled(pipe, emotion="awe", emotion_guidance_scale=5.0)
    assert not np.array_equal(arc, awe) and not np.array_equal(guided, awe)
    pipe.save_emotion_adapter(tmp_path / "saved")
    for file in ("emotion_adapter.safetensors", HIGH, LOW):
        before, after = load_file(done / file), load_file(tmp_path / "saved" / file)
        assert before.keys() == after.keys() and all(torch.equal(value, after[name]) for name, value in before.items())
    pipe.unload_emotion_adapter()
    assert not getattr(pipe.transformer_2, "peft_config", None) and pipe.emotion_adapter is None

    # the LoRAs alone: in stock diffusers, and by the names that ComfyUI's users know
    alone = open_pipeline(**vars(arguments(folders[kind], kind)), adapter=done, load="lora", device="cpu")
    expected = sampled(alone)
    stock = type(alone).from_pretrained(folders[kind])
    for label, second in (("high_noise", {}), ("low_noise", {"load_into_transformer_2": True})):
        file = f"pytorch_lora_weights_{label}_comfyui.safetensors"
        stock.load_lora_weights(str(done), weight_name=file, **second)
        with safe_open(done / file, "pt") as opened:
            assert all(key.startswith("diffusion_model.blocks.") for key in [*opened.keys()])
            assert opened.metadata()["modelspec.architecture"] == "wan2.2/lora"
            assert opened.metadata()["modelspec.title"] == f"run {label.replace('_', ' ')}"
    assert np.allclose(sampled(stock), expected, atol=1e-5) and not np.allclose(sampled(pipe), expected, atol=1e-5)
    card = (done / "README.md").read_text()
    assert 'weight_name="pytorch_lora_weights_2.safetensors", load_into_transformer_2=True)' in card
    assert "pytorch_lora_weights_high_noise_comfyui.safetensors and pytorch_lora_weights_low_noise_comfyui" in card


@pytest.mark.parametrize(("experts", "trained", "other"), [("high", "transformer", "transformer_2"),
                                                           ("low", "transformer_2", "transformer")])  # fmt: skip
def test_one_transformer_alone(config, folders, tmp_path, capsys, experts, trained, other):
    formats = {"export_formats": ["comfyui", "diffsynth"]}
    run(config("t2v", model={"experts": experts}, run={"max_train_steps": 2}, checkpoint=formats,
               validation={"validation_steps": 2}))  # fmt: skip
    done = tmp_path / "run"
    assert f"{experts}_noise alone is trained" in capsys.readouterr().out
    assert json.loads((done / "config.json").read_text())["expert"] == trained
    stored = load_file(done / "emotion_adapter.safetensors")
    assert {name.partition(".")[0] for name in stored} == {"encoder", trained}
    files = {file.name for file in done.glob("pytorch_lora*")}
    assert files == {
        HIGH if experts == "high" else LOW,
        *(f"pytorch_lora_weights_{experts}_noise_{form}.safetensors" for form in ("comfyui", "diffsynth")),
    }
    pipe = EmotionWanPipeline.from_pretrained(folders["t2v"])
    pipe.load_emotion_adapter(done)
    assert "peft_config" in vars(getattr(pipe, trained)) and not getattr(getattr(pipe, other), "peft_config", None)
    base = EmotionWanPipeline.from_pretrained(folders["t2v"])
    noisy = torch.randn(1, 4, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    emotion = pipe.emotion_adapter.tail(_awe())
    text = torch.randn(1, 12, 16, generator=torch.Generator().manual_seed(1))
    pipe.emotion_adapter.text_length = 12
    given = {"hidden_states": noisy, "timestep": torch.tensor([500.0]), "return_dict": False}
    for name, same in ((other, True), (trained, False)):
        told = getattr(pipe, name)(**given, encoder_hidden_states=torch.cat([text, emotion.to(text)], 1))[0]
        plain = getattr(base, name)(**given, encoder_hidden_states=text)[0]
        assert torch.equal(told, plain) is same
    pipe.save_emotion_adapter(tmp_path / "saved")
    assert load_file(tmp_path / "saved/emotion_adapter.safetensors").keys() == stored.keys()
    base.transformer_2 = None
    with pytest.raises(AdapterMismatchError, match=f"trained for {trained} of a model of two transformers"):
        base.load_emotion_adapter(done)


def _awe():
    from emogen.emotion import EmotionState
    from emogen.models import EmotionTensors

    return EmotionTensors.from_states([EmotionState.parse("awe")])


def test_a_first_frame_is_given_by_timesteps(config, folders, tmp_path):
    """The forward of training is the pipelines' call: noise at one level with text alone, the first frame clean and at
    level 0 where it is given; and the loss is of the frames that are left."""
    family = family_of(folders["ti2v"])
    assert isinstance(family, Wan22Family) and (family.spatial, family.temporal, family.channels) == (8, 4, 6)
    assert family.size_multiple == 16 and family.tokens(5, 16, 16) == 2
    transformer = family.load_transformer(torch.float32)
    model = family.wrap(transformer, None)
    seen = {}
    transformer.register_forward_pre_hook(lambda module, args, kwargs: seen.update(kwargs), with_kwargs=True)
    clean, noise = torch.randn(2, 2, 6, 2, 4, 2).unbind(0)
    batch = Batch(clean, torch.zeros(2, 12, 16), None, ["a", "b"], given=torch.tensor([True, False]))
    sigma = torch.tensor([0.5, 0.25])
    noisy = (1 - sigma.view(-1, 1, 1, 1, 1)) * clean + sigma.view(-1, 1, 1, 1, 1) * noise
    prediction = model(noisy, sigma, batch)
    assert torch.equal(seen["timestep"], 1000 * torch.tensor([[0, 0, 0.5, 0.5], [0.25] * 4]))
    assert torch.equal(seen["hidden_states"][0, :, 0], clean[0, :, 0])
    assert torch.equal(seen["hidden_states"][1], noisy[1])
    loss = flow_loss(prediction, clean, noise, batch.given)
    error = (prediction - (noise - clean)).square()
    assert torch.allclose(loss, torch.stack([error[0, :, 1:].mean(), error[1].mean()]))
    # the first latent frame of a clip is that of its first frame alone, which the pipeline encodes
    pixels = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    encode = family.clip_encoder(torch.device("cpu"))
    whole, first = (encode(value)["latents"] for value in (pixels, pixels[:, :, :1]))
    assert whole.shape == (1, 6, 2, 2, 2) and torch.allclose(whole[:, :, :1], first, atol=1e-5)


def test_ti2v_trains_resumes_and_samples_from_text_and_from_a_frame(config, folders, tmp_path):
    long = {"data": {"height": 32, "width": 32}}
    short = {"run": {"max_train_steps": 2}, "validation": {"validation_steps": 2}, **long}
    previews = {"preview_steps": 2, "num_inference_steps": 1, "validation_prompts": ["a red ball"],
                "validation_emotions": ["neutral", "awe"]}  # fmt: skip
    short["validation"] |= previews
    run(config("ti2v", **short))
    assert (tmp_path / "run/samples/step-000002.webp").is_file()
    goes_on = {"checkpoint": {"resume_from_checkpoint": "latest"}, "run": {"max_train_steps": 4}}
    run(config("ti2v", **goes_on, **long))
    run(config("ti2v", run={"max_train_steps": 4, "output_dir": str(tmp_path / "whole")}, **long))
    one, two = (load_file(tmp_path / name / "checkpoint-4/trained.safetensors") for name in ("run", "whole"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    for kind in ("text", "image"):
        pipe = open_pipeline(folders["ti2v"], tmp_path / "run", kind=kind, device="cpu")
        made = [sampled(pipe, emotion=emotion, height=32, width=32) for emotion in ("neutral", "awe", "0:fear 1:awe")]
        assert all(np.isfinite(clip).all() for clip in made)
        assert not np.array_equal(made[0], made[1]) and not np.array_equal(made[1], made[2])


@pytest.mark.parametrize(
    ("kind", "changes", "error", "message"),
    [
        ("ti2v", {"model": {"experts": "high"}}, ModelFolderError, "has one transformer, for all noise levels"),
        ("t2v", {"model": {"experts": "low"}, "validation": {"preview_steps": 1, "validation_prompts": ["a ball"]}},
         ConfigError, "samples need both transformers"),
        ("t2v", {"lora": {"rank": 2, "lora_weights": "one.safetensors"}}, ConfigError, "takes a folder with"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(config, kind, changes, error, message):
    with pytest.raises(error, match=message):
        dry_run(config(kind, **changes))


def test_folders_that_are_no_pair_are_refused(folders, tmp_path):
    shutil.copytree(folders["t2v"], tmp_path / "other")
    index = tmp_path / "other/model_index.json"
    for value in (None, 2.0, "0.9"):
        index.write_text(json.dumps(json.loads(index.read_text()) | {"boundary_ratio": value}))
        with pytest.raises(ModelFolderError, match="needs the noise level at which they meet"):
            family_of(tmp_path / "other")
    shutil.copytree(folders["t2v"], tmp_path / "third")
    config = tmp_path / "third/transformer_2/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_layers": 3}))
    with pytest.raises(ModelFolderError, match="differ in size"):
        family_of(tmp_path / "third")


def test_a_dry_run_counts_both(config, capsys):
    totals = []
    for experts in ("both", "high"):
        dry_run(config("t2v", model={"experts": experts}))
        line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  frozen weights"))
        totals.append(int(line.split("  ")[-1].split(" ")[0].replace(",", "")))
    assert totals[0] == 2 * totals[1]


def test_two_processes_train_both_as_one_does(config, tmp_path):
    """Over the steps of one transformer the other gets no gradient, on every process alike."""
    from test_distributed import SGD, launch, losses, same, tensors

    sizes = {"max_train_steps": 4, "train_batch_size": 2, "output_dir": str(tmp_path / "two")}
    launch(config("t2v", run=sizes, optimizer=SGD))
    run(config("t2v", run=sizes | {"train_batch_size": 4, "output_dir": str(tmp_path / "one")}, optimizer=SGD))
    same(tensors(tmp_path / "one", 4), tensors(tmp_path / "two", 4))
    assert losses(tmp_path / "one") == pytest.approx(losses(tmp_path / "two"), rel=1e-5)
