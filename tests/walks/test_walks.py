"""The three walks of a newcomer, in a fresh environment, with few steps (`benchmarks/walks/` takes the whole)."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "walks"))
from fresh import NoPip, build, install  # noqa: E402
from walk import StepFailed, prepare  # noqa: E402


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Of an environment in which this checkout's wheel is installed."""
    folder = tmp_path_factory.mktemp("fresh")
    try:
        return install(build(folder)[1], folder)
    except NoPip as error:
        pytest.skip(str(error))


NEEDS = {"researcher": ("pyarrow", "scipy", "sklearn", "matplotlib"), "artist": (), "comfyui": ()}


@pytest.mark.parametrize("name", NEEDS)
def test_a_walk_goes_through(name, programs, tmp_path):
    for module in NEEDS[name]:
        pytest.importorskip(module)
    walk = prepare(tmp_path / "walk", programs, quick=True)
    # by its path: `comfyui` and `artist` may be names of other modules, too
    spec = importlib.util.spec_from_file_location(f"walk_of_{name}", ROOT / f"benchmarks/walks/{name}.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.walk_on(walk)
    table = walk.table()
    assert len(walk.steps) >= 2 and all(step.command in table for step in walk.steps)


def test_a_step_that_fails_ends_the_walk(programs, tmp_path):
    walk = prepare(tmp_path / "walk", programs, quick=True)
    with pytest.raises(StepFailed, match="unknown emotion"):
        walk.type("emogen sample --emotion nothing_at_all --prompt x")
    with pytest.raises(StepFailed, match="there should be 1"):
        walk.made("*.webm")
    where = walk.type("python -c 'import emogen; print(emogen.__file__)'").strip()
    assert Path(where).is_relative_to(programs.parent) and not os.path.relpath(where, ROOT).startswith("emogen")


def test_the_documents_tell_the_walks():
    """The commands of the quick starts are those that are walked."""
    for name, page in (("artist", "artist"), ("researcher", "researcher"), ("comfyui", "comfyui")):
        text = (ROOT / f"docs/quickstart/{page}.md").read_text()
        source = (ROOT / f"benchmarks/walks/{name}.py").read_text()
        for command in {"artist": ("emogen sample", "--emotion all --platform telegram"),
                        "researcher": ("emogen data ingest", "emogen data about", "emogen data attributes",
                                       "emogen data split", "emogen data export", "emogen train", "emogen analyze"),
                        "comfyui": ("emogen convert out my_lora.safetensors --to comfyui",)}[name]:  # fmt: skip
            assert command in text, f"{page}.md does not say {command}"
            assert all(word in source for word in command.split()), f"{name}.py does not walk {command}"
