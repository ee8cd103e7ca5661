"""The notebooks of examples/ run, with fewer steps than a reader takes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
FEWER = {
    "num_inference_steps": 2, "num_stickers": 18, "max_train_steps": 2, "num_prompts": 1,
}  # fmt: skip


def cells(notebook):
    """(tags, source) of the code cells."""
    for cell in json.loads(notebook.read_text())["cells"]:
        if cell["cell_type"] == "code":
            yield cell["metadata"].get("tags", []), "".join(cell["source"])


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(notebook, tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "examples").mkdir()
    lines = []
    for tags, source in cells(notebook):
        lines.append(source)
        if "parameters" in tags:
            names = [line.split("=")[0].strip() for line in source.splitlines()]
            lines += [f"{name} = {FEWER[name]}" for name in names]
    env = os.environ | {"MPLBACKEND": "agg", "TQDM_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=tmp_path / "examples", env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def test_they_are_clean_and_there():
    assert {path.stem for path in NOTEBOOKS} >= {
        "text_to_video", "image_to_video", "arcs", "train_on_your_stickers", "evaluation",
    }  # fmt: skip
    for notebook in NOTEBOOKS:
        content = json.loads(notebook.read_text())
        assert content["nbformat"] == 4
        for cell in content["cells"]:
            assert not cell.get("outputs") and not cell.get("execution_count"), f"{notebook.name} has outputs"
