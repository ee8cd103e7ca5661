import json
from collections import Counter

import numpy as np
import pytest

from emogen.data.records import find_leaks, missing_clips, read_records
from emogen.emotion import scrub_emotion_words
from emogen.media.pixels import resample_frames
from emogen.media.reader import read_video
from emogen.stickers import dataset
from emogen.stickers.content import combinations
from emogen.stickers.dataset import write_sticker_dataset
from emogen.stickers.expression import EXPRESSIONS

SMALL = {"clips": 20, "size": 24, "num_frames": 3, "quiet": True}


@pytest.fixture(scope="module")
def stickers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    write_sticker_dataset(folder, **SMALL)
    return folder


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_drawn_set_is_one_to_train_on(stickers):
    records = read_records(stickers)
    assert len(records) == 20 and not missing_clips(records) and not find_leaks(records)
    assert {record.domain for record in records} == {"rendered"}
    assert Counter(record.split for record in records) == {"train": 11, "val": 9}
    assert {record.label for record in records if record.split == "val"} == set(EXPRESSIONS)
    assert {record.label for record in records if record.split == "train"} == set(EXPRESSIONS)
    for record in records:
        assert 0.3 <= record.emotion.intensity <= 1 or record.emotion.is_neutral
        assert scrub_emotion_words(record.caption) == (record.caption, []) and "face" in record.caption
        frames, fps = read_video(record.path)
        assert resample_frames(frames, fps, 12).shape == (3, 24, 24, 3)
    assert len({record.emotion.intensity for record in records}) > 3
    assert len({record.path.read_bytes() for record in records}) == 20


def test_one_clip_in_nine_is_held_out_as_often_for_every_label():
    held_out = [index for index in range(540) if dataset._held_out(index, 540)]
    labels = Counter(index % len(EXPRESSIONS) for index in held_out)
    assert len(held_out) == 54 and set(labels.values()) == {6}


def test_held_out_clips_show_other_content_and_leave_out_that_of_judge_and_test():
    content = {True: set(), False: set()}
    for index in range(100):
        spec = dataset._spec(index, 100, 3)[0]
        content[dataset._held_out(index, 100)].add((spec.shape, spec.color, spec.background))
    assert content[True] and len(content[False]) > 60
    assert not content[True] & content[False]
    assert content[True] | content[False] <= set(combinations("train"))


def test_the_seed_decides_what_is_drawn(stickers, tmp_path):
    write_sticker_dataset(tmp_path / "same", **SMALL)
    assert contents(tmp_path / "same") == contents(stickers)
    write_sticker_dataset(tmp_path / "other", **SMALL, seed=1)
    same = [path for path in (stickers / "clips").iterdir()
            if path.read_bytes() == (tmp_path / "other/clips" / path.name).read_bytes()]  # fmt: skip
    assert not same


def test_a_finished_folder_is_left_as_it_is(stickers):
    before = times(stickers)
    assert write_sticker_dataset(stickers, **SMALL) == stickers / "metadata.jsonl"
    assert times(stickers) == before


def test_an_interrupted_drawing_goes_on(stickers, tmp_path, monkeypatch):
    drawn = []

    def stop_at_third(path, *rest, **options):
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(path)
        return write_video(path, *rest, **options)

    write_video = dataset.write_video
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "write_video", stop_at_third)
        with pytest.raises(KeyboardInterrupt):
            write_sticker_dataset(tmp_path, **SMALL)
    assert not (tmp_path / "metadata.jsonl").exists()
    before = times(tmp_path / "clips")
    assert len(before) == 2
    write_sticker_dataset(tmp_path, **SMALL)
    assert contents(tmp_path) == contents(stickers)
    assert {path: time for path, time in times(tmp_path / "clips").items() if path in before} == before


def test_a_deleted_clip_is_drawn_again(stickers):
    path = stickers / "clips/00004.webp"
    before = path.read_bytes()
    path.unlink()
    write_sticker_dataset(stickers, **SMALL)
    assert path.read_bytes() == before


def test_other_arguments_do_not_mix_with_a_folder(stickers):
    before = times(stickers)
    with pytest.raises(ValueError, match=r"'size': 24.*, not .*'size': 32.*choose another folder"):
        write_sticker_dataset(stickers, **SMALL | {"size": 32})
    assert times(stickers) == before


def test_a_folder_of_someone_elses_is_not_touched(tmp_path):
    (tmp_path / "metadata.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="holds files that are no stickers"):
        write_sticker_dataset(tmp_path, **SMALL)
    assert contents(tmp_path) == {"metadata.jsonl": b"{}\n"}


def test_a_broken_note_and_too_few_clips_are_refused(tmp_path):
    (tmp_path / "stickers.json").write_text("{")
    with pytest.raises(ValueError, match=r"stickers\.json: not JSON"):
        write_sticker_dataset(tmp_path, **SMALL)
    with pytest.raises(ValueError, match="clips is 17; at least 18"):
        write_sticker_dataset(tmp_path / "new", clips=17)
    assert not (tmp_path / "new").exists()


def test_the_metadata_has_no_key_that_the_records_do_not_know(stickers):
    rows = [json.loads(line) for line in (stickers / "metadata.jsonl").read_text().splitlines()]
    assert all(not record.extra and record.label_source == "rendered" for record in read_records(stickers))
    assert [row["emotion"] for row in rows[:9]] == list(EXPRESSIONS)
    assert all(("intensity" in row) == (row["emotion"] != "neutral") for row in rows)


def test_a_clip_of_one_frame_is_a_picture(tmp_path):
    write_sticker_dataset(tmp_path, **SMALL | {"clips": 18, "num_frames": 1})
    assert np.asarray(read_video(tmp_path / "clips/00000.webp")[0]).shape == (1, 24, 24, 3)


def test_a_changing_set_begins_with_another_face_than_it_ends_with(stickers, tmp_path):
    long = SMALL | {"num_frames": 9}
    changing = read_records(write_sticker_dataset(tmp_path / "changing", changing=True, **long))
    steady = read_records(write_sticker_dataset(tmp_path / "steady", **long))
    assert [(r.caption, r.emotion) for r in changing] == [(r.caption, r.emotion) for r in steady]
    for one, other in zip(changing, steady, strict=True):
        moved, held = (read_video(record.path)[0].astype(float) for record in (one, other))
        first, last = (np.abs(moved[at] - held[at]).mean() for at in (0, -1))
        assert first > 3 * last, one
        if one.label != "neutral":
            assert last < 0.1, one
    with pytest.raises(ValueError, match="choose another folder"):
        write_sticker_dataset(tmp_path / "steady", changing=True, **long)
