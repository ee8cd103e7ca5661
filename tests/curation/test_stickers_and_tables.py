"""Stickers from a registry that is played by a script, and what other people's tables say of clips."""

import base64
import csv
import hashlib
import io
import json
import os
import tarfile

import numpy as np
import pyarrow.parquet as parquet
import pytest

from emogen.commands.data import main
from emogen.curation import fetch_stickers as fetching
from emogen.curation.fetch_stickers import about_sticker, fetch_stickers
from emogen.curation.imported import About, import_about, read_about
from emogen.curation.npm import Package
from emogen.curation.stage import StageError
from emogen.media import write_video

NPM = """#!/bin/sh
case "$*" in *--ignore-scripts*) ;; *) echo "scripts would run" >&2; exit 1;; esac
for last; do :; done
cp "$FAKE_REGISTRY/$(echo "$last" | tr '/@' '__').tgz" art.tgz
"""


def art(folder, name, seed):
    rng = np.random.default_rng(seed)
    frames = np.repeat(rng.integers(0, 256, (6, 4, 4, 4), np.uint8).repeat(8, 1), 8, 2)
    write_video(folder / name, frames, 12)
    return (folder / name).read_bytes()


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry of one package: two faces, one in two skin tones, a rocket, and what nobody asked for."""
    work = tmp_path / "registry"
    work.mkdir()
    names = ("1f602", "1f44d-1f3fb", "1f44d-1f3ff", "1f680", "1f621")
    files = {f"package/assets/{n}.webp": art(work, f"{n}.webp", seed) for seed, n in enumerate(names)}
    files |= {"package/package.json": b'{"license": "MIT"}', "package/../../evil.webp": b"x", "package/run.sh": b"x"}
    archive = work / "_toy_faces_1.0.0.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "npm").write_text(NPM)
    (bin_folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_REGISTRY", str(work))
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    return Package("@toy/faces", "1.0.0", digest)


def test_stickers_are_pinned_and_bring_their_licence(registry, tmp_path):
    folder = tmp_path / "a" / "stickers"
    assert fetch_stickers(folder, (registry,), say=lambda line: None) == 5
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {
        "1f602.webp", "1f44d-1f3fb.webp", "1f44d-1f3ff.webp", "1f680.webp", "1f621.webp", "package.json", "about.csv",
        "LICENSE.txt",
    }  # fmt: skip
    assert not list(tmp_path.rglob("evil*")) and "Microsoft" in (folder / "LICENSE.txt").read_text()
    said = {row["source_path"]: row for row in csv.DictReader((folder / "about.csv").open())}
    assert said["faces/1f602.webp"]["emotion"] == "amusement" and said["faces/1f680.webp"]["emotion"] == ""
    before = (folder / "about.csv").read_bytes()
    os.environ["FAKE_REGISTRY"] = "/nowhere"  # what is there is not fetched again
    assert fetch_stickers(folder, (registry,)) == 5 and (folder / "about.csv").read_bytes() == before


def test_another_tarball_is_refused(registry, tmp_path):
    other = Package(registry.name, registry.version, "A" * 86 + "==")
    with pytest.raises(StageError, match="another tarball than the pinned one"):
        fetch_stickers(tmp_path / "b", (other,))
    assert not list((tmp_path / "b").rglob("*.webp")) and not list((tmp_path / "b").glob(".fetch*"))
    with pytest.raises(StageError, match=r"npm pack .* failed"):
        fetch_stickers(tmp_path / "c", (Package("@toy/none", "1.0.0", ""),))


def test_the_recipes_art_is_pinned_too(registry, tmp_path, monkeypatch):
    from recipe import real

    monkeypatch.setattr(real, "FLUENT", (registry,))
    monkeypatch.setattr(real, "VENDORS", {})
    real.fetch(tmp_path / "art")
    assert (tmp_path / "art/faces/package/assets/1f602.webp").is_file() and not list(tmp_path.rglob("evil*"))
    os.environ["FAKE_REGISTRY"] = "/nowhere"
    real.fetch(tmp_path / "art")  # what is there stays
    monkeypatch.setattr(real, "FLUENT", (Package(registry.name, registry.version, "A" * 86 + "=="),))
    os.environ["FAKE_REGISTRY"] = str(tmp_path / "registry")
    with pytest.raises(StageError, match="another tarball than the pinned one"):
        real.fetch(tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


@pytest.mark.parametrize(
    ("name", "group", "caption", "emotion"),
    [
        ("1f602", "1f602", "a 3d emoji of a round yellow face", "amusement"),
        ("1f680", "1f680", "a 3d emoji of a rocket", None),
        ("1f469-1f3fd-200d-1f680", "1f469", "a 3d emoji of a woman and rocket with medium skin", None),
        ("1f1e9-1f1ea", "1f1e9", "a 3d emoji of a flag letter d and flag letter e", None),
        ("0023-fe0f-20e3", "0023", "a 3d emoji of a number sign", None),
    ],
)
def test_what_a_sticker_is(name, group, caption, emotion):
    about = about_sticker(name)
    assert (about["group"], about["caption"], about.get("emotion")) == (group, caption, emotion)


def test_from_fetch_to_metadata_by_one_command(registry, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "FLUENT", (registry,))
    monkeypatch.setattr(fetching.fetch_stickers, "__defaults__", ((registry,), print))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("sources:\n  - {fetch: fluent, domain: sticker}\nscenes: {detector: none}\n")
    out = tmp_path / "set"
    assert main(["run", str(recipe), "--output_dir", str(out), "--workers", "0", "--quiet"]) == 0
    rows = {row["source_path"]: row for row in parquet.read_table(out / "clips.parquet").to_pylist()}
    assert len(rows) == 5 and rows["faces/1f680.webp"]["emotion"] is None and rows["faces/1f680.webp"]["alpha"]
    assert rows["faces/1f602.webp"]["label_kind"] == "curated" and rows["faces/1f602.webp"]["license"] == "MIT"
    lines = [json.loads(line) for line in (out / "export/metadata.jsonl").read_text().splitlines()]
    assert {line["emotion"] for line in lines} == {"amusement", "anger"}
    assert {line["label_source"] for line in lines} == {"curated"}


def clip(path, **more):
    return {"clip_id": f"id of {path}", "source_path": path, "source_folder": "/set", **more}


TABLES = {
    "release.csv": "Video_Name,Video_Type,Emotion,Video_Caption\n"
                   "clips/a.mp4,Cartoon,Awe,a hill\nb,Movie,excited,a man\n",
    "faces.json": json.dumps({"a.mp4": {"label": "awe", "text": "a hill", "type": "anime"},
                              "b.mp4": {"label": "excited", "text": "a man", "type": "film"}}),
    "list.json": json.dumps({"clips": [{"path": "./clips/a.mp4", "emotion": "awe", "category": "cartoon",
                                        "prompt": "a hill"},
                                       {"path": "b.mp4", "emotion": ["excitement"], "category": "movie",
                                        "prompt": "a man"}]}),
    "lines.jsonl": '{"file_name": "a.mp4", "emotion": "awe", "caption": "a hill", "domain": "animation"}\n'
                   '{"file_name": "sub/b.mp4", "emotion": "excitement", "caption": "a man", "domain": "movie"}\n',
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_other_names(name, tmp_path):
    (tmp_path / name).write_text(TABLES[name])
    clips = [clip("clips/a.mp4"), clip("sub/b.mp4"), clip("c.mp4")]
    rows, counts = import_about(clips, [About(tmp_path / name, "emovid")])
    found = {row["clip_id"]: row for row in rows}
    assert counts == {"clips": 2, "labels": 2}
    a, b = found["id of clips/a.mp4"], found["id of sub/b.mp4"]
    assert (a["emotion"], a["caption"], a["domain"], a["label_kind"]) == ("awe", "a hill", "animation", "human")
    assert (b["emotion"], b["caption"], b["domain"]) == ("excitement", "a man", "movie")


def test_what_a_table_cannot_say(tmp_path):
    (tmp_path / "t.csv").write_text(
        "file,emotion,caption\na/x.mp4,fear,first\nb/x.mp4,awe,second\nfilm.mp4,anger,all of it\n"
        "odd.mp4,zzz,\nnone.mp4,None,\ngone.mp4,awe,\n"
    )
    clips = [clip("a/x.mp4"), clip("c/x.mp4"), clip("film.mp4", order=0), clip("film.mp4", order=1) | {"clip_id": "2"},
             clip("odd.mp4"), clip("none.mp4")]  # fmt: skip
    rows, counts = import_about(clips, [About(tmp_path / "t.csv")])
    found = {row["clip_id"]: row for row in rows}
    assert found["id of a/x.mp4"]["emotion"] == "fear" and "id of c/x.mp4" not in found  # two rows could be meant
    assert "emotion" not in found["id of film.mp4"] and "caption" not in found["2"]  # said of the whole film
    assert found["id of none.mp4"]["no_label"] == "no specific emotion"
    assert counts["label 'zzz' means none of the eight"] == 1 and counts["labels"] == 1
    assert len(import_about([clip(f"{k}/film.mp4") for k in "ab"], [About(tmp_path / "t.csv")])[0]) == 0
    assert counts["t.csv: rows of files that were not ingested"] == 2
    (tmp_path / "bad.csv").write_text("colour,emotion\nred,awe\n")
    with pytest.raises(ValueError, match=r"bad\.csv"):
        read_about(tmp_path / "bad.csv")


def test_condensed_movies(tmp_path):
    (tmp_path / "clips.csv").write_text("videoid,imdbid,title,clip_idx\nAbC,tt01,A Film,3\nxYz,tt02,Another,0\n")
    (tmp_path / "descriptions.csv").write_text("videoid,description\nAbC,Two people talk.\n")
    rows, _ = import_about([clip("2010/AbC.mkv")], [About(tmp_path, "condensed_movies")])
    assert rows[0]["group"] == "tt01" and rows[0]["caption"] == "Two people talk." and rows[0]["clip_in_film"] == "3"
    with pytest.raises(StageError, match=r"no clips\.csv"):
        read_about(tmp_path / "nowhere", "condensed_movies")
