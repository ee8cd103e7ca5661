"""A model folder from parts that lie apart."""

import os

import pytest

from emogen.embedded import assemble as module
from emogen.embedded.assemble import Made, assemble


@pytest.fixture
def parts(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOGEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "package/vae").mkdir(parents=True)
    (tmp_path / "package/vae/weights").write_text("w")
    (tmp_path / "package/index.json").write_text("{}")
    return {"vae": tmp_path / "package/vae", "index.json": tmp_path / "package/index.json"}


def contents(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_made_once_and_anew_when_a_part_changes(parts, tmp_path):
    folder = assemble("model", parts)
    assert folder.parent == tmp_path / "cache" and contents(folder) == {"vae/weights": "w", "index.json": "{}"}
    before = folder.stat().st_mtime_ns
    assert assemble("model", parts) == folder and folder.stat().st_mtime_ns == before
    (parts["vae"] / "weights").unlink()
    (parts["vae"] / "weights").write_text("other")
    changed = assemble("model", parts)
    assert changed != folder and contents(changed)["vae/weights"] == "other" and contents(folder)["vae/weights"] == "w"
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == sorted([folder.name, changed.name])


def test_a_file_that_is_made_from_others_is_made_once_and_anew_when_they_change(parts, tmp_path):
    sources = tuple(tmp_path / name for name in ("first", "second"))
    for source in sources:
        source.write_text(source.name)
    calls = []

    def join(first, second, out):
        calls.append(out)
        out.write_text(first.read_text() + second.read_text())

    made = {"transformer/weights": Made(sources, join)}
    folder = assemble("model", parts, made)
    assert contents(folder)["transformer/weights"] == "firstsecond" and folder != assemble("model", parts)
    assert assemble("model", parts, made) == folder and len(calls) == 1
    sources[1].write_text("other")
    assert contents(assemble("model", parts, made))["transformer/weights"] == "firstother"


def test_copies_where_links_cannot_be(parts, monkeypatch):
    def refuse(*args):
        raise OSError("another device")

    monkeypatch.setattr(os, "link", refuse)
    folder = assemble("model", parts)
    assert contents(folder) == {"vae/weights": "w", "index.json": "{}"}
    assert (folder / "vae/weights").stat().st_ino != (parts["vae"] / "weights").stat().st_ino


def test_a_cache_that_cannot_be_written_is_gone_around(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    build = module._build

    def build_elsewhere(target, *what):
        if target.parent == tmp_path / "cache":
            raise PermissionError(target)
        build(target, *what)

    monkeypatch.setattr(module, "_build", build_elsewhere)
    assert contents(assemble("model", parts)) == {"vae/weights": "w", "index.json": "{}"}
    monkeypatch.setattr(module, "_build", lambda *_: (_ for _ in ()).throw(PermissionError("no")))
    (parts["index.json"]).write_text("new")
    with pytest.raises(OSError, match="set EMOGEN_CACHE"):
        assemble("model", parts)


def test_a_failed_copy_leaves_nothing(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no")))
    monkeypatch.setattr(module.shutil, "copyfile", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        assemble("model", parts)
    assert list((tmp_path / "cache").iterdir()) == []
