"""`emogen data template`: a table of a folder's clips, to be filled by hand and read by what trains."""

import csv

import numpy as np
import pytest

from emogen.cli import main as emogen
from emogen.data.records import read_records
from emogen.data.tables import RecordError
from emogen.data.template import write_template
from emogen.media.writer import write_video

CLIP = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)


def clips(folder, *names):
    for name in names:
        write_video(folder / name, CLIP, 8)


def test_a_table_is_written_filled_and_read(tmp_path, capsys):
    clips(tmp_path, "b, two.gif", "sub/ä.webp")
    assert emogen(["data", "template", str(tmp_path)]) == 0
    assert "2 clips, 2 without an emotion yet" in capsys.readouterr().out
    table = tmp_path / "metadata.csv"
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert [row["file_name"] for row in rows] == ["b, two.gif", "sub/ä.webp"]
    with pytest.raises(RecordError, match=r"metadata\.csv row 2: 'emotion' is missing"):
        read_records(tmp_path)
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace('gif",,', 'gif",a face,joy').replace("webp,,", "webp,a cat,sadness:0.5"))
    assert [record.caption for record in read_records(tmp_path)] == ["a face", "a cat"]
    before = table.read_bytes()
    assert emogen(["data", "template", str(tmp_path)]) == 2
    assert "metadata.csv: is there already" in capsys.readouterr().err and table.read_bytes() == before


def test_what_folders_and_texts_say_is_filled_in(tmp_path):
    clips(tmp_path, "joy/a.webp", "other/b.webp")
    (tmp_path / "joy/a.txt").write_text("a face\nthat laughs")
    written = write_template(tmp_path)
    rows = list(csv.reader(written.path.open(encoding="utf-8")))
    assert rows[1:] == [["joy/a.webp", "a face that laughs", "joy"], ["other/b.webp", "", ""]]
    assert (written.rows, written.without_emotion) == (2, 1)


def test_captions_without_emotions_leave_them_open(tmp_path):
    clips(tmp_path, "a.webp")
    (tmp_path / "a.txt").write_text("a face")
    assert write_template(tmp_path).path.read_text() == "file_name,caption,emotion\na.webp,a face,\n"


def test_folders_without_clips_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no clips or pictures"):
        write_template(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        write_template(tmp_path / "none")
