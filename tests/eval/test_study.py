import json
from pathlib import Path

import numpy as np
import pytest
from mutations import damaged

from emogen.eval.study.__main__ import main
from emogen.media.writer import write_video


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
    data = json.loads(page.split("const study = ")[1].split(";\n")[0])
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
    for count in (["--pairs", "-1"], ["--seed", "-1"], ["--pairs", "0", "--names", "0"]):
        assert main([*build, "base", "ours", *count]) == 2 and not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "content",
    ["", "no json", "[]", "{}", "3", '{"study": 1}', "\ud800", "[" * 9000, '{"votes": NaN}', b"\xff\xfe\x00",
     '{"study": "STUDY", "voter": ""}', '{"study": "STUDY", "voter": "x"}',
     '{"study": "STUDY", "voter": "x", "votes": []}',
     '{"study": "STUDY", "voter": ["x"], "votes": {}}', '{"study": "STUDY", "voter": null, "votes": {}}'],
)  # fmt: skip
def test_a_damaged_file_of_votes_is_named_and_left_out(study, tmp_path, capsys, content):
    good, bad = cast(study, tmp_path, "a", better), tmp_path / "bad.json"
    if isinstance(content, str):
        content = content.replace("STUDY", key_of(study)["study"]).encode("utf-8", "surrogatepass")
    bad.write_bytes(content)
    assert main(["read", "--key", str(study) + ".key.json", good, str(bad)]) == 0
    said = capsys.readouterr()
    assert "1 voters" in said.out and "left out: " in said.err and "bad.json" in said.err
    assert main(["read", "--key", str(study) + ".key.json", str(bad)]) == 2


def test_answers_that_mean_nothing_are_not_counted(study, tmp_path, capsys):
    from emogen.eval.study.votes import read_votes, summarise_votes

    file = Path(cast(study, tmp_path, "a", better))
    raw, key = json.loads(file.read_text()), key_of(study)
    pairs = [question for question, about in key["questions"].items() if "left" in about]
    names = [question for question, about in key["questions"].items() if "left" not in about]
    odd = [None, 3, ["left"], {"a": 1}, "joy"]
    for question, answer in zip(pairs[:3] + names[:2], odd, strict=True):
        raw["votes"][question]["answer"] = answer
    raw["votes"][pairs[3]]["seconds"] = "soon"
    raw["votes"][names[2]] = "fear"
    raw["votes"]["stranger"] = {"answer": "left"}
    file.write_text(json.dumps(raw))
    said = []
    votes = read_votes(key, [file], said.append)
    assert {vote["question"]: vote["seconds"] for vote in votes} == {pairs[3]: None, names[3]: 2.0}
    assert "6 answers mean nothing" in said[0] and "1 votes are on questions" in said[1]
    assert summarise_votes(key, votes)["preference"]["n"] == 1


def test_a_damaged_key_or_damaged_votes_are_sentences(study, tmp_path, capsys):
    file = Path(cast(study, tmp_path, "a", better))
    key, votes = tmp_path / "k.json", tmp_path / "v.json"
    for tree, target in ((key_of(study), key), (json.loads(file.read_text()), votes)):
        for what, raw in damaged(tree, 80):
            key.write_text(json.dumps(key_of(study)))
            votes.write_text(file.read_text())
            target.write_text(json.dumps(raw))
            try:
                status = main(["read", "--key", str(key), str(votes)])
            except Exception as error:
                pytest.fail(f"{what}: {type(error).__name__}: {error}")
            assert status in (0, 2), what
            if status == 2:
                assert "error: " in capsys.readouterr().err


OUTSIDE = {
    "a path that leads out": lambda row, out, secret: row.update(file="../secret.png"),
    "an absolute path": lambda row, out, secret: row.update(file=str(secret)),
    "a link": lambda row, out, secret: ((out / row["file"]).unlink(), (out / row["file"]).symlink_to(secret)),
    "a file that is no clip": lambda row, out, secret: row.update(file="results.json"),
    "a name that is none": lambda row, out, secret: row.update(file="a\0b.png"),
    "markup for an ending": lambda row, out, secret: row.update(file='clips/x.png" onerror="alert(1)'),
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_nothing_outside_the_results_is_copied(evaluation, tmp_path, capsys, kind):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    results = json.loads((evaluation / "results.json").read_text())
    for row in results["rows"]:
        OUTSIDE[kind](row, evaluation, secret)
    (evaluation / "results.json").write_text(json.dumps(results))
    folder = tmp_path / "made"
    words = ["build", "--results", str(evaluation), "--systems", "base", "ours", "--output_dir", str(folder)]
    assert main(words) == 2 and "error: systems." in capsys.readouterr().err
    assert not folder.exists() and not folder.with_name("made.key.json").exists()


def test_clips_of_a_folder_elsewhere_need_a_word_on_the_command_line(evaluation, tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere"
    (evaluation / "clips").rename(elsewhere)
    results = json.loads((evaluation / "results.json").read_text())
    for system in results["config"]["systems"]:
        system["clips"] = str(elsewhere)
    for row in results["rows"]:
        row["file"] = row["file"].removeprefix("clips/")
        row["prompt"] = "</script><!--<script>"
    (evaluation / "results.json").write_text(json.dumps(results))
    words = ["build", "--results", str(evaluation), "--systems", "base", "ours", "--output_dir", str(tmp_path / "made")]
    assert main(words) == 2 and f"add --clips {elsewhere}" in capsys.readouterr().err
    assert main([*words, "--clips", str(elsewhere)]) == 0
    page = (tmp_path / "made/index.html").read_text()
    assert page.count("<script") == 1 and page.count("</script") == 1 and "<!--" not in page


def test_a_damaged_results_file_is_a_sentence(evaluation, tmp_path, capsys):
    whole = json.loads((evaluation / "results.json").read_text())
    refused = 0
    for number, (what, raw) in enumerate(damaged(whole, 120)):
        (evaluation / "results.json").write_text(json.dumps(raw))
        words = ["build", "--results", str(evaluation), "--systems", "base", "ours", "--pairs", "1", "--names", "1"]
        try:
            status = main([*words, "--output_dir", str(tmp_path / f"made{number}")])
        except Exception as error:
            pytest.fail(f"{what}: {type(error).__name__}: {error}")
        said = capsys.readouterr().err
        assert status == 0 or (status == 2 and said.startswith("error: ") and len(said) < 600), what
        refused += status == 2
    assert refused > 60
