"""The working table of curation, read as a data set."""

import json

import pyarrow
import pyarrow.parquet as parquet
import pytest

from emogen.data.curated import curated_rows
from emogen.data.records import read_records
from emogen.data.tables import RecordError


def row(name, **more):
    return {
        "clip_id": name, "source_folder": "/films", "source_path": f"{name}.mp4", "kind": "video", "start": 0.0,
        "end": 4.0, "source_duration": 4.0, "emotion": "fear", "label_kind": "human", "caption": "a hill",
        "split": "train", "domain": "movie", "emotion_soft": None, "agreement": None, "intensity": None,
        "error": None, "dropped": None, "duplicate_of": None, "no_label": None,
    } | more  # fmt: skip


def write(folder, *rows):
    folder.mkdir(exist_ok=True)
    (folder / "stages.json").write_text("{}")
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), folder / "clips.parquet")
    return folder


def test_what_is_not_finished_is_left_out_and_counted(tmp_path):
    out = write(
        tmp_path / "set",
        row("whole", emotion_soft="fear:0.67+awe:0.33", agreement=0.67),
        row("model", label_kind="model", agreement=0.9, intensity=0.5, split=None),
        row("held", split="benchmark"),
        row("scene", start=1.0),
        row("cut", start=1.0, split="val"),
        row("unlabelled", emotion=None),
        row("split_votes", emotion=None, no_label="no majority"),
        row("short", dropped="shorter than 4 s"),
        row("copy", duplicate_of="whole"),
        row("broken", error="is empty"),
    )
    (out / "cuts").mkdir()
    (out / "cuts" / "cut.mp4").touch()
    found = {record.extra["clip_id"]: record for record in read_records(out)}
    assert set(found) == {"whole", "model", "held", "cut"}
    assert str(found["whole"].path) == "/films/whole.mp4" and found["cut"].path == out / "cuts/cut.mp4"
    assert found["whole"].emotion.distribution[6] == pytest.approx(0.67) and found["whole"].agreement is None
    assert (found["model"].label, found["model"].agreement, found["model"].emotion.intensity) == ("fear", 0.9, 0.5)
    assert (found["held"].split, found["held"].extra["benchmark"]) == ("test", True)
    assert (found["cut"].split, found["model"].split, found["cut"].label_source) == ("val", "train", "human")
    counts = dict(curated_rows(out)[1])
    assert counts == {
        "a scene that is not cut out; run `emogen data export`": 1, "no label: not labelled": 1,
        "no label: no majority": 1, "dropped: shorter than 4 s": 1, "the same clip again": 1, "failed": 1,
    }  # fmt: skip


def test_a_table_of_nothing_finished_says_why(tmp_path):
    out = write(tmp_path / "set", row("a", emotion=None), row("b", emotion=None))
    with pytest.raises(RecordError, match=r"no clip is finished \(2 no label: not labelled\)"):
        read_records(out)
    (out / "clips.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordError, match="`emogen data join` writes it anew"):
        read_records(out)


def test_an_exported_folder_is_read_as_such(tmp_path):
    """A parquet that happens to be called so beside metadata is not taken for a working table."""
    (tmp_path / "clips.parquet").write_bytes(b"")
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.mp4", "caption": "", "emotion": "awe"}))
    assert [record.label for record in read_records(tmp_path)] == ["awe"]
