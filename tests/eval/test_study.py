import json

import numpy as np
import pytest

from emogen.eval.study.__main__ import main
from emogen.media.video import write_video


@pytest.fixture
def evaluation(tmp_path):
    """Two systems of six clips, whose pictures do not matter."""
    out = tmp_path / "out"
    rows = []
    for system in ("base", "ours"):
        for index in range(6):
            emotion = ("fear", "awe")[index % 2]
            name = f"clips/{system}/{index:03d}_{emotion}_0.png"
            write_video(out / name, np.full((2, 8, 8, 3), 20 * index + (system == "ours"), np.uint8), 8)
            rows.append({"system": system, "clip": f"{index:03d}_{emotion}_0", "file": name, "prompt": f"p{index // 2}",
                         "emotion": emotion, "judges": {"embedded": {"read": emotion}}})  # fmt: skip
    systems = [{"name": name, "clips": None} for name in ("base", "ours")]
    results = {"rows": rows, "config": {"systems": systems}, "summary": {"judge": "embedded"}}
    (out / "results.json").write_text(json.dumps(results))
    return out


@pytest.fixture
def study(evaluation, tmp_path):
    folder = tmp_path / "study"
    words = ["build", "--results", str(evaluation), "--systems", "base", "ours", "--output_dir", str(folder)]
    assert main([*words, "--pairs", "4", "--names", "4"]) == 0
    return folder


def key_of(study):
    return json.loads(study.with_name("study.key.json").read_text())


def cast(study, tmp_path, voter, choose):
    key = key_of(study)
    votes = {question: {"answer": choose(about), "seconds": 2.0} for question, about in key["questions"].items()}
    file = tmp_path / f"votes-{voter}.json"
    file.write_text(json.dumps({"study": key["study"], "voter": voter, "votes": votes}))
    return str(file)


def better(about):
    """Votes for ours, and names clips of ours as asked and others as anger."""
    if "left" in about:
        return "left" if about["left"] == "ours" else "right"
    return about["emotion"] if about["system"] == "ours" else "anger"


def test_the_page_tells_nothing(study):
    page = (study / "index.html").read_text()
    data = json.loads(page.split("const data = ")[1].split(";\n")[0])
    assert [q["kind"] for q in data["questions"]].count("pair") == 4 and len(data["questions"]) == 8
    assert "ours" not in page and "base" not in page and "http" not in page.replace("http-equiv", "")
    files = {path.name for path in (study / "clips").iterdir()}
    assert not [name for name in files if "ours" in name or "fear" in name]
    shown = {q[side] for q in data["questions"] for side in ("left", "right", "clip") if side in q}
    assert {path.removeprefix("clips/") for path in shown} == files
    assert not [path for path in study.iterdir() if "key" in path.name]
    emotions = [q["emotion"] for q in data["questions"] if q["kind"] == "pair"]
    assert emotions.count("fear") == emotions.count("awe") == 2


def test_votes_become_figures(study, tmp_path, capsys):
    files = [cast(study, tmp_path, voter, better) for voter in ("a", "b")]
    figures = tmp_path / "figures.json"
    assert main(["read", "--key", str(study) + ".key.json", "--output", str(figures), *files]) == 0
    said = capsys.readouterr().out
    assert "2 voters" in said and "ours preferred to base in 100.0 %" in said
    assert "two voters agree on a pair in 100 %" in said
    found = json.loads(figures.read_text())
    assert found["preference"]["value"] == 1.0 and found["preference"]["n"] == 8
    assert found["named"]["ours"]["EA-8"]["value"] == 1.0 and found["named"]["base"]["EA-8"]["value"] == 0.0
    assert found["named"]["base"]["EA-8"]["n"] == 4
    assert found["kappa_with_judge"]["value"] < 1


def test_ties_count_half(study, tmp_path):
    from emogen.eval.study.votes import read_votes, summarise_votes

    file = cast(study, tmp_path, "c", lambda about: "tie" if "left" in about else "awe")
    key = key_of(study)
    found = summarise_votes(key, read_votes(key, [tmp_path / "votes-c.json"]))
    assert found["preference"]["value"] == 0.5 and found["preference"]["ties"] == 4 and file
    assert found["preference"]["p"] == 1.0


def test_mistakes_are_named(study, evaluation, tmp_path, capsys):
    build = ["build", "--results", str(evaluation), "--output_dir", str(tmp_path / "other"), "--systems"]
    assert main([*build, "base", "theirs"]) == 2
    assert "'theirs' has no clips; there are base, ours" in capsys.readouterr().err
    assert main([*build, "base", "base"]) == 2
    assert main(["build", "--results", str(evaluation), "--output_dir", str(study), "--systems", "base", "ours"]) == 2
    assert "choose another folder" in capsys.readouterr().err
    one = cast(study, tmp_path, "a", better)
    twice = tmp_path / "copy.json"
    twice.write_text((tmp_path / "votes-a.json").read_text())
    read = ["read", "--key", str(study) + ".key.json"]
    assert main([*read, one, str(twice)]) == 2
    assert "the same voter" in capsys.readouterr().err
    twice.write_text('{"study": "other", "voter": "x", "votes": {}}')
    assert main([*read, str(twice)]) == 2
    assert "belongs to study other" in capsys.readouterr().err
    twice.write_text("no json")
    assert main([*read, str(twice)]) == 2
    assert "is no file of votes" in capsys.readouterr().err
