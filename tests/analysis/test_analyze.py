"""The command, what it leaves, and sets that lack something."""

import csv
import json
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from analysis_parts import chain, film_rows, look_rows, walk

from emogen.analysis import REGISTRY, Settings
from emogen.analysis.intervals import bounds, group_interval, resample, sum_by_group, wilson
from emogen.analysis.run import analyze
from emogen.analysis.sources import clips_of, read_clips
from emogen.commands.analyze import main

QUICK = Settings(resamples=200)


def folder_of(rows, path):
    path.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path / "clips.parquet")
    return path


def test_what_the_command_leaves(tmp_path, capsys):
    data = folder_of(look_rows(), tmp_path / "set")
    assert main([str(data), "--output_dir", str(tmp_path / "out"), "--resamples", "200", "--quiet"]) == 0
    results = json.loads((tmp_path / "out/analysis.json").read_text())
    assert {tuple(row) for row in results} == {("analysis", "name", "value", "low", "high", "n", "note")}
    assert {row["analysis"] for row in results} == set(REGISTRY)
    names = [(row["analysis"], row["name"]) for row in results]
    assert len(names) == len(set(names))
    page = (tmp_path / "out/report.html").read_text()
    assert not re.search(r'(src|href)="(?!#|data:)', page), "the page needs no other file"
    assert page.count("<figure>") == len(list((tmp_path / "out/figures").glob("*.svg"))) > 1
    with (tmp_path / "out/tables/distribution.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["domain"] == "all"]
    assert sum(int(row["clips"]) for row in rows) == 400
    before = page
    assert main([str(data), "--output_dir", str(tmp_path / "out"), "--resamples", "200", "--quiet"]) == 0
    assert (tmp_path / "out/report.html").read_text() == before, "the same clips give the same page"
    capsys.readouterr()


def test_metadata_folder(tmp_path, capsys):
    (tmp_path / "metadata.jsonl").write_text(
        "\n".join(json.dumps({"file_name": f"{k}.mp4", "caption": "", "emotion": e, "label_kind": "human"})
                  for k, e in enumerate(["fear", "joy", "neutral", "awe"]))
    )  # fmt: skip
    clips = read_clips(tmp_path)
    assert list(clips.text("emotion")) == ["fear", "amusement", "neutral", "awe"] and len(clips.labelled) == 3
    assert main([str(tmp_path), "--output_dir", str(tmp_path / "out"), "--only", "distribution"]) == 0
    capsys.readouterr()


def test_the_working_table_is_read_as_it_is_written(tmp_path):
    """The table of `emogen data` calls a judge's answer judge_emotion, and says curated of a reviewed table."""
    rows = [{**row, "judge_emotion": "awe", "label_kind": "curated", "source_folder": "/art", "source_path": f"{k}.gif"}
            for k, row in enumerate(look_rows(30))]  # fmt: skip
    clips = read_clips(folder_of(rows, tmp_path / "set"))
    assert set(clips.text("model_emotion")) == {"awe"} and clips.by_people.all()
    assert clips.path(3) == Path("/art/3.gif") and clips.where(clips.label >= 0).where([3]).path(0) == clips.path(3)
    same = clips_of(rows)
    for name in ("clip_id", "emotion", "caption", "model_emotion", "group"):
        assert list(same.text(name)) == list(clips.text(name))
    for name in ("saturation", "hue", "order", "valence"):
        np.testing.assert_array_equal(same.numbers(name), clips.numbers(name))


@pytest.mark.parametrize(("arguments", "said"), [
    (["nowhere"], "no such file"),
    (["set", "--only", "colour"], "there are distribution"),
    (["set", "--only", ","], "names no analysis"),
    (["set", "--resamples", "3"], "at least 100"),
    (["set", "--votes", "v.csv"], "--votes v.csv: no such file"),
    (["set", "--own", "mine.py"], "mine.py: no such Python file"),
    (["set", "--own", "broken.py"], "ZeroDivisionError"),
])  # fmt: skip
def test_refusals(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder_of(look_rows(20), tmp_path / "set")
    (tmp_path / "broken.py").write_text("1 / 0")
    assert main([*arguments, "--output_dir", "out"]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_missing_package_is_said(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "sklearn" else object())
    assert main(["x", "--output_dir", str(tmp_path)]) == 2
    assert 'scikit-learn: pip install -e ".[analysis]"' in capsys.readouterr().err


def test_an_analysis_of_ones_own(tmp_path, capsys):
    (tmp_path / "long.py").write_text(
        "from emogen.analysis import Analysis, Found, Result, register\n"
        "def run(clips, settings):\n"
        "    return Found('Few.', [Result('long', (clips.numbers('duration') > 5).mean(), n=len(clips))])\n"
        "register(Analysis('long_clips', 'Long clips', ('duration',), run))\n"
    )
    data = folder_of(look_rows(20), tmp_path / "set")
    out = tmp_path / "out"
    try:
        assert (
            main([str(data), "--output_dir", str(out), "--own", str(tmp_path / "long.py"), "--only", "long_clips"]) == 0
        )
    finally:
        REGISTRY.pop("long_clips", None)
    [row] = json.loads((out / "analysis.json").read_text())
    assert row["n"] == 20 and 0 < row["value"] < 1
    assert "Long clips: Few." in capsys.readouterr().out


LACKING = {
    "one emotion": [{**row, "emotion": "fear"} for row in look_rows(60)],
    "one film": film_rows(walk(chain(), 1, 60, np.random.default_rng(0))),
    "no captions": [{**row, "caption": None} for row in look_rows(60)],
    "no order": look_rows(60),
    "no labels": [{**row, "emotion": None} for row in look_rows(60)],
    "one clip": look_rows(1),
    "two clips": look_rows(2),
    "all dropped": [{**row, "dropped": "too dark"} for row in look_rows(60)],
}


@pytest.mark.parametrize("lack", LACKING)
def test_what_cannot_be_said_is_said(lack, tmp_path):
    parts = analyze(clips_of(LACKING[lack]), tmp_path, QUICK)
    page = (tmp_path / "report.html").read_text()
    assert len(parts) == len(REGISTRY) and page.endswith("</html>\n")
    for part in parts:
        if part.found is None:
            assert re.fullmatch(r"[A-Z][^\n]*\.", part.why), part.why
    if lack in ("no labels", "all dropped"):
        assert all(part.found is None for part in parts)


def test_dropped_failed_and_repeated_clips_do_not_count():
    rows = look_rows(50)
    rows[0]["dropped"], rows[1]["error"], rows[2]["duplicate_of"] = "dark", "torn", "c9"
    clips = clips_of(rows)
    assert len(clips) == 50 and len(clips.labelled) == 47


def test_wilson_is_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    hits, n = np.array([0, 3, 50, 10]), np.array([5, 9, 80, 10])
    np.testing.assert_allclose(wilson(hits, n), proportion_confint(hits, n, method="wilson"), atol=1e-9)


def test_group_bootstrap():
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(30), 20)
    own = rng.normal(0, 1, 30)[group]
    x = own + rng.normal(0, 0.2, 600)
    values = np.stack([x, np.ones(600)], 1)
    mean = lambda s: s[..., 0] / s[..., 1]  # noqa: E731
    value, low, high = group_interval(values, group, mean, Settings())
    assert value == pytest.approx(x.mean(), abs=1e-12)
    _, naive_low, naive_high = group_interval(values, np.arange(600), mean, Settings())
    assert (high - low) > 3 * (naive_high - naive_low), "films, not clips, are what varies"
    sums = sum_by_group(values, group)
    assert mean(resample(sums, Settings())).std() == pytest.approx(own[::20].std() / np.sqrt(30), rel=0.1)
    assert np.isnan(bounds(np.zeros((100, 2)), 4)).all(), "no interval over four films"
