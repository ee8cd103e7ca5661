"""The walks of newcomers in a fresh environment, with few steps (`benchmarks/walks/` takes the whole)."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "walks"))
from fresh import NoPip, build, install  # noqa: E402
from headless import NoBrowser, open_browser  # noqa: E402
from walk import StepFailed, prepare, told  # noqa: E402


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Of an environment in which this checkout's wheel is installed."""
    folder = tmp_path_factory.mktemp("fresh")
    try:
        return install(build(folder)[1], folder)
    except NoPip as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def browser():
    """One for all walks; None, where there is none."""
    try:
        browser = open_browser(1280, 1000)
    except NoBrowser:
        yield None
        return
    yield browser
    browser.quit()


def script(name):
    """A walk's script by its path: `comfyui` and `artist` may be names of other modules, too."""
    spec = importlib.util.spec_from_file_location(f"walk_of_{name}", ROOT / f"benchmarks/walks/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NEEDS = {"artist": (), "researcher": ("pyarrow", "scipy", "sklearn", "matplotlib"), "comfyui": (),
         "studio": ("gradio", "pyarrow")}  # fmt: skip
_trained = {}


@pytest.mark.parametrize("name", NEEDS)
def test_a_walk_goes_through(name, programs, browser, tmp_path):
    for module in NEEDS[name]:
        pytest.importorskip(module)
    walk = prepare(tmp_path / "walk", programs, quick=True, window=browser)
    script(name).walk_on(walk, **({"trained": _trained.get("researcher")} if name == "comfyui" else {}))
    _trained[name] = walk.work / "out"
    table = walk.table()
    assert all(step.command in table for step in walk.steps)
    if walk.left_out:  # what could be walked here, was
        pytest.skip("; ".join(walk.left_out))
    assert len(walk.steps) >= 1


def test_a_step_that_fails_ends_the_walk(programs, tmp_path):
    walk = prepare(tmp_path / "walk", programs, quick=True)
    with pytest.raises(StepFailed, match="unknown emotion"):
        walk.type("emogen sample --emotion nothing_at_all --prompt x")
    with pytest.raises(StepFailed, match="there should be 1"):
        walk.made("*.webm")
    wrong = ["emogen", "studio", "--port", "0"]
    with pytest.raises(StepFailed, match=r"does not serve(?s:.*)--port is 0"), walk.serving(wrong, 9, "log"):
        pass
    where = walk.type("python -c 'import emogen; print(emogen.__file__)'").strip()
    assert Path(where).is_relative_to(programs.parent) and not os.path.relpath(where, ROOT).startswith("emogen")


@pytest.mark.parametrize(("page", "least", "both"), [
    ("artist", 4, ("emogen sample", "--emotion all --platform telegram")),
    ("researcher", 10, ("emogen data ingest", "emogen data about", "emogen data attributes", "emogen data split",
                        "emogen data export", "emogen train", "emogen eval", "emogen analyze")),
    ("comfyui", 5, ("emogen convert out", "--to comfyui", "ComfyUI/models/emogen/my_adapter")),
])  # fmt: skip
def test_tutorials_and_quick_starts_tell_what_is_walked(page, least, both):
    """A walk types what its tutorial tells, so a tutorial must tell every step in a form that it reads."""
    steps = list(told(page))
    text = (ROOT / f"docs/tutorials/{page}.md").read_text()
    assert len(steps) >= least and f'told("{page}")' in (ROOT / f"benchmarks/walks/{page}.py").read_text()
    assert all(step.text.count("\n") == 0 and step.text.isprintable() for step in steps if not step.name)
    assert text.count("\n## ") >= 4 and text.count("![") >= 2
    typed, quick = " ".join(step.text for step in steps), (ROOT / f"docs/quickstart/{page}.md").read_text()
    missing = [command for command in both if command not in typed or command not in quick]
    assert not missing
