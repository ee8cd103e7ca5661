"""What can be trained, and what trades time for memory."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel
from PIL import Image
from safetensors.torch import load_file

from emogen.training.config import ConfigError
from emogen.training.data.batches import Batch
from emogen.training.data.plan import DataError
from emogen.training.families import family_of
from emogen.training.life.checkpoint import restore
from emogen.training.model import build_model, load_transformers
from emogen.training.run import run

ALL = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]


def trained(folder, step):
    return load_file(folder / f"checkpoint-{step}" / "trained.safetensors")


def moments(folder, step):
    stored = load_file(folder / f"checkpoint-{step}" / "optimizer.safetensors")
    return {name: value for name, value in stored.items() if name.endswith("#exp_avg")}


@pytest.mark.parametrize("kind", ["dora", "rslora", "ffn", "adapter alone", "lora alone"])
def test_what_is_trained(make_config, tmp_path, kind):
    settings = {
        "dora": {"lora": {"use_dora": True}},
        "rslora": {"lora": {"use_rslora": True, "rank": 4, "lora_alpha": 2.0}},
        "ffn": {"lora": {"target_modules": ALL}},
        "adapter alone": {"lora": {"rank": 0}},
        "lora alone": {"adapter": {"train_adapter": False}},
    }[kind]
    run(make_config(run={"max_train_steps": 2}, **settings))
    names = set(trained(tmp_path / "run", 2))
    assert any("lora_magnitude" in name for name in names) == (kind == "dora")
    assert any(".ffn." in name and "lora" in name for name in names) == (kind == "ffn")
    assert any("lora_A" in name for name in names) == (kind != "adapter alone")
    assert any("emotion_encoder" in name for name in names) == (kind != "lora alone")
    assert (tmp_path / "run/pytorch_lora_weights.safetensors").is_file() == (kind != "adapter alone")
    assert (tmp_path / "run/emotion_adapter.safetensors").is_file() == (kind != "lora alone")


def test_recomputing_some_blocks_changes_nothing(make_config, tmp_path):
    results = {}
    for every in (False, True, 2, 3):
        out = tmp_path / str(every)
        run(make_config(run={"max_train_steps": 1, "output_dir": str(out)}, model={"gradient_checkpointing": every}))
        results[every] = moments(out, 1)
    for every in (True, 2, 3):
        assert all(torch.allclose(results[False][k], results[every][k], atol=1e-7, rtol=1e-4) for k in results[every])


@pytest.mark.parametrize(
    "model",
    [
        {"compile": True, "gradient_checkpointing": True},
        {"compile": True, "gradient_checkpointing": 2, "fold_padding": True},
        {"attention_backend": "native"},
        {"attention_backend": "_native_math", "gradient_checkpointing": True},
    ],
    ids=str,
)
def test_faster_ways_take_the_same_step(make_config, tmp_path, monkeypatch, model):
    """Compiled, with the graphs that training would get, but without a C++ compiler; and by other attentions."""
    compiled, make = [], WanTransformer3DModel.compile_repeated_blocks

    def without_a_compiler(transformer, **settings):
        compiled.append(settings)
        make(transformer, backend="aot_eager", **settings)

    monkeypatch.setattr(WanTransformer3DModel, "compile_repeated_blocks", without_a_compiler)
    results = []
    for name, changes in (("plain", {}), ("fast", model)):
        run(make_config(run={"max_train_steps": 1, "output_dir": str(tmp_path / name)}, model=changes))
        results.append(moments(tmp_path / name, 1))
    assert bool(compiled) == ("compile" in model)
    plain, fast = results
    assert plain.keys() == fast.keys()
    assert all(torch.allclose(plain[name], fast[name], atol=1e-7, rtol=1e-4) for name in plain)


def test_an_eight_bit_float_base_trains_nearly_the_same(make_config, tmp_path):
    results = {}
    for storage in ("same", "fp8"):
        out = tmp_path / storage
        run(make_config(run={"max_train_steps": 1, "output_dir": str(out)}, model={"base_storage": storage}))
        results[storage] = torch.cat([value.flatten() for _, value in sorted(moments(out, 1).items())])
    similarity = torch.cosine_similarity(results["same"], results["fp8"], dim=0)
    assert 0.9 < similarity < 0.99999  # eight bits are not thirty-two


def test_going_on_from_an_adapter(make_config, tmp_path):
    run(make_config(run={"max_train_steps": 3, "ema_decay": 0.0}))
    stored = load_file(tmp_path / "run/emotion_adapter.safetensors")
    slow = {"learning_rate": 1e-12, "adapter_learning_rate": 1e-12, "adam_weight_decay": 0.0}
    on = {"adapter_weights": str(tmp_path / "run")}
    run(make_config(
        run={"max_train_steps": 1, "output_dir": str(tmp_path / "on"), "ema_decay": 0.0}, adapter=on, optimizer=slow,
    ))  # fmt: skip
    again = load_file(tmp_path / "on/emotion_adapter.safetensors")
    assert all(torch.allclose(stored[name], again[name], atol=1e-6) for name in stored)
    with pytest.raises(ConfigError, match=r"adapter_weights: .*nowhere.*no such file"):
        wrong = {"adapter_weights": str(tmp_path / "nowhere")}
        run(make_config(run={"output_dir": str(tmp_path / "x")}, adapter=wrong))
    with pytest.raises(ConfigError, match=r"adapter_weights: .*is \("):
        run(make_config(
            run={"output_dir": str(tmp_path / "x")}, adapter={**on, "adapter_rank": 16, "adapter_head_dim": 4},
        ))  # fmt: skip


@pytest.mark.parametrize("form", ["diffusers", "comfyui", "diffsynth"])
def test_going_on_from_a_lora_of_any_form_and_strength(make_config, tmp_path, form):
    """The same velocity before the first step, though rank and alpha say another strength."""
    first = {"rank": 4, "lora_alpha": 2.0}
    run(make_config(
        run={"max_train_steps": 3, "ema_decay": 0.0}, lora=first, adapter={"train_adapter": False},
        checkpoint={"export_formats": ["comfyui", "diffsynth"]},
    ))  # fmt: skip
    name = "pytorch_lora_weights" + ("" if form == "diffusers" else f"_{form}")
    on = {"rank": 4, "lora_alpha": 12.0, "lora_weights": str(tmp_path / "run" / f"{name}.safetensors")}
    config = make_config(lora=on, adapter={"train_adapter": False})
    folder = family_of(Path(config.model.pretrained_model_name_or_path))

    def velocity(model):
        batch = Batch(torch.zeros(1, 4, 2, 4, 4), torch.ones(1, 12, 16), None, ["x"])
        with torch.no_grad():
            return model(torch.full((1, 4, 2, 4, 4), 0.3), torch.tensor([0.5]), batch)

    again = build_model(folder, load_transformers(folder, config.model), config, 12)
    earlier = make_config(lora=first, adapter={"train_adapter": False})
    model = build_model(folder, load_transformers(folder, config.model), earlier, 12)
    untrained = velocity(model)
    restore(tmp_path / "run/checkpoint-3/trained.safetensors", model.trainable())
    assert torch.allclose(velocity(model), velocity(again), atol=1e-5)
    assert not torch.allclose(velocity(model), untrained, atol=1e-4)
    other = {**on, "rank": 8}
    with pytest.raises(ConfigError, match=r"lora_weights: .*where lora\.rank makes it"):
        run(make_config(lora=other, adapter={"train_adapter": False}, run={"output_dir": str(tmp_path / "x")}))
    with pytest.raises(ConfigError, match=r"lora_weights: .*nowhere"):
        wrong = {**on, "lora_weights": str(tmp_path / "nowhere")}
        run(make_config(lora=wrong, run={"output_dir": str(tmp_path / "x")}))


def test_targets_that_do_not_exist_are_named(make_config):
    with pytest.raises(ConfigError, match=r"no layer ends in 'to_w'; the blocks have .*attn1\.to_q"):
        run(make_config(lora={"target_modules": ["to_q", "to_w"]}))


@pytest.fixture
def mixed_folder(tmp_path):
    """Clips of two lengths and shapes, an image, and one too short for all."""
    folder, random, rows = tmp_path / "mixed", np.random.default_rng(0), []
    folder.mkdir()

    def add(name, frames, height, width, emotion):
        pictures = [Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)) for _ in range(frames)]
        more = {"save_all": True, "append_images": pictures[1:], "duration": 125} if frames > 1 else {}
        pictures[0].save(folder / name, lossless=True, **more)
        rows.append({"file_name": name, "caption": "a red ball", "emotion": emotion})

    for index in range(3):
        add(f"long{index}.webp", 10, 16, 16, "joy")
        add(f"wide{index}.webp", 5, 16, 32, "fear")
        add(f"still{index}.webp", 1, 16, 16, "awe")
    add("short.webp", 3, 16, 16, "joy")
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_buckets_mix_lengths_shapes_and_images(make_config, mixed_folder, tmp_path, capsys, monkeypatch):
    from emogen.training.trainer import Trainer

    shapes, take_step = [], Trainer.train_step

    def spy(self):
        shapes.append({tuple(self.train.batch([index]).latents.shape[2:]) for index in self.task.order(self.step)})
        return take_step(self)

    monkeypatch.setattr(Trainer, "train_step", spy)
    sizes = {"buckets": ["9x16x16", "5x16x32", "1x16x16"], "dataset_name": str(mixed_folder), "max_bad_fraction": 0.2}
    run(make_config(data=sizes, run={"max_train_steps": 6}))
    assert all(len(step) == 1 for step in shapes)  # a batch is of one size
    assert {next(iter(step)) for step in shapes} == {(3, 4, 4), (2, 4, 8), (1, 4, 4)}
    text = capsys.readouterr().out
    assert "9x16x16" in text and "1 of 10 clips cannot be" in text
    assert "short.webp: 3 frames at the model's rate" in text
    with pytest.raises(ConfigError, match=r"data\.buckets: .*height must be a multiple of 8.*16 or 24"):
        run(make_config(data={**sizes, "buckets": ["5x20x16"]}, run={"output_dir": str(tmp_path / "x")}))
    with pytest.raises(DataError, match="4 of 10 clips cannot be used"):
        run(make_config(data={**sizes, "buckets": ["5x16x16"]}, run={"output_dir": str(tmp_path / "x")}))


def test_annotators_who_disagree_soften_the_label(make_config, clips_folder, tmp_path, monkeypatch):
    from emogen.training.trainer import Trainer

    rows = [json.loads(line) for line in (clips_folder / "metadata.jsonl").read_text().splitlines()]
    rows[1]["agreement"] = 0.6  # a clip of fear
    (clips_folder / "unsure.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    seen = {}

    fit = Trainer.fit

    def keep(self):
        seen[self.config.data.soft_labels] = self.train.emotions([1]).distribution[0]
        fit(self)

    monkeypatch.setattr(Trainer, "fit", keep)
    for soft in (True, False):
        data = {"dataset_name": str(clips_folder / "unsure.jsonl"), "soft_labels": soft}
        run(make_config(data=data, run={"output_dir": str(tmp_path / f"soft_{soft}")}))
    assert seen[False].max() == 1.0
    assert seen[True].max().item() == pytest.approx(0.6) and seen[True].sum().item() == pytest.approx(1.0)
