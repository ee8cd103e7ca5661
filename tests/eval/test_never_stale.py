"""A used folder: a clip is taken again only if all that makes it is the same; what differs is made again and said."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from emogen import embedded
from emogen.eval.benchmark import recipes, systems
from emogen.eval.benchmark.config import EvalConfigError, eval_config
from emogen.eval.benchmark.recipes import fingerprint_large
from emogen.eval.benchmark.run import run_benchmark

PAIR = ["fear", "contentment"]


class Pipe:
    """Clips that say how often it was called."""

    fps, calls = 12, 0

    def __call__(self, prompt, **call):
        Pipe.calls += 1
        frames = np.random.default_rng(Pipe.calls).random((len(prompt), 5, 32, 32, 3))
        return type("Output", (), {"frames": frames})


@pytest.fixture
def used(tmp_path, monkeypatch):
    """An output folder of two systems, and a way to run it again with changes."""
    monkeypatch.setattr(systems, "load_system", lambda system: Pipe())
    adapter = tmp_path / "adapter"
    shutil.copytree(embedded.embedded_adapter(), adapter)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "a red face"}\n{"prompt": "a blue face"}\n')

    def run(**changes):
        with_adapter = {"model": "embedded", "adapter": str(adapter), **changes.pop("with", {})}
        raw = {"name": "t", "prompts": str(tmp_path / "prompts.jsonl"), "num_prompts": {}, "emotions": PAIR,
               "generation": {"num_inference_steps": 3}, "metrics": ["agreement"],
               "systems": {"plain": {"model": "embedded", "emotion": "none"}, "with": with_adapter}}  # fmt: skip
        before = Pipe.calls
        results = run_benchmark(eval_config({**raw, **changes}), tmp_path / "out", quiet=True)
        return results, Pipe.calls - before

    assert run()[1] == 4  # a call a prompt and system
    return tmp_path, run


def change_bytes(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_preset_goes_before_the_options_of_all_and_counts_with_its_loras(used):
    root, run = used
    lora = root / "style.safetensors"
    lora.write_bytes(b"first")
    fast = {"preset": "fast", "call": {"num_inference_steps": 5}}
    assert run(**{"with": fast})[1] == 2 and run(**{"with": fast})[1] == 0
    assert run(**{"with": fast | {"lora": [f"{lora}:0.5"]}})[1] == 2
    lora.write_bytes(b"other")
    assert run(**{"with": fast | {"lora": [f"{lora}:0.5"]}})[1] == 2
    plain, own = (
        eval_config({"name": "t", "prompts": str(root / "prompts.jsonl"), "systems": {"s": system}}).systems[0]
        for system in ({"model": "embedded", "emotion": "none", **more} for more in ({"preset": "fast"}, fast))
    )
    given = {"num_inference_steps": 10, "height": 32}
    assert plain.options(given) == {"num_inference_steps": 4, "guidance_scale": 1.0, "height": 32}
    assert own.options(given)["num_inference_steps"] == 5
    lora.unlink()
    for wrong, said in [({"lora": [str(lora)]}, "no such file"), ({"lora": ["a.safetensors:x"]}, "FILE_OR_ID:WEIGHT"),
                        ({"lora": ["a/b"], "pipeline": "CogVideoXPipeline"}, "lora is for Wan models"),
                        ({"model": None, "clips": "stickers", "preset": "fast"}, "preset needs a model")]:  # fmt: skip
        with pytest.raises(EvalConfigError, match=said):
            run(**{"with": {"emotion": "none", "adapter": None} | wrong})


def test_nothing_changed_nothing_is_made(used, capsys):
    root, run = used
    assert run()[1] == 0
    shutil.copytree(root / "adapter", root / "moved")  # the same weights elsewhere
    assert run(**{"with": {"adapter": str(root / "moved")}})[1] == 0
    assert run(judges=["embedded_blends"], metrics=["agreement", "temporal_flickering"])[1] == 0
    assert "made again" not in capsys.readouterr().err


CHANGES = {
    "steps": (lambda root, patch: {"generation": {"num_inference_steps": 4}}, 4, "options.num_inference_steps"),
    "an option set to what it was not": (
        lambda root, patch: {"generation": {"num_inference_steps": 3, "guidance_scale": 9.0}}, 4,
        "options.guidance_scale"),
    "an option of one system": (lambda root, patch: {"with": {"call": {"height": 48}}}, 2, "options.height"),
    "what of the adapter is loaded": (lambda root, patch: {"with": {"load": "adapter"}}, 2, "way.load"),
    "the adapter's weights": (
        lambda root, patch: change_bytes(root / "adapter/emotion_adapter.safetensors") or {}, 2, "weights.adapter"),
    "the LoRA's weights": (
        lambda root, patch: change_bytes(root / "adapter/pytorch_lora_weights.safetensors") or {}, 2,
        "weights.adapter"),
    "a prompt": (
        lambda root, patch: (root / "prompts.jsonl").write_text(
            '{"prompt": "a red face"}\n{"prompt": "a car"}\n') and {}, 2, "ask.prompt"),
    "a default of the pipeline": (
        lambda root, patch: patch.setattr(recipes, "default_options", lambda system: {"height": 1}) or {}, 4,
        "options."),
    "a version": (
        lambda root, patch: patch.setattr(recipes, "_versions", lambda: {"torch": "9"}) or {}, 4, "versions."),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_differs_is_made_again_and_said(used, monkeypatch, capsys, name):
    root, run = used
    change, calls, reason = CHANGES[name]
    results, made = run(**change(root, monkeypatch))
    assert made == calls
    said = capsys.readouterr().err
    assert "clips are made again" in said and reason in said and results["config_hash"]
    once = name.endswith("weights")  # a second time would change them back
    assert run(**({} if once else change(root, monkeypatch)))[1] == 0


def test_damaged_and_unknown_clips_count_as_not_made(used, capsys):
    root, run = used
    clips = sorted((root / "out/clips/with").glob("*.png"))
    clips[0].write_bytes(clips[0].read_bytes()[: clips[0].stat().st_size // 2])
    (clips[1].parent / ".recipes" / f"{clips[1].name}.json").write_text("{")
    results, _ = run()
    assert not results["excluded"]
    said = capsys.readouterr().err
    assert "note: with: 2 clips are made again" in said
    assert "1: its contents have changed since it was made" in said and "1: nothing says how it was made" in said


def test_a_drawn_clip_of_another_prompt_is_not_scored(tmp_path):
    """Prompt 1 is a sticker that can be drawn in the first run, and a real emoji in the second."""
    systems = {"drawn": {"clips": "stickers"}}
    for count in ({"rendered": 2}, {"rendered": 1, "real": 1}):
        raw = {"name": "t", "num_prompts": count, "emotions": PAIR, "metrics": ["agreement"], "systems": systems}
        results = run_benchmark(eval_config(raw), tmp_path, quiet=True)
    assert results["summary"]["systems"]["drawn"]["n"] == 2 and not results["excluded"]


def test_a_second_writer_is_refused_and_told_who_writes(used):
    root, run = used
    code = ("import sys, time; from emogen.files import only_writer\n"
            "with only_writer(sys.argv[1]): print('in', flush=True); time.sleep(60)")  # fmt: skip
    other = subprocess.Popen([sys.executable, "-c", code, str(root / "out")], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "in\n"
        before = (root / "out/results.json").read_bytes()
        with pytest.raises(EvalConfigError, match=f"process {other.pid} on .* is writing here"):
            run(generation={"num_inference_steps": 9})
        assert (root / "out/results.json").read_bytes() == before
    finally:
        other.kill()
        other.wait()
    assert run(generation={"num_inference_steps": 9})[1] == 4


def test_one_name_of_two_models_has_two_fingerprints():
    both = {"model": "embedded", "adapter": "embedded"}
    config = eval_config({"name": "t", "systems": {"text": both, "image": both | {"image": True}}})
    known = recipes.Recipes({})
    text, image = (known.sampled(system, {})["weights"] for system in config.systems)
    assert text["model"] != image["model"] and text["adapter"] != image["adapter"]


def test_large_files_are_told_by_samples(tmp_path):
    path = tmp_path / "large.safetensors"
    path.write_bytes(b"a" * (1 << 25) + b"b" * (1 << 20))
    first = fingerprint_large(path)
    change_bytes(path)
    assert fingerprint_large(path) != first
    assert json.dumps(first)
