"""What a metadata row says, how sure its label is, and what a list of records holds."""

from pathlib import Path

import pytest

from emogen.data import records as records_module
from emogen.data.records import (
    ClipRecord,
    RecordError,
    count_emotions,
    describe,
    find_leaks,
    missing_clips,
    read_records,
)
from emogen.emotion import EmotionState
from emogen.emotion.taxonomy import MIKELS

GOOD = {"file_name": "a.mp4", "caption": "a ball rolls", "emotion": "fear"}


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


# --- how sure a label is


def test_reads_who_gave_the_label_and_how_surely(write):
    sure = {"label_source": "crowd", "agreement": 0.75, "confidence": 1}
    first, second = read_records(write(GOOD | sure, GOOD | {"file_name": "b"}))
    assert (first.label_source, first.agreement, first.confidence) == ("crowd", 0.75, 1.0)
    assert not first.extra
    assert (second.label_source, second.agreement, second.confidence) == (None, None, None)
    for key, value in (("agreement", -0.1), ("confidence", 1.01), ("confidence", "high"), ("label_source", 3)):
        with pytest.raises(RecordError, match=f"metadata.jsonl:1: '{key}' must"):
            read_records(write(GOOD | {key: value}))


def record(emotion, **values):
    return ClipRecord(Path("a"), "a", "", EmotionState.parse(emotion), **values)


@pytest.mark.parametrize("key", ["agreement", "confidence"])
def test_a_label_of_some_annotators_leaves_the_rest_to_the_other_seven(key):
    state = record("fear", **{key: 0.6}).soft_target()
    shares = dict(zip(MIKELS, state.distribution, strict=True))
    assert shares.pop("fear") == pytest.approx(0.6)
    assert list(shares.values()) == pytest.approx([0.4 / 7] * 7)


def test_a_blend_is_softened_towards_what_it_leaves_out():
    hard = record("joy:0.8").emotion
    soft = record("joy:0.8", agreement=0.5).soft_target()
    expected = [0.5 * share + 0.5 * (1 - share) / 7 for share in hard.distribution]
    assert soft.distribution == pytest.approx(tuple(expected)) and sum(soft.distribution) == pytest.approx(1)
    assert (soft.valence, soft.arousal, soft.intensity) == (hard.valence, hard.arousal, hard.intensity)


def test_a_sure_label_stays_and_a_guess_says_nothing():
    assert record("fear").soft_target() == record("fear").emotion
    assert record("fear", agreement=1.0).soft_target() == record("fear").emotion
    for p in (1 / 8, 0.0):
        assert record("fear", confidence=p).soft_target().distribution == pytest.approx((1 / 8,) * 8)
    assert record("neutral", agreement=0.5).soft_target() == EmotionState.neutral()


def test_people_count_before_a_classifier():
    both = record("fear", agreement=0.9, confidence=0.2).soft_target()
    assert both == record("fear", agreement=0.9).soft_target()


# --- what the list holds


def test_domains_are_counted_by_emotion(write):
    rows = [("a", "fear", "film"), ("b", "awe", "film"), ("c", "fear", "film"), ("d", "fear", "cartoon"),
            ("e", "fear", None)]  # fmt: skip
    records = read_records(write(*(GOOD | {"file_name": n, "emotion": e, "domain": d} for n, e, d in rows)))
    assert describe(records).splitlines() == [
        "emotion  train",
        "fear         4",
        "awe          1",
        "total        5",
        "",
        "domain   fear  awe",
        "film        2    1",
        "cartoon     1    0",
        "(none)      1    0",
        "total       4    1",
    ]


def test_splits_are_counted_in_the_usual_order(write):
    splits = ("val", "test", "train")
    records = read_records(write(*(GOOD | {"file_name": split, "split": split} for split in splits)))
    assert describe(records).splitlines()[0].split() == ["emotion", "train", "val", "test"]


def test_clips_that_leak_from_training_are_found(write, monkeypatch):
    splits = {"a": "train", "b": "val", "c": "train", "d": "test", "e": "train", "f": "val", "gone": "val"}
    data = {"a": b"same", "b": b"same", "c": b"same", "d": b"othr", "e": b"longer", "f": b"a size of its own"}
    folder = write(*(GOOD | {"file_name": name, "split": split} for name, split in splits.items()))
    for name, content in data.items():
        (folder / name).write_bytes(content)
    read, fingerprint = [], records_module.fingerprint_file
    monkeypatch.setattr(records_module, "fingerprint_file", lambda path: read.append(path.name) or fingerprint(path))
    (leak,) = find_leaks(read_records(folder))
    assert leak.held_out.file_name == "b" and [record.file_name for record in leak.train] == ["a", "c"]
    assert str(leak) == (
        "b (metadata.jsonl:2, val) has the same bytes as in training: a (metadata.jsonl:1), c (metadata.jsonl:3)"
    )
    assert sorted(read) == ["a", "b", "c", "d"]  # the others have no size in common


def test_leaks_are_told_by_all_their_bytes(write):
    folder = write(GOOD | {"file_name": "a"}, GOOD | {"file_name": "b", "split": "val"})
    (folder / "a").write_bytes(b"x" * (1 << 20) + b"1")
    (folder / "b").write_bytes(b"x" * (1 << 20) + b"2")
    assert find_leaks(read_records(folder)) == []
    (folder / "b").write_bytes(b"x" * (1 << 20) + b"1")
    assert len(find_leaks(read_records(folder))) == 1
