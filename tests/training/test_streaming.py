"""Training with the frozen blocks away. On the CPU, with real moves: the blocks go to files, and what a block leaves in
memory is overwritten with NaN, as a card's memory is by the next block. So whatever reads a weight that is away shows.
"""

import dataclasses
import json
import shutil
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.hooks.group_offloading import ModuleGroup
from parts import published_config
from safetensors.torch import load_file
from wan22_parts import TINY, a14b

from emogen.training.config import ConfigError, LoraSettings
from emogen.training.data.batches import Batch
from emogen.training.families import family_of
from emogen.training.memory.footprint import Setup, count_weights, setup_of
from emogen.training.memory.forecast import forecast
from emogen.training.model import build_model, load_transformers
from emogen.training.run import dry_run, run
from emogen.training.streaming import HELD, BlockStream, check_streaming, frozen_weights, stream_blocks

CPU = torch.device("cpu")
LAYERS = 5
PLAIN, STREAMED = {"gradient_checkpointing": True}, {"gradient_checkpointing": True, "offload": "group_disk"}
EVERY_LAYER = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]


@pytest.fixture(scope="module")
def deep_folder(model_folder, tmp_path_factory):
    """The tiny Wan with more blocks than are held."""
    folder = tmp_path_factory.mktemp("deep") / "model"
    shutil.copytree(model_folder, folder)
    torch.manual_seed(4)
    model = WanTransformer3DModel(**{**TINY, "num_layers": LAYERS}, in_channels=4, out_channels=4)
    model.save_pretrained(folder / "transformer")
    return folder


@pytest.fixture
def config(make_config, deep_folder, tmp_path):
    def make(name="run", model=None, **changes):
        settings = {"output_dir": str(tmp_path / name), "max_train_steps": 3, **changes.pop("run", {})}
        model = {"pretrained_model_name_or_path": str(deep_folder), **(model or {})}
        return make_config(model=model, run=settings, **changes)

    return make


class Watch:
    """What moved, and that nothing of what went is held or read."""

    def __init__(self, monkeypatch):
        self.here, self.most, self.brought, self.folders = set(), 0, 0, set()
        self._gone: list[weakref.ref] = []
        bring, send = ModuleGroup.onload_, ModuleGroup.offload_

        def onload(group):
            held = [one for one in self._gone if one() is not None]
            assert not held, "the memory of a block that went is still held"
            self._gone.clear()
            bring(group)
            self.here.add(group)
            self.most, self.brought = max(self.most, len(self.here)), self.brought + 1

        def offload(group):
            before = [value.data for value in group.tensor_to_key]
            send(group)
            if group in self.here:
                self._gone += [weakref.ref(value.untyped_storage()) for value in before]
            self.here.discard(group)
            self.folders.add(group.offload_to_disk_path)
            for value in (*before, *(value.data for value in group.tensor_to_key)):
                value.fill_(float("nan"))

        monkeypatch.setattr(ModuleGroup, "onload_", onload)
        monkeypatch.setattr(ModuleGroup, "offload_", offload)


@pytest.fixture
def watch(monkeypatch):
    return Watch(monkeypatch)


def everything(folder, step):
    """Every tensor of a checkpoint, and every number of the log but times."""
    files = (folder / f"checkpoint-{step}").glob("*.safetensors")
    tensors = {f"{file.stem}/{name}": value for file in files for name, value in load_file(file).items()}
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return tensors, [{k: v for k, v in line.items() if k not in ("seconds_per_step", "time")} for line in log]


def assert_same(one, other):
    assert one[0].keys() == other[0].keys() and one[1] == other[1]
    assert not [name for name, value in one[0].items() if not torch.equal(value, other[0][name])]


WAYS = {
    "as it is": {},
    "16 bits": {"model": {"base_dtype": "bf16"}, "run": {"mixed_precision": "bf16"}},
    "8 bits": {"model": {"base_storage": "fp8"}},
    "every layer, two micro-steps": {
        "lora": {"target_modules": EVERY_LAYER, "use_dora": True},
        "run": {"train_batch_size": 1, "gradient_accumulation_steps": 2},
    },
    "folded, without an adapter": {"model": {"fold_padding": True}, "adapter": {"train_adapter": False}},
    "measured and looked at": {
        "validation": {
            "validation_steps": 1, "preview_steps": 2, "validation_prompts": ["a red ball"],
            "validation_emotions": ["joy"], "num_inference_steps": 2,
        }
    },
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_three_steps_are_those_without_streaming(config, tmp_path, watch, way):
    settings = dict(WAYS[way])
    model = settings.pop("model", {})
    run(config("plain", {**PLAIN, **model}, **settings))
    assert not watch.brought
    run(config("streamed", {**STREAMED, **model}, **settings))
    assert_same(everything(tmp_path / "plain", 3), everything(tmp_path / "streamed", 3))
    assert watch.most == HELD < LAYERS and watch.brought >= 3 * 2 * (LAYERS - HELD)


def build(config):
    family = family_of(Path(config.model.pretrained_model_name_or_path))
    return build_model(family, load_transformers(family, config.model), config, 12)


def a_batch():
    made = torch.Generator().manual_seed(1)
    return Batch(torch.randn(1, 4, 2, 4, 4, generator=made), torch.randn(1, 12, 16, generator=made), None, ["x"])


def gradients(model):
    """Of two passes that are summed, with one between them that records no graph."""
    batch, level = a_batch(), torch.tensor([0.5])
    for number in range(3):
        with torch.set_grad_enabled(number != 1):
            loss = model(batch.latents, level, batch).square().mean()
        if number != 1:
            loss.backward()
    return {name: value.grad for name, value in model.trainable().items()}


@pytest.fixture
def lora_alone(config):
    return config(model=PLAIN, adapter={"train_adapter": False}, lora={"rank": 2, "target_modules": EVERY_LAYER})


def test_gradients_are_those_without_streaming(lora_alone, tmp_path, watch):
    expected = gradients(build(lora_alone))
    model = build(lora_alone)
    assert stream_blocks(model, CPU, tmp_path) == LAYERS
    found = gradients(model)
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)
    assert any(value.any() for value in expected.values())
    blocks = model.family.blocks(model.transformer)
    kept = {id(value) for value in model.trainable().values()}
    assert not kept & {id(value) for block in blocks for value in frozen_weights(block)}


@pytest.mark.parametrize("early_stop", [True, False])
def test_hooks_of_sampling_would_not_do(lora_alone, tmp_path, watch, early_stop):
    """And the watch sees it. Where the second forward of a block ends early, diffusers' own hooks never send the block
    away; where it does not, they send it away before its backward."""
    model = build(lora_alone)
    model.requires_grad_(False)
    model.transformer.enable_group_offload(
        onload_device=CPU, offload_device=CPU, offload_type="block_level", num_blocks_per_group=1,
        offload_to_disk_path=str(tmp_path),
    )  # fmt: skip
    batch = a_batch()
    latents = batch.latents.requires_grad_()
    with torch.utils.checkpoint.set_checkpoint_early_stop(early_stop):
        model(latents, torch.tensor([0.5]), batch).square().mean().backward()
    assert not latents.grad.isfinite().all()
    assert (watch.most == LAYERS) == early_stop


def test_resuming_with_and_without(config, tmp_path, watch, capsys):
    run(config("whole", PLAIN, run={"max_train_steps": 4}))
    for name, first, second in (("a", STREAMED, PLAIN), ("b", PLAIN, STREAMED), ("c", STREAMED, STREAMED)):
        with pytest.MonkeyPatch.context() as patch:
            stop_after(patch, 2)
            run(config(name, first, run={"max_train_steps": 4}))
        capsys.readouterr()
        run(config(name, second, run={"max_train_steps": 4}, checkpoint={"resume_from_checkpoint": "latest"}))
        said = capsys.readouterr().out
        assert "resuming after step 2" in said and "changed" not in said
        assert_same(everything(tmp_path / "whole", 4), everything(tmp_path / name, 4))


def stop_after(patch, steps):
    """As if the run were told to stop."""
    from emogen.training.trainer import Trainer

    take_step = Trainer.train_step

    def step(self):
        norm = take_step(self)
        self.stop["signal"] = int(self.step == steps)
        return norm

    patch.setattr(Trainer, "train_step", step)


def test_two_transformers(make_config, deep_folder, tmp_path, watch):
    folder = a14b(deep_folder, tmp_path / "two")
    for name in ("transformer", "transformer_2"):
        shutil.copytree(deep_folder / "transformer", folder / name, dirs_exist_ok=True)
    for name, model in (("plain", PLAIN), ("streamed", STREAMED)):
        run(make_config(
            model={"pretrained_model_name_or_path": str(folder), **model},
            run={"output_dir": str(tmp_path / name), "max_train_steps": 3},
        ))  # fmt: skip
    assert_same(everything(tmp_path / "plain", 3), everything(tmp_path / "streamed", 3))
    assert watch.most == 2 * HELD


def test_files_go_with_the_run(config, tmp_path, watch, capsys):
    place = tmp_path / "place"
    place.mkdir()
    run(config(model={**STREAMED, "offload_folder": str(place)}, run={"max_train_steps": 1}))
    assert f"the {LAYERS} blocks of the frozen base are kept in {place}; 2 at a time" in capsys.readouterr().out
    assert {place} == {Path(one).parents[1] for one in watch.folders} and not list(place.iterdir())


def test_the_order_of_moves(monkeypatch):
    """Away before here, so that no third block is on the device; the wait for a copy before the next one begins."""
    done = []
    monkeypatch.setattr(ModuleGroup, "onload_", lambda group: done.append(f"+{group.offload_leader.number}"))
    monkeypatch.setattr(ModuleGroup, "offload_", lambda group: done.append(f"-{group.offload_leader.number}"))
    blocks = [torch.nn.Linear(1, 1) for _ in range(4)]
    for number, block in enumerate(blocks):
        block.number = number
    stream = BlockStream(blocks, CPU)
    stream._stream = SimpleNamespace(synchronize=lambda: done.append("wait"))
    moves = []
    for number in (0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2, 3, 0):  # a step, the forward of the next, and one without a graph
        done.clear()
        blocks[number](torch.zeros(1))
        moves.append(" ".join(done))
    assert moves == [
        "+0 wait +1", "-0 wait +2", "-1 wait +3", "wait",
        "wait", "-3 wait +1", "-2 wait +0", "wait",
        "wait", "-0 wait +2", "-1 wait +3", "wait", "-2 -3 +0 wait +1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"offload": "group_disk"}}, "needs model.gradient_checkpointing: true"),
        ({"model": {"offload": "group_disk", "gradient_checkpointing": 2}}, "needs model.gradient_checkpointing: true"),
        ({"model": {**STREAMED, "compile": True}}, "does not go with model.compile"),
        ({"model": {**STREAMED, "base_storage": "nf4"}, "run": {"cpu": False}}, "does not go with .*: nf4, whose"),
        ({"model": {**STREAMED, "base_storage": "int8"}, "run": {"cpu": False}}, "does not go with .*: int8, whose"),
        ({"model": STREAMED, "run": {"ulysses": 2}}, "for one process, and run.ulysses: 2"),
        ({"model": {**STREAMED, "offload": "group"}}, "run.cpu trains without one; group_disk saves"),
        ({"model": {**PLAIN, "offload_folder": "/tmp"}}, "offload_folder is for model.offload: group_disk, not none"),
        ({"model": {**STREAMED, "offload_folder": "/no/such"}}, "offload_folder: /no/such: no such folder"),
        ({"model": {**STREAMED, "offload": "disk"}}, "offload.*disk"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(config, changes, message):
    with pytest.raises(ConfigError, match=message):
        config(**changes)


def test_what_the_launch_rules_out(config, tmp_path, monkeypatch):
    streamed = config(model=STREAMED)
    with pytest.raises(ConfigError, match="offload: group_disk: has not been shown to work with DeepSpeed"):
        check_streaming(streamed, deepspeed=True)
    with pytest.raises(ConfigError, match="offload: group_disk: is for one process, and there are 2"):
        check_streaming(streamed, processes=2)
    on_gpu = config(model={**STREAMED, "offload": "group"}, run={"cpu": False})
    check_streaming(on_gpu, device=torch.device("cuda"))
    with pytest.raises(ConfigError, match=r"offload: group: moves weights .* this runs on the CPU; group_disk"):
        check_streaming(on_gpu, device=CPU)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    check_streaming(config(model=PLAIN))
    with pytest.raises(ConfigError, match="offload: group_disk: FSDP2 moves the blocks itself"):
        dry_run(streamed)


def test_the_forecast_counts_two_blocks_and_proposes_it(config, deep_folder, capsys):
    setup = Setup(transformer=published_config("Wan2.1-T2V-14B"), latents=(21, 60, 104), gradient_checkpointing=1)
    plain, streamed = forecast(setup), forecast(dataclasses.replace(setup, streamed=True))
    block = count_weights(setup).frozen_bytes[1]
    differs = {name for name in plain.parts if plain.parts[name] != streamed.parts[name]}
    assert differs == {"frozen weights"}
    assert plain.parts["frozen weights"] - streamed.parts["frozen weights"] == (40 - HELD) * block
    assert f"bf16, {HELD} of 40 blocks at a time" in streamed.table()
    lines = forecast(setup, device_memory=36 * 2**30).advice()
    words = "--offload group, with --gradient_checkpointing true and --base_storage same: "
    assert lines[-1].startswith(words) and lines[-1].endswith(": fits")
    assert not [line for line in forecast(dataclasses.replace(setup, processes=2)).advice() if "--offload" in line]
    family = family_of(deep_folder)
    made = [setup_of(config(model=model), family, (5, 16, 16), 12) for model in (PLAIN, STREAMED)]
    assert [one.streamed for one in made] == [False, True]
    assert dataclasses.replace(made[0], streamed=True, lora=LoraSettings(rank=2)) == dataclasses.replace(
        made[1], lora=LoraSettings(rank=2)
    )
    dry_run(config(model=STREAMED))
    assert f"{HELD} of {LAYERS} blocks at a time" in capsys.readouterr().out
