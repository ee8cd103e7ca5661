"""Where metadata rows come from: split folders, folders sorted by emotion, data sets of the hub."""

import json
from fnmatch import fnmatchcase as fnmatch
from types import SimpleNamespace

import pytest

from emogen.data.records import (
    RecordError,
    read_records,
)

GOOD = {"file_name": "a.mp4", "caption": "a ball rolls", "emotion": "fear"}


# --- split folders


def table(folder, *rows):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("data", ["", "data"])
def test_every_split_may_have_its_own_metadata(tmp_path, data):
    root = tmp_path / data
    (root / "validation").mkdir(parents=True)
    (root / "validation/metadata.csv").write_text("file_name,text,emotion\na.mp4,x,awe\n")
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


# --- no metadata


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_clips_sorted_by_emotion_need_no_metadata(tmp_path):
    touch(
        tmp_path, "Joy/a.png", "Joy/b.mp4", "grossed-out/deep/c.webp", "neutral/d.gif", "Joy/notes.md", ".trash/e.png"
    )
    (tmp_path / "Joy/a.txt").write_text("a round\nyellow face\n")
    records = read_records(tmp_path)
    assert [(r.file_name, r.caption, r.label, r.split) for r in records] == [
        ("Joy/a.png", "a round yellow face", "amusement", "train"),
        ("Joy/b.mp4", "", "amusement", "train"),
        ("grossed-out/deep/c.webp", "", "disgust", "train"),
        ("neutral/d.gif", "", "neutral", "train"),
    ]
    assert records[0].path == tmp_path / "Joy/a.png" and records[0].where == "Joy/a.png"
    touch(tmp_path, "stray.mp4")
    (tmp_path / "Joy/b.txt").write_bytes(b"caf\xe9")
    with pytest.raises(
        RecordError, match=r"(?s)b\.txt: line 1: byte 3 .*stray\.mp4: no folder above it is named by an emo"
    ):
        read_records(tmp_path)


def test_sorted_folders_may_lie_in_split_folders(tmp_path):
    touch(tmp_path, "train/joy/a.png", "validation/fear/a.png")
    assert [(r.label, r.split) for r in read_records(tmp_path)] == [("amusement", "train"), ("fear", "val")]


def test_clips_with_captions_beside_them_are_read(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "a.txt").write_text("a cat")
    (tmp_path / "b.caption").write_text('a dog. The video is in the "awe" emotion.')
    said = [(r.caption, r.label, r.label_source) for r in read_records(tmp_path)]
    assert said[0] == ("a cat", "neutral", "none given") and said[1][1:] == ("awe", "the caption")
    assert said[2] == ("", "neutral", "none given")


def test_a_folder_of_clips_alone_is_no_data_set(tmp_path):
    touch(tmp_path, "clips/a.mp4")
    with pytest.raises(RecordError, match=r"no such file as metadata.*folders named by emotions, such as joy/a\.mp4"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("joy\\\\none.png", "no such file; write the path with /"), ("..\\\\a.png", "inside"), ("C:\\\\a.png", "inside")],
)
def test_backslashes_are_slashes_where_that_finds_the_clip(write, name, message):
    folder = touch(write(GOOD | {"file_name": "clips\\a.png"}), "clips/a.png")
    (record,) = read_records(folder)
    assert record.path.is_file() and record.file_name == "clips/a.png"
    with pytest.raises(RecordError, match=rf"metadata\.jsonl:1: file_name .*{message}"):
        read_records(write(GOOD | {"file_name": name}))


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
