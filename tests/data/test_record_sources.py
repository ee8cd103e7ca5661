"""Where metadata rows come from: other forms of the table, split folders, data sets of the hub."""

import csv
import json
import sys
from dataclasses import replace
from fnmatch import fnmatchcase as fnmatch
from types import SimpleNamespace

import pytest

from emogen.data.records import (
    RecordError,
    read_records,
)
from emogen.emotion import EmotionState

GOOD = {"file_name": "a.mp4", "caption": "a ball rolls", "emotion": "fear"}


# --- other forms of the same table

COLUMNS = ["file_name", "caption", "emotion", "intensity", "agreement", "label_source", "author"]


def spreadsheet(path, *rows, delimiter=",", mark=""):
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(mark)
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


@pytest.mark.parametrize(("delimiter", "mark"), [(",", ""), (";", "\ufeff"), ("\t", "")])
def test_a_spreadsheet_says_the_same_as_json_lines(tmp_path, delimiter, mark):
    rows = [["a.mp4", 'a "red", round\nball; it rolls', "fear", "0.4", "0.75", "human", "x"],
            [], ["b.mp4", "", "neutral", "", "", "", ""]]  # fmt: skip
    spreadsheet(tmp_path / "metadata.csv", COLUMNS, *rows, delimiter=delimiter, mark=mark)
    from_csv = read_records(tmp_path)
    (tmp_path / "metadata.csv").unlink()
    lines = [dict(zip(COLUMNS, row, strict=True)) for row in rows if row]
    lines[0] |= {"intensity": 0.4, "agreement": 0.75}
    lines[1] = {"file_name": "b.mp4", "caption": "", "emotion": "neutral"}
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    from_json = read_records(tmp_path)
    assert [record.row for record in from_csv] == [2, 4]
    assert from_csv == [replace(record, row=row, metadata="metadata.csv")
                        for record, row in zip(from_json, (2, 4), strict=True)]  # fmt: skip
    assert from_csv[0].extra == {"author": "x"} and from_csv[0].caption.count("\n") == 1


def test_wrong_cells_are_named_by_the_row_of_the_spreadsheet(tmp_path):
    """A caption of two lines is one row there, and so is an empty one."""
    path = spreadsheet(
        tmp_path / "metadata.csv",
        COLUMNS,
        ["a", "two\nlines", "fear", "", "", "", ""],
        [],
        ["b", "c", "feer", "", "", "", ""],
        ["c", "c", "fear", "0,4", "", "", ""],
        ["d", "c", "fear", "", "1.5", "", ""],
        ["a", "c", "awe", "", "", "", ""],
        ["e", "c"],
        ["f", "c", "awe", "", "", "", "", "more"],
        ["", "c", "awe", "", "", "", ""],
    )
    with pytest.raises(RecordError) as error:
        read_records(path)
    lines = str(error.value).splitlines()
    assert lines[0] == f"{path}: 7 wrong rows"
    assert [line.partition(": ")[0].strip() for line in lines[1:]] == [f"metadata.csv row {n}" for n in range(4, 11)]
    messages = [line.partition(": ")[2] for line in lines[1:]]
    assert "did you mean fear" in messages[0]
    assert messages[1:] == [
        "'intensity' must be a number, not '0,4'",
        "'agreement' must lie between 0 and 1, not 1.5",
        "'a' is already in row 2",
        "2 cells under a header of 7; quote cells that contain separators",
        "8 cells under a header of 7; quote cells that contain separators",
        "'file_name' is missing",
    ]


def test_a_quotation_mark_that_is_not_closed_is_found(tmp_path):
    (tmp_path / "metadata.csv").write_text('file_name,caption,emotion\na,b,fear\nb,"c,fear\nc,d,fear\n')
    with pytest.raises(RecordError, match=r"metadata\.csv row 3: not valid CSV from here on"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("metadata.csv", b"", "the first row must name the columns"),
        ("metadata.csv", b"name,caption\na,b\n", "with 'file_name'; it is 'name,caption'"),
        ("metadata.csv", b"file_name,emotion,emotion\n", "column 'emotion' stands in the header twice"),
        ("metadata.csv", b"file_name,caption\na,\xe9\n", "line 2 is not UTF-8 text; save the file as UTF-8"),
        ("metadata.jsonl", b"\xff", "line 1 is not UTF-8"),
        ("metadata.csv", b"file_name,caption,emotion\n", "holds no rows"),
        ("clips.txt", b"a", "metadata is a .jsonl file .* not '.txt'"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RecordError, match=message):
        read_records(tmp_path / name)


def test_a_line_separator_inside_a_caption_is_no_new_line(tmp_path):
    row = GOOD | {"caption": "one\u2028two"}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_records(tmp_path)[0].caption == "one\u2028two"


def test_text_is_another_name_for_the_caption(write):
    without = {key: value for key, value in GOOD.items() if key != "caption"}
    first, second = read_records(write(without | {"text": "a cat"}, GOOD | {"file_name": "b", "text": "note"}))
    assert (first.caption, first.extra) == ("a cat", {})
    assert (second.caption, second.extra) == ("a ball rolls", {"text": "note"})


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RecordError, match=r"metadata.parquet: reading Parquet needs pyarrow: pip install pyarrow"):
        read_records(tmp_path)


def test_parquet_is_read_where_pyarrow_is(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "metadata.parquet"
    rows = [GOOD | {"intensity": 0.5, "valence": float("nan"), "n": 3}, GOOD | {"file_name": "b", "emotion": "awe"}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    first, second = read_records(tmp_path)
    assert (first.emotion.intensity, first.emotion.valence) == (0.5, EmotionState.of("fear").valence)
    assert (first.extra, second.extra) == ({"n": 3}, {})
    assert (first.row, second.row, second.where) == (1, 2, "metadata.parquet row 2")
    parquet.write_table(pyarrow.Table.from_pylist([GOOD, GOOD | {"file_name": "b", "emotion": "feer"}]), path)
    with pytest.raises(RecordError, match=r"metadata.parquet row 2: unknown emotion 'feer'"):
        read_records(tmp_path)
    parquet.write_table(pyarrow.Table.from_pylist([{"video": "a"}]), path)
    with pytest.raises(RecordError, match="has no column 'file_name'; it has video"):
        read_records(tmp_path)
    path.write_bytes(b"PAR1")
    with pytest.raises(RecordError, match="cannot be read as Parquet"):
        read_records(tmp_path)


# --- split folders


def table(folder, *rows):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("data", ["", "data"])
def test_every_split_may_have_its_own_metadata(tmp_path, data):
    root = tmp_path / data
    (root / "validation").mkdir(parents=True)
    spreadsheet(root / "validation/metadata.csv", ["file_name", "text", "emotion"], ["a.mp4", "x", "awe"])
    table(root / "train", GOOD, GOOD | {"file_name": "b.mp4", "split": "test"})
    prefix = f"{data}/" if data else ""
    records = read_records(tmp_path)
    assert [(r.file_name, r.split) for r in records] == [
        (prefix + "train/a.mp4", "train"),
        (prefix + "train/b.mp4", "test"),
        (prefix + "validation/a.mp4", "val"),
    ]
    assert records[2].path == root / "validation/a.mp4"
    assert [r.where for r in records] == [
        prefix + "train/metadata.jsonl:1",
        prefix + "train/metadata.jsonl:2",
        prefix + "validation/metadata.csv row 2",
    ]


def test_the_folder_of_a_clip_says_its_split_when_its_row_does_not(write):
    names = ["train/a", "data/dev/a", "eval/a", "a", "film/clips/test/a"]
    rows = [GOOD | {"file_name": name} for name in names]
    records = read_records(write(*rows, GOOD | {"file_name": "val/b", "split": "train"}))
    assert [record.split for record in records] == ["train", "val", "test", "train", "train", "train"]


def test_wrong_rows_of_all_splits_are_named_together(tmp_path):
    table(tmp_path / "train", GOOD, {})
    table(tmp_path / "test", GOOD | {"emotion": "joyy"})
    with pytest.raises(RecordError) as error:
        read_records(tmp_path)
    lines = str(error.value).splitlines()
    assert lines[0] == f"{tmp_path}: 2 wrong rows"
    assert lines[1] == "  train/metadata.jsonl:2: 'file_name' is missing"
    assert lines[2].startswith("  test/metadata.jsonl:1: unknown emotion 'joyy': did you mean joy")


def test_the_same_clip_under_two_spellings_is_a_duplicate(write):
    with pytest.raises(RecordError, match=r"metadata\.jsonl:2: '\./a\.mp4' is already on line 1"):
        read_records(write(GOOD, GOOD | {"file_name": "./a.mp4"}))


def test_two_tables_for_the_same_clips_are_refused(tmp_path):
    table(tmp_path / "train", GOOD)
    table(tmp_path, GOOD)
    with pytest.raises(RecordError, match=r"metadata.jsonl and train/metadata.jsonl would describe the same clips"):
        read_records(tmp_path)
    assert len(read_records(tmp_path / "metadata.jsonl")) == 1
    (tmp_path / "metadata.jsonl").unlink()
    (tmp_path / "train/metadata.csv").write_text("file_name\n")
    with pytest.raises(RecordError, match="would describe the same clips; keep one"):
        read_records(tmp_path)


def test_hidden_folders_are_not_looked_into(tmp_path):
    table(tmp_path, GOOD)
    table(tmp_path / ".cache", GOOD)
    assert len(read_records(tmp_path)) == 1


# --- data sets of the hub

COMMIT = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A data set on the hub: `calls` are the downloads that were asked for."""
    snapshot = tmp_path / "snapshots" / COMMIT
    calls = []

    def download(name, *, repo_type, revision, allow_patterns):
        calls.append((name, repo_type, revision, allow_patterns))
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    return SimpleNamespace(folder=snapshot, calls=calls)


def test_a_data_set_of_the_hub_is_checked_before_its_clips_are_fetched(hub):
    table(hub.folder / "train", GOOD | {"emotion": "feer"})
    with pytest.raises(RecordError, match=r"  train/metadata\.jsonl:1: unknown emotion"):
        read_records("owner/name", revision="v1")
    assert [call[:3] for call in hub.calls] == [("owner/name", "dataset", "v1")]
    patterns = hub.calls[0][3]
    wanted = {"metadata.jsonl", "metadata.csv", "train/metadata.parquet", "data/val/metadata.csv"}
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in wanted)
    assert not any(fnmatch("train/a.mp4", pattern) for pattern in patterns)


def test_the_clips_of_the_hub_come_from_the_same_commit(hub):
    table(hub.folder / "train", GOOD | {"file_name": "./a [1].mp4"}, GOOD | {"file_name": "b.mp4"})
    records = read_records("owner/name", revision="main")
    assert [record.path for record in records] == [hub.folder / "train/a [1].mp4", hub.folder / "train/b.mp4"]
    name, kind, revision, patterns = hub.calls[1]
    assert (name, kind, revision) == ("owner/name", "dataset", COMMIT)
    wanted = {name: any(fnmatch(f"train/{name}.mp4", pattern) for pattern in patterns) for name in ("a [1]", "b", "c")}
    assert wanted == {"a [1]": True, "b": True, "c": False}


def test_many_clips_of_the_hub_are_asked_for_by_folder(hub):
    table(hub.folder, *(GOOD | {"file_name": f"clips/{number}.mp4"} for number in range(1001)))
    read_records("owner/name")
    assert hub.calls[1][3] == ["clips/*.mp4"]


def test_the_hub_out_of_reach_is_said_clearly(tmp_path, monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    def offline(*args, **options):
        raise LocalEntryNotFoundError("Cannot reach the hub.\nTry again")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecordError) as error:
        read_records("owner/name")
    message = str(error.value)
    assert message.startswith("owner/name: no such folder here") and "Cannot reach the hub. Try again. " in message
    assert "offline, give a folder that holds metadata.jsonl" in message


def test_what_exists_or_is_a_file_name_is_not_asked_of_the_hub(hub, tmp_path):
    table(tmp_path / "owner/name", GOOD)
    assert len(read_records("owner/name")) == 1
    for source in ("owner/metadata.jsonl", "./no/name", "/no/name", "name", "a/b/c"):
        with pytest.raises(RecordError, match="no such file"):
            read_records(source)
    assert not hub.calls
