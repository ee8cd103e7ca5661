"""Folders of judges and cards that were cut, edited or come from a stranger: a judge or a sentence."""

import json
import shutil
from pathlib import Path

import pytest
from mutations import damaged

from emogen.embedded import embedded_judge
from emogen.eval.judges import JudgeCard, load_judge
from emogen.eval.judges.spec import JudgeError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("judge") / "judge"
    shutil.copytree(embedded_judge(), made)
    return made


@pytest.mark.parametrize("name", ["config.json", "card.json"])
def test_a_damaged_folder(folder, name):
    path, whole = folder / name, (Path(embedded_judge()) / name).read_text()
    cases = [(repr(text), text) for text in ("", "[]", "3", "null", "{", whole[: len(whole) // 2], "[" * 20_000)]
    cases += [(what, json.dumps(raw)) for what, raw in damaged(json.loads(whole), 60)]
    refused = 0
    for what, text in cases:
        path.write_text(text)
        try:
            load_judge(str(folder))
        except JudgeError as error:
            refused += 1
            assert str(folder) in str(error), what
        except Exception as error:
            pytest.fail(f"{what}: {type(error).__name__}: {error}")
    path.write_text(whole)
    assert refused > 20


def test_a_judge_without_all_its_weights_or_of_other_labels_is_refused(folder):
    """Else clips would be read by chance, or one emotion taken for another."""
    path, whole = folder / "config.json", (folder / "config.json").read_text()
    for change, message in (
        (lambda c: c["heads"].update(emotion=c["heads"]["emotion"][::-1]), "its head emotion reads neutral, sadness"),
        (lambda c: c["regressions"].update(more=2), "its weights lack a part of the network"),
    ):
        config = json.loads(whole)
        change(config)
        path.write_text(json.dumps(config))
        with pytest.raises(JudgeError, match=message):
            load_judge(str(folder))
    path.write_text(whole)


def test_a_damaged_card(folder, tmp_path):
    card, file = load_judge(str(folder)).card, tmp_path / "card.json"
    taken = 0
    for what, raw in damaged(card.to_dict(), 150):
        file.write_text(json.dumps(raw))
        try:
            found = JudgeCard.load(file)
            json.dumps(found.to_dict(hashes=False))
            taken += 1
        except JudgeError as error:
            assert "card.json" in str(error), what
        except Exception as error:
            pytest.fail(f"{what}: {type(error).__name__}: {error}")
    assert taken < 140
