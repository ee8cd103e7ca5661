"""Configurations of evaluations, controls and judges: what they say, and the mistakes that are named."""

import dataclasses
import json
from pathlib import Path

import pytest

from emogen.eval.__main__ import main as evaluate
from emogen.eval.benchmark.config import ConfigError, EvalConfigError, eval_config, load_eval_config
from emogen.eval.benchmark.items import make_items
from emogen.eval.controls.__main__ import main as measure_controls
from emogen.eval.controls.config import controls_config, load_controls_config
from emogen.eval.judges import check_spec
from emogen.eval.judges.spec import JudgeError, read_spec, refuse_remote_code

CONFIGS = Path(__file__).parents[2] / "configs/eval"
STRANGE = {"kind": "vlm", "model": "x/y", "name": "vlm", "trust_remote_code": True}
MODEL = {"model": "embedded", "adapter": "embedded"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, "name must be text, not null"),
        ({"metrics": ["agrement"]}, "unknown metric 'agrement'; did you mean 'agreement'"),
        ({"metrics": ["fvd"], "reference": "a"}, r"fvd needs weights\.i3d"),
        ({"metrics": ["frechet_transnetv2"]}, "needs a reference"),
        ({"metrics": "agreement"}, "metrics must be a list"),
        ({"weights": {"i3d": ["x"]}}, r"weights\.i3d must be text"),
        ({"baseline": "b"}, r"baseline: 'b' is no system \(a\)"),
        ({"reference": 3}, "reference must be text"),
        ({"emotions": ["joyy"]}, "emotions: .*joy"),
        ({"emotions": ["joy"]}, "'joy' is none of amusement"),
        ({"emotions": ["fear", "fear"]}, "emotions: one is named twice"),
        ({"seed": [1]}, "unknown key 'seed'; did you mean 'seeds'"),
        ({"seeds": 3}, "seeds must be a list"),
        ({"seeds": ["a"]}, r"seeds\[0\] must be a whole number, not 'a'"),
        ({"seeds": [2**70]}, r"seeds\[0\] must be"),
        ({"seeds": [-1]}, r"seeds\[0\] must be at least 0"),
        ({"num_prompts": 4}, r"num_prompts must be a mapping such as \{a: 1\}, not 4"),
        ({"num_prompts": {"rendered": "many"}}, r"num_prompts\.rendered must be a whole number"),
        ({"generation": 5}, r"generation must be a mapping such as \{a: 1\}, not 5"),
        ({"generation": {"guidance_scale": float("nan")}}, "generation must be finite"),
        ({"prompts": "nowhere.jsonl"}, r"no file nowhere\.jsonl"),
        ({"prompts": "x" * 9000}, "prompts: no file x"),
        ({"clip_format": "gif"}, "clip_format must be one of png, mp4"),
        ({"systems": {"a": {"model": "embedded"}}}, r"systems\.a: emotion: adapter needs an adapter"),
        ({"systems": {"a": {"modle": "embedded"}}}, r"key 'systems\.a\.modle'; did you mean 'systems\.a\.model'"),
        ({"systems": {"a": {"model": "m", "adapter": "x", "load": "lora"}}}, "leaves no adapter"),
        ({"systems": {"a": {"clips": "c", "emotion": "joy"}}}, r"systems\.a\.emotion must be one of adapter, sentence"),
        ({"systems": {"a": {"clips": "c", "image": "maybe"}}}, r"systems\.a\.image must be true or false"),
        ({"systems": {"a": {}}}, r"systems\.a: give a model or clips"),
        ({"systems": {"a": None}}, r"systems\.a: give a model or clips"),
        ({"systems": {"a": ["model"]}}, r"systems\.a must be a mapping such as"),
        ({"systems": {"a": {"clips": "c", "name": "b"}}}, r"systems\.a\.name: unknown key 'name'"),
        ({"systems": {"a/../b": {"clips": "c"}}}, "use letters, digits"),
        ({"systems": [{"model": "embedded"}]}, "systems must name what is compared"),
        ({"systems": {}}, "systems must name what is compared"),
        ({"judges": {}}, "judges must be a list"),
        ({"judges": [3]}, r"judges\[0\] must be embedded, a judge's folder"),
        ({"judges": [{"kind": "clip", "model": "x"}]}, r"judges\[0\]: a mapping needs a name"),
        ({"judges": [{"name": "a", "kind": "clap"}]}, r"judges\[0\]: unknown kind 'clap'; did you mean 'clip'"),
        ({"judges": ["embedded", {"name": "embedded", "kind": "clip", "model": "x"}]}, "judges: two are called"),
        ({"judges": [STRANGE]}, r"judges\[0\]: trust_remote_code runs the code that lies beside x/y"),
        ({"judges": [{"kind": "ensemble", "name": "e", "members": ["embedded", STRANGE]}]}, r"members\[1\]: trust"),
    ],
)  # fmt: skip
def test_a_wrong_evaluation_is_refused(changes, message):
    raw = {"name": "test", "systems": {"a": {"clips": "stickers"}}, **changes}
    with pytest.raises(EvalConfigError, match=message):
        eval_config(raw)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"system": 3}, "system must say what is measured"),
        ({"system": {"model": "embedded"}}, "system: give a model and its adapter"),
        ({"system": {"modell": "x"}}, r"unknown key 'system\.modell'; did you mean 'system\.model'"),
        ({"system": {**MODEL, "image": True}}, "text-to-video"),
        ({"system": {**MODEL, "load": "lora"}}, "load must be both or adapter"),
        ({"system": {**MODEL, "call": {"emotion": "fear"}}}, r"system\.call: emotion is set by the studies"),
        ({"intensity": {"level": 7}}, r"unknown key 'intensity\.level'; did you mean 'intensity\.levels'"),
        ({"intensity": {"levels": 2}}, r"intensity\.levels must be at least 3, not 2"),
        ({"intensity": {"emotions": ["joy"]}}, "'joy' is none of"),
        ({"intensity": {"scales": ["big"]}}, r"intensity\.scales\[0\] must be a number"),
        ({"intensity": {"scales": [float("inf")]}}, "finite"),
        ({"plane": {"grid": True}}, r"plane\.grid must be a whole number"),
        ({"mixtures": {"pairs": 40}}, "there are 28 pairs"),
        ({"mixtures": {"pairs": "some"}}, "must be all, a number or a list of pairs"),
        ({"mixtures": {"pairs": [["fear", "fear"]]}}, "mixtures.pairs: .* is no pair"),
        ({"mixtures": {"pairs": [[["fear"], "awe"]]}}, "is no pair"),
        ({"arcs": {"pairs": [["fear", "joy"]]}}, r"arcs\.pairs\[0\]: .* is no pair"),
        ({"arcs": {"switch": 1}}, r"arcs\.switch must be below 1"),
        ({"arcs": {"shapes": ["jump"]}}, r"arcs\.shapes\[0\] must be one of step, linear, not 'jump'"),
        ({"arcs": 3}, "arcs must be a section"),
        ({"generation": {"emotion": "fear"}}, "generation: emotion is set by the studies"),
        ({"judges": [{"kind": "clop"}]}, "unknown kind 'clop'"),
        ({"judges": ["embedded", "embedded"]}, "two are called"),
        ({"judges": [STRANGE]}, "add --trust_remote_code"),
        ({"prompts": "nowhere.jsonl"}, r"no file nowhere\.jsonl"),
        ({"numprompts": 3}, "unknown key 'numprompts'; did you mean 'num_prompts'"),
        ({"num_prompts": {"rendered": 3}}, "num_prompts must be a whole number"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"seeds": 0}, "seeds must be a list"),
        ({"name": None}, "name must be text"),
    ],
)  # fmt: skip
def test_a_wrong_measurement_of_controls_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        controls_config({"name": "test", "system": MODEL, **changes})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "vml", "model": "x"}, "unknown kind 'vml'; did you mean 'vlm'"),
        ({"kind": ["vlm"], "model": "x"}, "unknown kind"),
        ({"model": "x"}, "kind is missing; it is one of classifier, clip, embedded, embedded_blends, ens"),
        ({"kind": "vlm", "model": "x", "frame": 8}, "vlm: unknown key 'frame'; did you mean 'frames'"),
        ({"kind": "clip"}, "clip: model must be set"),
        ({"kind": "clip", "model": ""}, "model must not be empty"),
        ({"kind": "clip", "model": "x", "frames": 0}, "frames must be at least 1, not 0"),
        ({"kind": "clip", "model": "x", "frames": True}, "frames must be a whole number"),
        ({"kind": "vlm", "model": "x", "trust_remote_code": "perhaps"}, "trust_remote_code must be true or false"),
        ({"kind": "embedded", "temperature": -1}, "temperature must be above 0, not -1"),
        ({"kind": "embedded", "temperature": float("nan")}, "temperature must be finite"),
        ({"kind": "ensemble", "members": ["embedded"]}, "members must be a list of two judges or more"),
        ({"kind": "ensemble", "members": 3}, "members must be a list of two judges or more"),
        ({"kind": "ensemble", "members": ["embedded", "embedded"]}, "two members have one name"),
        ({"kind": "ensemble", "members": ["embedded", {"kind": "clop"}]}, r"members\[1\]: unknown kind 'clop'"),
        ({"kind": "ensemble", "members": ["embedded", "f"], "weights": ["x", 1]}, r"weights\[0\] must be a number"),
        (3, "must be embedded, a judge's folder or a mapping"),
        ("", "is empty"),
    ],
)  # fmt: skip
def test_a_wrong_judge_is_refused(spec, message):
    with pytest.raises(JudgeError, match=message):
        check_spec(spec)


def test_a_judge_on_the_command_line():
    assert read_spec("some/folder") == "some/folder"
    found = read_spec("{kind: clip, model: 2025-11-24, frames: '4', name: no}")
    assert found == {"kind": "clip", "model": "2025-11-24", "frames": 4, "name": "no"}
    for text, message in (("{kind: clip", "--judge: not valid YAML"), ("{kind: &a clip}", "--judge: anchors"),
                          ("{kind: clip, kind: vlm}", "set twice"), ("{[a]: b}", "a key must be plain")):  # fmt: skip
        with pytest.raises(JudgeError, match=message):
            read_spec(text)


def test_code_of_strangers_needs_a_word_on_the_command_line(tmp_path, capsys):
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"name": "t", "systems": {"a": {"clips": "stickers"}}, "judges": [STRANGE]}))
    assert evaluate(["--config", str(file), "--output_dir", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "c.yaml:1: judges[0]" in said and "--trust_remote_code" in said and not (tmp_path / "out").exists()
    assert load_eval_config(file, trust_remote_code=True).judges[0]["trust_remote_code"] is True
    file.write_text(json.dumps({"name": "t", "system": MODEL, "judges": [STRANGE]}))
    assert measure_controls(["--config", str(file), "--output_dir", str(tmp_path / "out")]) == 2
    assert load_controls_config(file, trust_remote_code=True).judges[0]["trust_remote_code"] is True
    from emogen.cli import main

    command = ["judge", "check", "--judge", "{kind: vlm, model: x/y, trust_remote_code: true}", "--data", str(tmp_path)]
    assert main(command) == 2 and "add --trust_remote_code" in capsys.readouterr().err
    refuse_remote_code(STRANGE, "--judge", allowed=True)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emovid").mkdir()
    (tmp_path / "emovid/prompts.jsonl").write_text('{"prompt": "a cat", "domain": "movie"}\n')
    (tmp_path / "set/a.mp4").parent.mkdir()
    (tmp_path / "set/a.mp4").touch()
    line = {"file_name": "a.mp4", "caption": "a cat", "emotion": "awe", "split": "test"}
    (tmp_path / "set/metadata.jsonl").write_text(json.dumps(line))
    if path.stem == "controls":
        made = load_controls_config(path)
        assert made.intensity.scales == (-1, -0.5, 1.5, 2)
        assert [type(scale) for scale in made.intensity.scales] == [int, float, float, int]  # clips are named by them
    else:
        made = load_eval_config(path)
        assert made.baseline in [system.name for system in made.systems] and make_items(made)
    json.dumps(dataclasses.asdict(made), allow_nan=False)  # as it goes into the results


def test_words_and_lines_of_a_file(tmp_path):
    file = tmp_path / "c.yaml"
    text = "name: 2025-11-24\nsystems:\n  on: {clips: stickers}\n  007: {clips: 1e3}\nseeds: [1.0]\nbaseline: on\n"
    file.write_text(text)
    made = load_eval_config(file)
    assert made.name == "2025-11-24" and [s.name for s in made.systems] == ["on", "007"] and made.seeds == (1,)
    assert made.system("007").clips == "1e3" and made.baseline == "on"
    for wrong, message in (
        (text.replace("{clips: 1e3}", "{clip: x}"), r"c\.yaml:4: unknown key 'systems\.007\.clip'.*\.clips'"),
        (text.replace("{clips: 1e3}", "{model: x}"), r"c\.yaml:4: systems\.007: emotion: adapter needs"),
        (text.replace("[1.0]", "[1.5]"), r"c\.yaml:5: seeds\[0\] must be a whole number"),
        (text.replace("baseline: on", "baseline: of"), r"c\.yaml:6: baseline: 'of' is no system"),
        (text + "judges:\n- embedded\n- {kind: clap, name: a}\n", r"c\.yaml:9: judges\[1\]: unknown kind"),
        (text.replace("systems:\n  on", "systems:\n  on: {}\n  on"), r"c\.yaml:4: 'systems\.on' is set twice"),
    ):  # fmt: skip
        file.write_text(wrong)
        with pytest.raises(ConfigError, match=message):
            load_eval_config(file)
