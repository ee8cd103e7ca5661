"""Writing, locking and fingerprints."""

import json
import multiprocessing
import os
import socket
import stat
import subprocess
import sys

import pytest

from emogen.files import LOCK_NAME, FolderInUse, atomic, fingerprint_folder, only_writer, write_json, write_text
from emogen.made import differences, note_made, why_not_made


def test_a_block_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "before")
    with pytest.raises(KeyError), atomic(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "before" and os.listdir(path.parent) == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for text in ("one", "two"):
        with atomic(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / f"{text}.txt").write_text(text)
    assert os.listdir(tmp_path) == ["folder"] and os.listdir(tmp_path / "folder") == ["two.txt"]


def test_files_have_the_permissions_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_numbers_that_json_cannot_say_are_refused(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"value": float("nan")})
    assert not os.listdir(tmp_path)


def _hold(folder, ready, go):
    with only_writer(folder):
        ready.set()
        go.wait(30)


def test_the_second_writer_is_refused_with_the_first_ones_process_and_host(tmp_path):
    context = multiprocessing.get_context("fork")
    ready, go = context.Event(), context.Event()
    first = context.Process(target=_hold, args=(tmp_path, ready, go))
    first.start()
    try:
        assert ready.wait(30)
        with pytest.raises(FolderInUse, match=f"process {first.pid} on {socket.gethostname()}"), only_writer(tmp_path):
            pass
    finally:
        go.set()
        first.join()
    with only_writer(tmp_path):
        pass
    assert not (tmp_path / LOCK_NAME).exists()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    code = (
        "import os, sys; from emogen.files import only_writer\nwith only_writer(sys.argv[1]): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert (tmp_path / LOCK_NAME).exists()
    with only_writer(tmp_path):
        pass


def test_a_folders_fingerprint_is_of_names_and_bytes(tmp_path):
    for name in ("one", "two"):
        write_text(tmp_path / name / "a" / "b.txt", "same")
    same = fingerprint_folder(tmp_path / "one")
    assert same == fingerprint_folder(tmp_path / "two")
    (tmp_path / "two/a/b.txt").rename(tmp_path / "two/a/c.txt")
    assert same != fingerprint_folder(tmp_path / "two")


def test_a_product_is_used_again_only_for_an_equal_recipe(tmp_path):
    clip = tmp_path / "clip.mp4"
    recipe = {"prompt": "a face", "call": {"steps": 20, "size": (96, 96)}}
    assert why_not_made(clip, recipe) == "it is missing"
    clip.write_bytes(b"frames")
    assert why_not_made(clip, recipe) == "nothing says how it was made"
    note_made(clip, recipe)
    assert why_not_made(clip, recipe) is None
    assert why_not_made(clip, {**recipe, "avoid": "fear"}) == "it was made with another avoid"
    assert differences(recipe, {"prompt": "a face", "call": {"steps": 8, "size": [96, 96]}}) == ["call.steps"]
    clip.write_bytes(b"fra")
    assert why_not_made(clip, recipe) == "its contents have changed since it was made"
    next((tmp_path / ".recipes").glob("*.json")).write_text("{")
    assert why_not_made(clip, recipe) == "nothing says how it was made"
    assert json.loads(json.dumps(recipe))
