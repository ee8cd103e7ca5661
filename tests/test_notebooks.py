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


def run(notebook, folder, change=lambda source: source):
    """The notebook's cells as one program, in a folder like a checkout."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "examples").mkdir()
    lines = []
    for tags, source in cells(notebook):
        lines.append(change(source))
        if "parameters" in tags:
            names = [line.split("=")[0].strip() for line in source.splitlines()]
            lines += [f"{name} = {FEWER[name]}" for name in names]
    env = os.environ | {"MPLBACKEND": "agg", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.run(command, cwd=folder / "examples", env=env, capture_output=True, text=True, timeout=900)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(notebook, tmp_path):
    done = run(notebook, tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.mark.parametrize(("name", "right", "wrong", "said"), [
    ("train_on_your_stickers", '"--dataset_name",\n    "my_clips"', '"--dataset_name",\n    "no_clips"', "was refused"),
    ("train_on_your_stickers", "train(flags)", 'train([*flags, "--resume_from_checkpoint", "x"])', "training failed"),
    ("evaluation", "judges: [embedded]", "judges: [nobody]", "evaluation failed"),
])  # fmt: skip
def test_a_step_that_fails_stops_the_notebook(name, right, wrong, said, tmp_path):
    (notebook,) = [path for path in NOTEBOOKS if path.stem == name]
    assert any(right in source for _, source in cells(notebook)), "the test changes nothing"
    done = run(notebook, tmp_path, lambda source: source.replace(right, wrong))
    assert done.returncode != 0 and said in done.stderr


def test_they_are_there_and_show_small_pictures():
    assert {path.stem for path in NOTEBOOKS} >= {
        "text_to_video", "image_to_video", "arcs", "train_on_your_stickers", "evaluation",
    }  # fmt: skip
    for notebook in NOTEBOOKS:
        content = json.loads(notebook.read_text())
        assert content["nbformat"] == 4 and notebook.stat().st_size < 120_000, f"{notebook.name} is large"
        code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), (
            f"{notebook.name} was not run from top to bottom; python examples/keep_outputs.py {notebook.name}"
        )
        outputs = [output for cell in code for output in cell["outputs"]]
        kinds = {kind for output in outputs for kind in output.get("data", {})}
        assert kinds & {"image/jpeg", "text/html"} or notebook.stem == "evaluation", f"{notebook.name} shows nothing"
        assert "image/png" not in kinds and all(output["output_type"] != "error" for output in outputs)
        assert str(ROOT) not in notebook.read_text() and "Traceback" not in notebook.read_text()
