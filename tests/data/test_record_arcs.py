"""Metadata rows whose emotion changes over the clip."""

import json

import pytest

from emogen.data.records import RecordError, read_records
from emogen.emotion import EmotionArc


def read(tmp_path, **row):
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.webp", "caption": "a face", **row}) + "\n")
    return read_records(tmp_path)[0]


def test_an_arc_is_kept_and_its_last_emotion_is_the_label(tmp_path):
    record = read(tmp_path, emotion="0:neutral 0.4:sadness 1:joy:0.5")
    assert record.arc == EmotionArc.parse("0:neutral 0.4:sadness 1:joy:0.5")
    assert record.emotion == record.arc.at(1)


def test_an_arc_that_ends_neutral_counts_as_what_came_before(tmp_path):
    assert read(tmp_path, emotion="0:fear 1:neutral").label == "fear"


def test_an_arc_that_stays_is_an_ordinary_label(tmp_path):
    record = read(tmp_path, emotion="0:awe 1:awe")
    assert record.arc is None and record.label == "awe"
    assert read(tmp_path, emotion="fear:0.4").arc is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"emotion": "0:fear 1:joy", "intensity": 0.5}, "the emotion changes, so 'intensity'"),
        ({"emotion": "0:fear 1:joy", "valence": 0.5, "arousal": 0.1}, "the emotion changes, so 'valence'"),
        ({"emotion": "0.5:fear 0.2:joy"}, "keyframe times must rise"),
        ({"emotion": "0:fear 1:jjoy"}, "jjoy"),
    ],
)
def test_a_wrong_arc_is_named(tmp_path, row, message):
    with pytest.raises(RecordError, match=message):
        read(tmp_path, **row)
