"""The Data tab: clips dropped, read, captioned, labelled and written as a set that training reads."""

import json

import numpy as np
import pytest

from emogen.commands.data import main as data_command
from emogen.media.writer import write_video
from emogen.studio.data_set import DataError, DataSet, next_open

pytest.importorskip("pyarrow", reason="pyarrow is not installed (the data extra)")


def film(path, shade, frames=12):
    """A moving square, another for each shade."""
    pixels = np.full((frames, 64, 64, 3), 20 * shade, np.uint8)
    for index in range(frames):
        pixels[index, 10 + shade * 3 : 30, index : index + 20] = 250 - 25 * shade
    write_video(path, pixels, 12)
    return path


@pytest.fixture
def dropped(tmp_path):
    """Three clips of three kinds, a caption of one, and a file that is no film."""
    files = [film(tmp_path / "drop" / f"face{i}{ending}", i + 1) for i, ending in enumerate((".mp4", ".webp", ".gif"))]
    text, broken = tmp_path / "drop" / "face0.txt", tmp_path / "drop" / "broken.mp4"
    text.write_text(" a round\n face ")
    broken.write_bytes(b"no film")
    return [*files, text, broken]


def carried_out(data):
    """The command of the set's recipe, run."""
    program, *words = data.words("sticker")
    assert program == "data"
    return data_command([*words[: words.index("--workers")], "--workers", "0", "--quiet"])


def by_name(data):
    return {clip.path.name: clip for clip in data.rows()}


def test_from_dropped_clips_to_a_set_that_training_reads(tmp_path, dropped):
    data = DataSet(tmp_path / "my set")
    assert data.rows() == [] and data.add(dropped) == (4, 1) and data.captions() == {"face0.mp4": "a round face"}
    assert carried_out(data) == 3
    rows = by_name(data)
    assert "cannot be decoded" in rows["broken.mp4"].problem and rows["broken.mp4"].clip_id is None
    assert rows["face0.mp4"].problem == "no label yet" and rows["face0.mp4"].caption == "a round face"
    assert rows["face1.webp"].problem == "no caption and no label yet" and rows["face1.webp"].still
    first = rows["face0.mp4"].clip_id
    data.label(first, "awe")
    data.label(first, "fear")
    data.write_caption(rows["face1.webp"].clip_id, "a square, blue")
    data.label(rows["face1.webp"].clip_id, "none")
    data.label(rows["face2.gif"].clip_id, "unsure")
    data.write_caption(rows["face2.gif"].clip_id, "a star")
    rows = by_name(data)
    assert (rows["face0.mp4"].label, rows["face0.mp4"].problem) == ("fear", "")
    assert rows["face1.webp"].problem.startswith("no specific emotion") and rows["face2.gif"].problem == "no label yet"
    assert carried_out(data) == 0, "what has failed is not tried again"
    exported = [json.loads(line) for line in (data.export / "metadata.jsonl").read_text().splitlines()]
    assert [(row["caption"], row["emotion"]) for row in exported] == [("a round face", "fear")]
    again = DataSet(tmp_path / "my set")
    assert by_name(again) == by_name(data), "a studio that is started again knows all of it"
    data.write_caption(first, "")
    assert by_name(data)["face0.mp4"].problem == ""  # the text that lay beside the clip counts again


def test_the_next_clip_that_lacks_something(tmp_path, dropped):
    data = DataSet(tmp_path / "set")
    data.add(dropped)
    carried_out(data)
    rows = data.rows()
    open_ones = [clip.clip_id for clip in rows if clip.clip_id]
    assert next_open(rows, None) == open_ones[0] and next_open(rows, open_ones[0]) == open_ones[1]
    assert next_open(rows, open_ones[-1]) == open_ones[0] and next_open([], "x") is None


def test_what_means_nothing_is_refused(tmp_path, dropped):
    data = DataSet(tmp_path / "set")
    with pytest.raises(DataError, match="holds no clip; drop some first"):
        data.words()
    lonely = tmp_path / "lonely.txt"
    lonely.write_text("words")
    with pytest.raises(DataError, match=r"lonely\.txt: there is no clip of that name"):
        data.add([lonely])
    data.add(dropped)
    carried_out(data)
    with pytest.raises(DataError, match="'joyful' is no answer"):
        data.label(by_name(data)["face0.mp4"].clip_id, "joyful")
    with pytest.raises(DataError, match="there is no clip"):
        data.label("nobody", "fear")
    binary = tmp_path / "face1.txt"
    binary.write_bytes(b"\xff\xfe\x00\x00\xd8")
    with pytest.raises(DataError, match=r"face1\.txt"):
        data.add([binary])


class TestTab:
    @pytest.fixture
    def actions(self, engine):
        pytest.importorskip("gradio", reason="gradio is not installed (the studio extra)")
        from emogen.studio.data_tab import DataActions
        from emogen.studio.process import Work

        return DataActions(engine, Work(engine.folder / "work", "data"))

    def test_clips_are_seen_labelled_and_written(self, actions, dropped, tmp_path, engine):
        import gradio as gr

        folder = str(tmp_path / "set")
        told = list(actions.add([str(file) for file in dropped], folder, "sticker", False))
        assert "4 clips and 1 captions taken" in told[0][0] and "Read" in told[-1][0]
        chosen, gallery, problems, large, caption, _ = told[-1][1:]
        assert chosen is None and gallery.count("<button") == 3 and "0 of 4 clips are ready" in problems
        assert "broken.mp4" in problems and "Press a clip" in large and caption == ""
        assert all(path.name.startswith("data_") for path in engine.served.iterdir())
        number = by_name(DataSet(folder))["face0.mp4"].clip_id
        shown = actions.pick(folder, 1, gr.EventData(None, {"number": number}))
        assert shown[0] == number and "<video" in shown[3] and shown[4] == "a round face"
        notice, after, *_ = actions.label(folder, number, 1, "a round face", "fear")
        assert "Label kept" in notice and after not in (None, number)
        assert isinstance(actions.caption(folder, number, "a round face"), type(gr.skip()))
        assert "Caption kept" in actions.caption(folder, number, "a round head")
        assert "Press a clip first" in actions.label(folder, None, 1, "", "fear")[0]
        assert "1 of 4 clips are ready</b>: 1 fear" in actions.show(folder)[2]
        told = list(actions.write(folder, "sticker", False))
        assert "1 clips in" in told[-1][0] and told[-1][-1] == str(DataSet(folder).export)

    def test_a_damaged_folder_is_said(self, actions, tmp_path):
        (tmp_path / "set" / "set").mkdir(parents=True)
        (tmp_path / "set" / "set" / "stages.json").write_text("{")
        shown = actions.show(str(tmp_path / "set"))
        assert len(shown) == 6 and "Cannot read this folder" in shown[2] and "stages.json" in shown[2]

    def test_an_empty_folder_says_what_to_do(self, actions, tmp_path):
        assert "drop some first" in list(actions.read(str(tmp_path / "none"), "sticker", False))[-1][0]
        assert "appear here" in actions.show(str(tmp_path / "none"))[1]
