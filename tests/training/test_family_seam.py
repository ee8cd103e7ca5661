"""The seam between training and a model family: one file knows Wan, and another family can be put beside it."""

import ast
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from emogen.training import families
from emogen.training.config import ConfigError
from emogen.training.families import ModelFolderError, family_of
from emogen.training.run import dry_run, run

ROOT = Path(families.__file__).parents[1]
CONCRETE = re.compile(r"(Emotion)?Wan[A-Z]\w*|Autoencoder\w+|(U?MT5|T5|CLIP)[A-Z]\w*")
OF_THE_SEAM = {"WanFamily"}  # what the list of families holds


def names_in(tree):
    """Every name, attribute and imported name of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (name.name for name in node.names)
        elif isinstance(node, (ast.Name, ast.Attribute)):
            yield node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value


def imports_of(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_only_the_families_name_wan_and_training_imports_nothing_of_the_evaluation():
    files = sorted(ROOT.rglob("*.py"))
    named, imported = {}, {}
    for file in files:
        tree = ast.parse(file.read_text())
        place = file.relative_to(ROOT).as_posix()
        named[place] = sorted({name for name in names_in(tree) if CONCRETE.fullmatch(name)} - OF_THE_SEAM)
        imported[place] = [name for name in imports_of(tree) if name.startswith("emogen.eval")]
    for file in ("families/wan.py", "families/wan22.py"):
        assert "WanTransformer3DModel" in named.pop(file)  # so the test sees what it looks for
    assert {place: names for place, names in named.items() if names} == {}
    assert {place: names for place, names in imported.items() if names} == {} and len(files) > 30


def test_another_family_is_trained_by_the_same_trainer(make_config, tmp_path, monkeypatch, capsys):
    from toy_family import ToyFamily, ToyTransformer

    torch.manual_seed(0)
    ToyTransformer().save_pretrained(tmp_path / "toy/transformer")
    toy = {"model": {"pretrained_model_name_or_path": str(tmp_path / "toy"), "base_dtype": "fp32"},
           "lora": {"rank": 2, "target_modules": ["to_q", "to_k", "to_v"]}}  # fmt: skip
    with pytest.raises(ModelFolderError, match="is a ToyTransformer; a WanTransformer3DModel is needed"):
        run(make_config(**toy))
    monkeypatch.setattr(families, "FAMILIES", [*families.FAMILIES, ToyFamily])
    with pytest.raises(ModelFolderError, match="no emotion adapter for a ToyTransformer"):
        dry_run(make_config(**toy))
    toy["adapter"] = {"train_adapter": False}
    with pytest.raises(ModelFolderError, match="cannot fold its padding"):
        run(make_config(**toy | {"model": {**toy["model"], "fold_padding": True}}))
    toy["lora"]["target_modules"] = ["to_v", "to_out"]
    with pytest.raises(ConfigError, match="no layer ends in 'to_out'; the blocks have to_k, to_q, to_v"):
        dry_run(make_config(**toy))
    toy["lora"]["target_modules"] = ["to_q", "to_k", "to_v"]
    monkeypatch.setattr("emogen.training.run.write_card", lambda *given: None)  # its pipeline has no name to print
    run(make_config(**toy, run={"max_train_steps": 2}, validation={"validation_steps": 2}))
    lora = load_file(tmp_path / "run/pytorch_lora_weights.safetensors")
    assert len(lora) == 2 * 2 * 3 and all(value.abs().max() > 0 for value in lora.values())
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [1, 2, 2] and log[2]["val/loss"] > 0
    assert "activations kept for backward" in capsys.readouterr().out


@pytest.mark.parametrize(("file", "change", "message"), [
    ("transformer_2/config.json", {}, "boundary_ratio is None"),
    ("transformer/config.json", {"pos_embed_seq_len": 514}, r"a first and a last frame \(FLF2V\)"),
    ("transformer/config.json", {"in_channels": 7}, "takes 7 channels for 4: neither"),
    ("transformer/config.json", {"_class_name": "LTXVideoTransformer3DModel"}, "is a LTXVideoTransformer3DModel"),
])  # fmt: skip
def test_other_models_are_refused_by_name(model_folder, tmp_path, file, change, message):
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**before, **change}))
    with pytest.raises(ModelFolderError, match=message):
        family_of(folder)
