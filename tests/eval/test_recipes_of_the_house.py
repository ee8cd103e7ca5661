"""`docs/architecture.md`: its recipes, followed to the letter, and the files and rooms that it names."""

import csv
import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from emogen import cli
from emogen.eval.__main__ import main
from emogen.eval.benchmark.results import read_results
from emogen.eval.judges import JudgeError, check_spec, load_judge
from emogen.eval.judges.spec import _KINDS
from emogen.eval.metrics import REGISTRY
from emogen.training import families

TEXT = (Path(__file__).parents[2] / "docs/architecture.md").read_text(encoding="utf-8")


def block(language, name):
    """The one code block of the document that begins with these words."""
    (found,) = re.findall(rf"^```{language} {name}\n(.*?)^```$", TEXT, flags=re.M | re.S)
    return found


@pytest.fixture(params=["a file of the room", "a module of one's own"])
def house(request, tmp_path, monkeypatch):
    """The two files where the document says, and the names by which they are asked for."""
    monkeypatch.chdir(tmp_path)
    inside = request.param == "a file of the room"
    added = []
    for room, name, text in (("metrics", "sharpness", block("python", "metric")),
                             ("judges", "brightness", block("python", "judge"))):  # fmt: skip
        folder = tmp_path / (f"more_{room}" if inside else f"my_{room}")
        folder.mkdir()
        (folder / f"{name}.py").write_text(text)
        if inside:  # the room as if the file lay in it
            package = importlib.import_module(f"emogen.eval.{room}")
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
            added.append(f"emogen.eval.{room}.{name}")
            importlib.import_module(added[-1])
        else:
            added.append(f"my_{room}.{name}")
    yield inside
    REGISTRY.pop("sharpness", None)
    _KINDS.pop("brightness", None)
    for module in added:
        sys.modules.pop(module, None)


def test_a_metric_and_a_judge_are_one_file_each(house, tmp_path, capsys):
    raw = {"name": "toy", "num_prompts": {"rendered": 1}, "emotions": ["fear", "awe"],
           "systems": {"drawn": {"clips": "stickers"}}}  # fmt: skip
    for name in ("metric", "judge"):
        text = block("yaml", name)
        if not house:  # the other form that the document gives, behind "or:"
            text = re.sub(r"(\[agreement, )sharpness\].*?or: .*?(my_metrics\.sharpness\])", r"\1\2", text)
            text = re.sub(r"\{name: bright, kind: brightness.*?or: (\{.*\})", r"\1", text)
        raw |= yaml.safe_load(text)
    assert ("my_" in str(raw)) != house
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(raw))
    assert main(["--config", "toy.yaml", "--output_dir", "out", "--quiet"]) == 0
    results = read_results(tmp_path / "out")
    drawn = results["summary"]["systems"]["drawn"]
    assert 0 < drawn["sharpness"]["value"] < 1 and drawn["sharpness"]["n"] == 2
    assert drawn["EA-8 by bright"]["n"] == 2 and results["judges"]["bright"]["training"]["about"] == "nothing"
    assert "| sharpness |" in capsys.readouterr().out
    assert all(float(row["sharpness"]) > 0 for row in csv.DictReader((tmp_path / "out/rows.csv").open()))
    assert "drawn,,sharpness," in (tmp_path / "out/figures.csv").read_text()
    assert "sharpness" in (tmp_path / "out/table.tex").read_text()
    page = (tmp_path / "out/report.html").read_text()
    assert "<th>sharpness</th>" in page and "mean step between neighbouring pixels" in page and ">bright<" in page


def test_the_judge_of_the_document_is_checked_and_judges(house):
    kind = "brightness" if house else "my_judges.brightness"
    with pytest.raises(JudgeError, match="unknown key 'steepnes'; did you mean 'steepness'"):
        check_spec({"kind": kind, "steepnes": 3})
    judge = load_judge({"kind": kind, "name": "bright"})
    bright = np.full((1, 3, 8, 8, 3), 255, np.uint8)
    assert judge(bright).labels == ["amusement"] and judge(0 * bright).labels == ["sadness"]
    if house:
        assert load_judge("brightness").card.kind == "brightness"


@pytest.mark.parametrize(
    ("text", "message"),
    [("import nothing_of_this_name\n", "cannot be imported"), ("1 / 0\n", "ZeroDivisionError"), ("", "registers")],
)
def test_a_module_of_ones_own_that_does_not_serve_is_named(tmp_path, monkeypatch, capsys, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_fails.py").write_text("")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "fails.py").write_text(text)
    try:
        for key, value in (("metrics", ["mine.fails"]), ("judges", [{"name": "x", "kind": "mine.fails"}])):
            raw = {"name": "toy", "systems": {"drawn": {"clips": "stickers"}}, key: value}
            (tmp_path / "toy.yaml").write_text(yaml.safe_dump(raw))
            assert main(["--config", "toy.yaml", "--output_dir", "out"]) == 2
            said = capsys.readouterr().err
            assert f"{key}" in said and "mine.fails" in said and message in said
    finally:
        for name in ("mine", "mine.fails"):
            sys.modules.pop(name, None)


def written(tmp_path, monkeypatch, name, text):
    """A block as a module that can be imported by a name of its own."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{name}.py").write_text(text)
    module = importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    return module


def test_a_model_family_is_one_file(tmp_path, monkeypatch):
    module = written(tmp_path, monkeypatch, "plain_family", block("python", "family"))
    torch.manual_seed(0)
    base = module.PlainTransformer(num_layers=3)
    base.save_pretrained(tmp_path / "toy/transformer")
    with pytest.raises(families.ModelFolderError, match="is a PlainTransformer"):
        families.family_of(tmp_path / "toy")
    monkeypatch.setattr(families, "FAMILIES", [*families.FAMILIES, module.PlainFamily])
    family = families.family_of(tmp_path / "toy")
    assert family.layers == 3 and type(family).from_config(family.described(), family.folder) == family
    latents = family.clip_encoder("cpu")(torch.rand(2, 3, 5, 16, 16))["latents"]
    assert latents.shape == (2, 3, *family.latent_size(5, 16, 16))
    text = torch.stack(family.text_encoder("cpu", 3)(["a face", "a star"]))
    model = family.wrap(family.load_transformer(torch.float32), None)
    velocity = model(latents, torch.tensor([0.2, 0.8]), SimpleNamespace(text=text))
    assert velocity.shape == latents.shape and len(family.blocks(model.transformer)) == 3
    assert torch.equal(velocity, base.eval()(latents, torch.tensor([0.2, 0.8]), text))
    with pytest.raises(families.ModelFolderError, match="no emotion adapter for a PlainTransformer"):
        family.attach_adapter(model.transformer, None)


def test_a_command_is_one_file_and_a_line(tmp_path, monkeypatch, capsys):
    written(tmp_path, monkeypatch, "nearest", block("python", "command"))
    monkeypatch.setitem(cli.COMMANDS, "nearest", ("nearest", "the category that is nearest to a point"))
    assert cli.main(["--help"]) == 0 and "  nearest " in capsys.readouterr().out
    assert cli.main(["nearest", "0.7", "-0.4"]) == 0 and capsys.readouterr().out == "contentment\n"
    with pytest.raises(SystemExit) as refused:
        cli.main(["nearest", "7", "0"])
    assert refused.value.code == 2


def test_what_the_page_names_is_there():
    root = Path(__file__).parents[2]
    named = re.findall(r"`((?:emogen|pipelines|eval|recipe|training|tests|benchmarks)/[\w/.]*)`", TEXT)
    paths = [root / (name if not name.startswith("training/") else f"emogen/{name}") for name in named]
    assert len(paths) > 25 and [str(path) for path in paths if not path.exists()] == []
    rooms = {path.name for path in (root / "emogen").iterdir() if (path / "__init__.py").is_file()}
    assert {room for room in rooms if f"`emogen/{room}`" not in TEXT} == set()
