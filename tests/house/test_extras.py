"""Nothing tells people to install by name: `emogen` is a stranger's on the registry, `emogen-video` not there yet."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from emogen.extras import EXTRAS, how_to_install

ROOT = Path(__file__).parents[2]
BY_NAME = re.compile(
    r"""(pip|uv|pipx)3?\s+(pip\s+)?(install|add|download)\s[^\n]*?(?<![\w./-])['"]?emogen(-video)?(?![\w./-])"""
)
TEXT = (".py", ".md", ".yaml", ".yml", ".toml", ".ipynb", ".json", ".sh", ".txt", "")


def test_the_command():
    assert how_to_install("studio") == 'pip install -e ".[studio]"'
    assert (
        how_to_install("eval", "lpips") == 'pip install -e ".[eval,lpips]"' and how_to_install() == "pip install -e ."
    )
    with pytest.raises(ValueError, match="no extra 'studios'"):
        how_to_install("studios")


def test_the_extras_are_the_project_s():
    declared = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    assert set(re.findall(r"^(\w+) = ", declared, flags=re.M)) == set(EXTRAS)


@pytest.mark.parametrize(("text", "found"), [
    ('pip install "emogen[studio]"', True), ("pip install emogen", True), ("uv pip install 'emogen'", True),
    ("uv add emogen-video", True), ('pip install "emogen-video[studio]"', True),
    ('pip install -e ".[studio]"', False), ("pip install ./emogen/", False), ("pip install x; emogen/cli.py", False),
])  # fmt: skip
def test_what_is_looked_for(text, found):
    assert bool(BY_NAME.search(text)) == found


def test_no_file_names_the_registry_s_package():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    wrong = []
    for name in filter(None, files):
        path = ROOT / name
        if path.suffix in TEXT and path.is_file() and path != Path(__file__):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            wrong += [f"{name}:{number}" for number, line in enumerate(lines, 1) if BY_NAME.search(line)]
            wrong += [
                f"{name}:{number}" for number, line in enumerate(lines, 1) if re.search(r"emogen(-video)?\[", line)
            ]
    assert not wrong, f"say how_to_install(...) of emogen.extras, or -e '.[...]', in {wrong}"


@pytest.mark.parametrize(("name", "right"), [("pipelines", "emogen.pipelines"), ("eval", "emogen.eval")])
def test_a_room_under_another_name_is_no_second_copy(name, right):
    made = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 1 and f"ImportError: import {right}, not {name}" in made.stderr


def test_a_checkout_runs_beside_an_installation_without_it(tmp_path):
    """`sample.py` of a checkout takes ./emogen; its pipelines and evaluation are then the checkout's too."""
    for name in ("emogen", "pipelines", "eval"):
        (tmp_path / name).symlink_to(ROOT / name)
    code = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in str(f).lower()]; "
        "sys.path_hooks = [h for h in sys.path_hooks if 'editable' not in str(h).lower()]; "
        "import emogen.pipelines.defaults, emogen.eval; print(emogen.pipelines.__file__)"
    )
    made = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip() == str(tmp_path / "pipelines" / "__init__.py")
