"""The map's evidence: neighbours by hand and against scikit-learn, features from files, and what does not fit."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from analysis_parts import look_clips

from emogen.analysis import REGISTRY, Settings
from emogen.analysis.space import neighbours


def test_neighbours_are_of_other_groups():
    from sklearn.neighbors import NearestNeighbors

    x = np.random.default_rng(0).normal(size=(600, 3))
    every = NearestNeighbors(n_neighbors=6).fit(x).kneighbors(x, return_distance=False)[:, 1:]
    assert (neighbours(x, np.arange(600), 5) == every).all()
    group = np.arange(600) // 10
    near = neighbours(x, group, 5)
    assert (group[near] != group[:, None]).all()
    assert sorted(neighbours(x[:3], np.array([0, 0, 1]), 2)[0]) == [-1, 2]


def test_features_that_hold_the_emotion_lie_together(tmp_path):
    clips = look_clips(clips=240)
    rng = np.random.default_rng(0)
    noise, told = rng.normal(size=(240, 5)), np.eye(8)[clips.label] * 4 + rng.normal(0, 0.3, (240, 8))
    np.save(tmp_path / "noise.npy", noise)
    columns = {f"f{k}": told[::-1, k] for k in range(8)}
    pq.write_table(pa.table({"clip_id": list(clips.text("clip_id")[::-1]), **columns}), tmp_path / "told.parquet")
    values = {}
    for name in ("noise.npy", "told.parquet"):
        found = REGISTRY["space"].run(clips, Settings(resamples=200, features=tmp_path / name))
        values[name] = {result.name: result for result in found.results}
        svg = found.pictures["map"].svg
        assert svg.count("<title>") == 240 and svg.count("<rect") == svg.count("</rect>") == 120
    from sklearn.metrics import silhouette_score

    alike = values["told.parquet"]["emotion: neighbours alike"]
    assert alike.value > 0.95 and values["noise.npy"]["emotion: neighbours alike"].low < 0.16
    scaled = (told - told.mean(0)) / told.std(0)
    right = silhouette_score(scaled, clips.label)
    assert values["told.parquet"]["emotion: silhouette"].value == pytest.approx(right, abs=1e-9)


@pytest.mark.parametrize(("name", "why"), [("few.npy", r"holds \(3, 2\)"), ("text.parquet", "must be numbers"),
                                           ("torn.npy", "cannot be read")])  # fmt: skip
def test_features_that_do_not_fit(name, why, tmp_path):
    np.save(tmp_path / "few.npy", np.zeros((3, 2)))
    pq.write_table(pa.table({"clip_id": ["a"], "f": ["x"]}), tmp_path / "text.parquet")
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=why):
        REGISTRY["space"].run(look_clips(clips=40), Settings(features=tmp_path / name))
