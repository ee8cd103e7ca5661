import json

import pytest

from emogen.data.records import RecordError, count_emotions, describe, missing_clips, read_records

GOOD = {"file_name": "a.mp4", "caption": "a ball rolls", "emotion": "fear"}


@pytest.fixture
def write(tmp_path):
    def write(*rows):
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        (tmp_path / "metadata.jsonl").write_text("\n".join(lines) + "\n")
        return tmp_path

    return write


def test_reads_what_a_row_says(write):
    folder = write(
        GOOD | {"intensity": 0.4, "valence": -0.5, "split": "validation", "domain": "film", "author": "x"},
        "",
        {"file_name": "sub/b.mp4", "caption": "", "emotion": "neutral"},
    )
    first, second = read_records(folder)
    assert first.path == folder / "a.mp4" and first.caption == "a ball rolls"
    assert (first.emotion.intensity, first.emotion.valence) == (0.4, -0.5)
    assert (first.split, first.domain, first.row) == ("val", "film", 1)
    assert first.extra == {"author": "x"}
    assert second.emotion.is_neutral and (second.split, second.row) == ("train", 3)
    assert (first.label, second.label) == ("fear", "neutral")


def test_the_file_itself_may_be_named(write):
    assert read_records(write(GOOD) / "metadata.jsonl") == read_records(write(GOOD))


def test_valence_and_arousal_can_stand_for_an_emotion(write):
    (record,) = read_records(write({"file_name": "a", "caption": "c", "valence": 0.8, "arousal": 0.3}))
    assert (record.emotion.valence, record.emotion.arousal) == (0.8, 0.3)
    assert not record.emotion.is_neutral


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"file_name": "b"}, "metadata.jsonl:2: 'caption' is missing"),
        (GOOD | {"file_name": 3}, "metadata.jsonl:2: 'file_name' must be text"),
        ("{oops", "metadata.jsonl:2: not valid JSON"),
        ("[]", "metadata.jsonl:2: expected an object"),
        ({"file_name": "b", "caption": "c"}, "'emotion' is missing"),
        ({"file_name": "b", "caption": "c", "emotion": "feer"}, "metadata.jsonl:2: .*fear"),
        ({"file_name": "b", "caption": "c", "emotion": "fear", "valence": 3}, "'valence' must lie between"),
        (
            {"file_name": "b", "caption": "c", "emotion": "fear", "intensity": "x"},
            "'intensity' must be a number",
        ),
        ({"file_name": "b", "caption": "c", "emotion": "neutral", "intensity": 1}, "the emotion is neutral"),
        ({"file_name": "../b", "caption": "c", "emotion": "fear"}, "inside the metadata's folder"),
        ({"file_name": "/b", "caption": "c", "emotion": "fear"}, "inside the metadata's folder"),
        (GOOD, "already on line 1"),
    ],
)
def test_wrong_rows_are_named(write, row, message):
    with pytest.raises(RecordError, match=message):
        read_records(write(GOOD, row))


def test_all_wrong_rows_are_named_at_once(write):
    with pytest.raises(RecordError, match="30 wrong rows") as error:
        read_records(write(GOOD, *["{}"] * 30))
    assert "metadata.jsonl:2:" in str(error.value) and "metadata.jsonl:21:" in str(error.value)
    assert "and 10 more" in str(error.value)


def test_missing_or_empty_metadata(tmp_path):
    with pytest.raises(RecordError, match="no such file"):
        read_records(tmp_path)
    (tmp_path / "metadata.jsonl").write_text("\n")
    with pytest.raises(RecordError, match="holds no rows"):
        read_records(tmp_path)


def test_counts_and_missing_clips(write):
    folder = write(GOOD, GOOD | {"file_name": "b"}, GOOD | {"file_name": "c", "emotion": "neutral", "split": "val"})
    (folder / "b").write_bytes(b"x")
    records = read_records(folder)
    assert count_emotions(records) == {"fear": 2, "neutral": 1}
    assert [record.file_name for record in missing_clips(records)] == ["a.mp4", "c"]
    assert describe(records).splitlines() == [
        "emotion  train  val",
        "fear         2    0",
        "neutral      0    1",
        "total        2    1",
    ]
