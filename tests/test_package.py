"""The package as installed: light to import, one home for every module."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import emogen

ROOT = Path(__file__).parents[1]


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout


def test_import_loads_no_torch():
    heavy = "torch diffusers transformers numpy PIL"
    out = run(f"import emogen, emogen.emotion, sys; print([m for m in '{heavy}'.split() if m in sys.modules])")
    assert out.strip() == "[]"


def test_public_names_resolve():
    for name in emogen.__all__:
        assert getattr(emogen, name) is not None
    assert set(emogen.__all__) <= set(dir(emogen))


def test_an_unknown_name_is_an_attribute_error():
    try:
        emogen.no_such_name  # noqa: B018
    except AttributeError as error:
        assert "no_such_name" in str(error)
    else:
        raise AssertionError("no error")


def test_pipelines_and_eval_live_only_inside_emogen():
    # From another folder, so that the repository's own folders are not on the path.
    out = run(
        "import importlib.util as u; print(u.find_spec('pipelines'), u.find_spec('eval'));"
        "import emogen.pipelines, emogen.eval; print(emogen.pipelines.__name__, emogen.eval.__name__)"
    )
    assert out.split() == ["None", "None", "emogen.pipelines", "emogen.eval"]


def test_every_package_folder_is_in_the_build():
    try:
        import tomllib
    except ImportError:
        import pytest

        pytest.skip("tomllib comes with Python 3.11")
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    homes = {"emogen": ROOT / "emogen", "emogen.pipelines": ROOT / "pipelines", "emogen.eval": ROOT / "eval"}
    found = set()
    for name, folder in homes.items():
        for init in folder.rglob("__init__.py"):
            found.add(".".join([name, *init.parent.relative_to(folder).parts]))
    assert found == listed


def test_version_is_the_distributions():
    """Under the name it has; an environment that was installed before the name changed has another."""
    names = set(metadata.packages_distributions()["emogen"])
    assert names and {metadata.version(name) for name in names} == {emogen.__version__}


def test_test_files_have_names_of_their_own():
    """Files of one name in two folders cannot be collected together."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert not sorted({name for name in names if names.count(name) > 1})
