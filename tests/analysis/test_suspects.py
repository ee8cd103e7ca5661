"""Labels to look at again, and the map that shows where clips lie."""

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
from analysis_parts import look_rows

from emogen.analysis import REGISTRY, Settings
from emogen.analysis.run import analyze
from emogen.analysis.sources import clips_of
from emogen.analysis.space import neighbours
from emogen.commands.analyze import main
from emogen.emotion import MIKELS
from emogen.media.writer import write_video

QUICK = Settings(resamples=200)


@pytest.fixture
def wrong(tmp_path):
    """400 clips whose features are their true emotion's; 20 labels are wrong, and a judge sees half of these."""
    rng = np.random.default_rng(0)
    true = rng.integers(8, size=400)
    features = rng.normal(size=(8, 6))[true] * 4 + rng.normal(size=(400, 6))
    np.save(tmp_path / "features.npy", features)
    swapped = rng.choice(400, 20, replace=False)
    rows = [{"clip_id": f"c{k}", "group": f"g{k % 50}", "emotion": MIKELS[label], "label_kind": "human",
             "judge_emotion": MIKELS[label], "confidence": 0.9} for k, label in enumerate(true)]  # fmt: skip
    for place, k in enumerate(swapped):
        label = MIKELS[(true[k] + 1 + place % 7) % 8]
        rows[k] |= {"emotion": label, "judge_emotion": MIKELS[true[k]] if place % 2 else label}
    return rows, {f"c{k}" for k in swapped}, Settings(resamples=200, features=tmp_path / "features.npy")


def test_wrong_labels_are_found(wrong):
    rows, planted, settings = wrong
    found = REGISTRY["suspects"].run(clips_of(rows), settings)
    table = found.tables["suspects"]
    near = [row for row in table if row["by"] == "neighbours"]
    judge = [row for row in table if row["by"] == "judge"]
    assert {row["clip_id"] for row in judge} == {f"c{k}" for k in range(400) if f"c{k}" in planted and
                                                 rows[k]["emotion"] != rows[k]["judge_emotion"]}  # fmt: skip
    hits = [row["clip_id"] in planted for row in near]
    assert sum(hits) >= 18 and np.mean(hits) >= 0.8
    both = {row["clip_id"] for row in judge} & {row["clip_id"] for row in near}
    assert {row["clip_id"] for row in table[: 2 * len(both)]} == both, "what both contradict comes first"
    named = {result.name: result for result in found.results}
    share = named["labels that the neighbours mostly contradict"]
    assert share.n == 400 and share.low <= 0.05 <= share.high
    unsure = clips_of([{**row, "confidence": 0.3} for row in rows])
    assert {row["by"] for row in REGISTRY["suspects"].run(unsure, settings).tables["suspects"]} == {"neighbours"}
    with pytest.raises(ValueError, match="nothing can be held against the labels"):
        REGISTRY["suspects"].run(clips_of([{"clip_id": "a", "emotion": "fear"}]), QUICK)


def test_neighbours_are_those_of_a_full_sort():
    rng = np.random.default_rng(1)
    features, group = rng.normal(size=(300, 5)), rng.integers(12, size=300)
    near = neighbours(features, group, 7)
    for row in range(0, 300, 13):
        distance = ((features - features[row]) ** 2).sum(1)
        distance[group == group[row]] = np.inf
        assert list(near[row]) == list(np.argsort(distance)[:7])
    assert (neighbours(features[:6], np.array([0, 0, 0, 0, 0, 1]), 7)[:, 1:] == -1)[:5].all(), "one other film's clip"


def test_a_map_by_emotion_domain_and_film_with_a_frame_of_each_clip(tmp_path):
    rows = look_rows(60, groups=5)
    for k in range(3):
        write_video(tmp_path / f"{k}.mp4", np.full((8, 32, 32, 3), 60 * k, np.uint8), 8.0)
        rows[k] |= {"source_folder": str(tmp_path), "source_path": f"{k}.mp4", "start": 0.0, "duration": 1.0}
    rows[3] |= {"source_folder": str(tmp_path), "source_path": "gone.mp4"}
    analyze(clips_of(rows), tmp_path / "out", QUICK, ["space"])
    assert {path.stem for path in (tmp_path / "out/figures").iterdir()} == {"map", "map_domain", "map_film"}
    page = (tmp_path / "out/report.html").read_text()
    seen = json.loads(re.search(r"const SEEN = (\{.*?\});", page)[1])
    assert set(seen) == {"c0", "c1", "c2"}
    assert all(value.startswith("data:image/webp;base64,") for value in seen.values())
    assert page.count('data-clip="c7"') == 3 and not re.search(r'(src|href)="(?!#|data:)', page)
    table = list(csv.DictReader((tmp_path / "out/tables/map.csv").open()))
    assert len(table) == 60 and {row["film"] for row in table} == {f"g{k}" for k in range(5)}
    none = Settings(resamples=200, thumbnails=0)
    analyze(clips_of(rows), tmp_path / "out", none, ["space"])
    assert "SEEN" not in (tmp_path / "out/report.html").read_text()


def test_umap(tmp_path):
    pytest.importorskip("umap")
    analyze(clips_of(look_rows(60)), tmp_path, Settings(resamples=200, mapping="umap"), ["space"])
    assert "A UMAP map of the clips" in (tmp_path / "report.html").read_text()


def test_umap_that_is_not_there_is_named(tmp_path, monkeypatch, capsys):
    table = tmp_path / "set"
    table.mkdir()
    pq.write_table(pa.Table.from_pylist(look_rows(60)), table / "clips.parquet")
    arguments = [str(table), "--only", "space", "--map", "umap", "--output_dir", str(tmp_path / "out"), "--quiet"]
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "umap" else find(name, *rest))
    assert main(arguments) == 2
    assert 'needs umap-learn: pip install -e ".[umap]"' in capsys.readouterr().err


def test_suspects_are_shown_again(tmp_path):
    """The table goes into the labelling page as it is: these clips alone, in its order, each once."""
    from emogen.commands.data_labels import _chosen

    rows = [{"clip_id": f"c{k}"} for k in range(5)]
    (tmp_path / "suspects.csv").write_text("clip_id,label,says,by\nc3,fear,awe,judge\nc1,fear,awe,judge\nc3,x,y,z\n")
    assert [row["clip_id"] for row in _chosen(tmp_path / "suspects.csv", rows)] == ["c3", "c1"]
    (tmp_path / "suspects.csv").write_text("clip_id,label\nc9,fear\n")
    with pytest.raises(ValueError, match=r"suspects\.csv: there is no clip 'c9' here"):
        _chosen(tmp_path / "suspects.csv", rows)
