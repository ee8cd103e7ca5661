"""What lies below a folder: every file ends as a row, and the table says what is there now, not what once was."""

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from emogen.commands.data import main
from emogen.curation.ingest import ingest, ingest_stage
from emogen.curation.runner import How, run_stage
from emogen.curation.sources import SourceFiles, SourceList, count_files, listed_sources
from emogen.curation.stage import Stage
from emogen.curation.workspace import Workspace
from emogen.media import read_frames, write_video

QUIET = ["--workers", "0", "--quiet"]


def draw(path, seed, seconds=1):
    frames = np.random.default_rng(seed).integers(0, 256, (4 * seconds, 2, 2, 3), np.uint8)
    write_video(path, frames.repeat(16, 1).repeat(16, 2), 4)


def table(out):
    return {row["source_path"]: row for row in parquet.read_table(out / "clips.parquet").to_pylist()}


def ingested(films, out, *words):
    status = main(["ingest", str(films), "--output_dir", str(out), *words, *QUIET])
    assert main(["scenes", str(out), "--detector", "none", *QUIET]) == 0
    return status


def test_what_cannot_be_opened_is_a_row_with_the_reason(tmp_path):
    films = tmp_path / "films"
    draw(films / "good ünï 💙.mp4", 0)
    draw(tmp_path / "elsewhere" / "linked.mp4", 1)
    os.symlink(tmp_path / "elsewhere", films / "link to a folder")
    os.symlink(films, films / "up")
    os.symlink(tmp_path / "gone.mp4", films / "dangling.mp4")
    os.mkfifo(films / "pipe.mp4")
    (films / ".hidden.mp4").write_bytes(b"x")
    with open(os.fsencode(films) + b"/\xff.mp4", "wb") as file:
        file.write(b"x")
    assert ingested(films, films / "set") == 3  # the set lies below its films
    assert ingested(films, films / "set") == 0
    rows = table(films / "set")
    errors = {name: row["error"] for name, row in rows.items() if row["error"]}
    assert errors == {
        "dangling.mp4": "is a link to a file that is gone",
        "pipe.mp4": "is no file but a pipe, socket or device",
        "\\udcff.mp4": "its name is no UTF-8 text; rename it",
    }
    assert set(rows) - set(errors) == {"good ünï 💙.mp4", "link to a folder/linked.mp4"}


def test_the_table_is_of_the_files_that_are_there(tmp_path, capsys):
    films, out = tmp_path / "films", tmp_path / "set"
    for seed, name in enumerate(("kept.mp4", "changed.mp4", "gone.mp4")):
        draw(films / name, seed)
    assert ingested(films, out, "--domain", "movei") == 0
    before = table(out)
    draw(films / "changed.mp4", 7, seconds=2)
    (films / "gone.mp4").unlink()
    shutil.move(films, tmp_path / "moved")
    assert ingested(tmp_path / "moved", out, "--domain", "movie", "--license", "CC0") == 0
    assert f"{films} is gone" in capsys.readouterr().out
    rows = table(out)
    assert set(rows) == {"kept.mp4", "changed.mp4"}
    assert {row["domain"] for row in rows.values()} == {"movie"} and rows["kept.mp4"]["license"] == "CC0"
    assert rows["kept.mp4"]["clip_id"] == before["kept.mp4"]["clip_id"] and rows["changed.mp4"]["end"] == 2
    assert main(["attributes", str(out), *QUIET]) == 0


def test_shares_of_a_folder_are_all_of_it_and_a_whole_list_takes_their_place(tmp_path):
    for number in range(12):
        (tmp_path / "films" / f"d{number % 3}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "films" / f"d{number % 3}" / f"{number}.mp4").write_bytes(bytes([number]))
    out = tmp_path / "set"
    for number in (1, 2, 3):
        found = list(SourceList(out, SourceFiles(tmp_path / "films", "movie", shard=(number, 3))))
        assert 0 < len(found) < 12
    assert len({row["source_key"] for row in listed_sources(out)}) == 12 == count_files(out)
    assert len(list(SourceList(out, SourceFiles(tmp_path / "films", "movie")))) == 12
    assert len(list((out / "sources").iterdir())) == 1 and count_files(out) == 12


def test_a_list_that_was_not_finished_counts_as_far_as_it_goes(tmp_path):
    for number in range(4):
        draw(tmp_path / "films" / f"{number}.mp4", number)
    out = tmp_path / "set"
    rows = iter(SourceList(out, SourceFiles(tmp_path / "films", "movie")))
    first = [next(rows), next(rows)]
    assert [row["source_path"] for row in listed_sources(out)] == ["0.mp4", "1.mp4"]
    workspace = Workspace(out)
    workspace.register(ingest_stage())
    run_stage(ingest_stage(), first, out, How(workers=0, quiet=True))
    assert [(one.stage, one.done, one.pending) for one in workspace.status()] == [("ingest", 2, 2)]


def test_rows_are_taken_as_they_are_worked_on(tmp_path):
    taken, worked = [], []

    def rows():
        for number in range(50):
            taken.append(number)
            yield {"clip_id": str(number)}

    def work(row, settings, output):
        worked.append(len(taken))
        return [row]

    run_stage(Stage("lazy", 1, work), rows(), tmp_path, How(workers=0, quiet=True))
    assert worked == list(range(1, 51))


def test_a_value_that_cannot_be_kept_is_an_error_of_its_row(tmp_path):
    def work(row, settings, output):
        return [{"clip_id": row["clip_id"], "value": float("nan") if row["clip_id"] == "b" else 1.0}]

    found = run_stage(Stage("odd", 1, work), [{"clip_id": c} for c in "abc"], tmp_path, How(workers=0, quiet=True))
    assert found.done == 2 and set(found.failed) == {"b"}


def test_what_failed_is_tried_again_and_what_was_deleted_is_made_again(tmp_path):
    films, out = tmp_path / "films", tmp_path / "set"
    for seed in range(3):
        draw(films / f"{seed}.mp4", seed, seconds=6)
    assert ingested(films, out) == 0
    hidden = films / "1.mp4"
    hidden.rename(tmp_path / "away")
    assert main(["attributes", str(out), *QUIET]) == 3
    assert table(out)["1.mp4"]["error"] and main(["attributes", str(out), *QUIET]) == 0
    (tmp_path / "away").rename(hidden)
    assert main(["attributes", str(out), "--retry-failed", *QUIET]) == 0
    assert table(out)["1.mp4"]["error"] is None and table(out)["1.mp4"]["phash"]


@pytest.mark.parametrize("part", ["", "--shard"])
def test_a_recipe_is_not_shared(part, tmp_path, capsys):
    recipe = tmp_path / "r.yaml"
    draw(tmp_path / "films" / "a.mp4", 0, seconds=1 if part else 5)
    (tmp_path / "films" / "b.mp4").write_bytes(b"x")
    recipe.write_text(f"sources:\n  - {{folder: {tmp_path}/films}}\n")
    words = ["run", str(recipe), "--output_dir", str(tmp_path / "o"), *QUIET, *([part, "1/2"] if part else [])]
    assert main(words) == (2 if part else 3)
    assert ("share stages one by one" in capsys.readouterr().err) == bool(part)


def test_where_every_clip_was_dropped_the_reason_is_said(tmp_path, capsys):
    draw(tmp_path / "films" / "a.mp4", 0)
    out = str(tmp_path / "set")
    assert main(["ingest", str(tmp_path / "films"), "--output_dir", out, *QUIET]) == 0
    assert main(["scenes", out, *QUIET]) == 0 and main(["attributes", out, *QUIET]) == 2
    assert "none of its 1 rows is a clip to work on (shorter than 4 s: 1)" in capsys.readouterr().err


def pictures(folder, numbers, name="f_{:03}.png", alpha=None, size=(33, 50)):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        pixels = np.full((*size, 3 if alpha is None else 4), 10 * number + 5, np.uint8)
        if alpha is not None:
            pixels[..., 3] = alpha
        Image.fromarray(pixels).save(folder / name.format(number))


def test_numbered_pictures_are_one_clip(tmp_path):
    films, out = tmp_path / "films", tmp_path / "set"
    pictures(films / "walk", range(12))
    pictures(films / "walk" / "ghost", range(9, 12), "{}.png", alpha=128)  # 9 comes before 10
    pictures(films / "holes", (1, 2, 5), "p{}.jpg")
    pictures(films / "two", (1, 2), "a-{}.png")
    pictures(films / "two", (1, 2), "b-{}.png")
    pictures(films / "sizes", (1, 2))
    pictures(films / "sizes", (3,), size=(20, 20))
    pictures(films / "twice", (1, 2), "{}.png")
    pictures(films / "twice", (1,), "{:02}.png")
    pictures(films / "alone", (7,))
    draw(films / "film.mp4", 0)
    assert ingested(films, out, "--sequence_fps", "8") == 3
    rows = table(out)
    assert {name: row["error"] for name, row in rows.items() if row["error"]} == {
        "sizes.mp4": "f_003.png is of 20x20 pixels, the first of 50x33",
        "twice": "01.png and 1.png are both number 1",
    }
    assert {n: (r["kind"], r["frames_decoded"], r["end"], r["alpha"]) for n, r in rows.items() if not r["error"]} == {
        "walk.mp4": ("video", 12, 1.5, False), "walk/ghost.webp": ("video", 3, 0.375, True),
        "holes.mp4": ("video", 3, 0.375, False), "two/a.mp4": ("video", 2, 0.25, False),
        "two/b.mp4": ("video", 2, 0.25, False), "alone/f_007.png": ("image", 1, 0.0, False),
        "film.mp4": ("video", 4, 1.0, False),
    }  # fmt: skip
    holes = rows["holes.mp4"]
    assert (holes["truncated"], holes["frames_declared"]) == (True, 5) and "3 to 4" in holes["damaged"]
    frames, times = read_frames(Path(rows["walk.mp4"]["source_folder"]) / "walk.mp4")
    assert list(times) == pytest.approx([n / 8 for n in range(12)], abs=1e-4) and frames.shape[1:3] == (34, 50)
    assert [int(frame.mean()) for frame in frames] == pytest.approx([10 * n + 5 for n in range(12)], abs=2)
    ghost, _ = read_frames(Path(rows["walk/ghost.webp"]["source_folder"]) / "walk/ghost.webp", alpha=True)
    assert [tuple(frame[5, 5]) for frame in ghost] == [(n, n, n, 128) for n in (95, 105, 115)]
    assert main(["attributes", str(out), *QUIET]) == 0 and table(out)["walk.mp4"]["brightness"]
    shutil.rmtree(out / "sequences")
    pictures(films / "holes", (3, 4), "p{}.jpg")
    assert ingested(films, out, "--sequence_fps", "8") == 0  # known failures stay
    assert table(out)["holes.mp4"]["frames_decoded"] == 5 and list((out / "sequences").rglob("walk.mp4"))


def test_what_a_file_says_of_its_frames(tmp_path):
    stills = [Image.fromarray(np.full((16, 16, 3), 40 * n, np.uint8)) for n in range(4)]
    for name, durations in (("even", [100] * 4), ("odd", [100, 200, 50, 100])):
        for ending in ("gif", "webp", "png"):
            stills[0].save(tmp_path / f"{name}.{ending}", save_all=True, append_images=stills[1:], duration=durations)
    merged = np.stack([np.full((16, 16, 3), 40 * n, np.uint8) for n in (0, 0, 0, 1, 2)])
    write_video(tmp_path / "merged.webp", merged, 10)  # three frames become one of thrice the time
    media = Path(__file__).parents[1] / "fixtures" / "media"
    for name in ("bar_vfr.mp4", "bar_cfr.mp4", "sar_16_9_circle.mp4", "exif6.jpg"):
        shutil.copy(media / name, tmp_path / name)
    found = {}
    for row in SourceFiles(tmp_path, "movie"):
        found[row["source_path"]] = ingest(row, {"keep_audio": False}, tmp_path)[0]
    assert {name: row["variable_rate"] for name, row in found.items()} == {
        "even.gif": False, "even.webp": False, "even.png": False, "odd.gif": True, "odd.webp": True, "odd.png": True,
        "merged.webp": False, "bar_vfr.mp4": True, "bar_cfr.mp4": False, "sar_16_9_circle.mp4": False,
        "exif6.jpg": None,
    }  # fmt: skip
    assert found["sar_16_9_circle.mp4"]["sample_aspect"] != 1 and found["bar_cfr.mp4"]["rotation"] == 0
    assert found["bar_cfr.mp4"]["codec"] == "h264" and found["bar_cfr.mp4"]["transfer"] == "SDR"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted; give the same command again: what is finished is kept"),
        (OSError(28, "No space left on device"), 1, "make room, then give the same command again"),
        (FileNotFoundError(2, "No such file or directory", "x.mp4"), 2, "x.mp4"),
    ],
)
def test_what_ends_a_command_is_said(error, status, said, tmp_path, capsys, monkeypatch):
    from emogen.commands import data_stages

    def fails(args):
        raise error

    monkeypatch.setitem(data_stages.STAGES, "ingest", fails)
    assert main(["ingest", str(tmp_path), "--output_dir", str(tmp_path / "o")]) == status
    assert said in capsys.readouterr().err


def test_a_file_is_no_folder(tmp_path, capsys):
    draw(tmp_path / "a.mp4", 0)
    assert main(["ingest", str(tmp_path / "a.mp4"), "--output_dir", str(tmp_path / "o")]) == 2
    assert "is a file; give the folder that it lies in" in capsys.readouterr().err
    assert main(["ingest", str(tmp_path), "--output_dir", str(tmp_path / "a.mp4")]) == 2
    assert "a.mp4 is a file, not a folder" in capsys.readouterr().err
