"""The node pack in ComfyUI itself, of which EMOGEN_COMFYUI names a checkout: samples, workflows, and its validation."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKOUT = os.environ.get("EMOGEN_COMFYUI", "")
NEEDED = ("einops", "torchsde", "torchvision", "torchaudio", "aiohttp", "sentencepiece", "alembic", "sqlalchemy")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(not CHECKOUT, reason="EMOGEN_COMFYUI names no checkout of ComfyUI"),
    pytest.mark.skipif(bool(CHECKOUT and MISSING), reason=f"ComfyUI needs packages: {', '.join(MISSING)}"),
]
EXACT = [
    "text to video", "two clips, strength 0.7", "without CFG", "negative emotion", "arc", "arc against an emotion",
    "neutral", "in two halves of the steps", "emotion guidance", "emotion guidance of an arc", "low memory",
    "arc, low memory", "image to video", "image to video, arc", "image to video, low memory", "VACE", "VACE, arc",
    "embedded model, LoRA file of the export", "embedded model, LoRA by the node",
    "embedded model, LoRA, arc, low memory",
]  # fmt: skip
ROUNDED = {"bfloat16": 0.05, "float16": 0.01, "fp8 weights, bfloat16": 0.3}
"""Rows of benchmarks/comfyui.py."""


def run(script: str, *arguments: str, timeout: float = 580) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "benchmarks" / script), "--comfyui", CHECKOUT, *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, env=environment)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    file = tmp_path_factory.mktemp("comfyui") / "rows.json"
    made = run("comfyui.py", "--json", str(file), "--only", *EXACT, *ROUNDED)
    assert made.returncode == 0, made.stderr[-3000:]
    return json.loads(file.read_text())["rows"]


@pytest.mark.parametrize("name", EXACT)
def test_comfyui_predicts_what_the_pipeline_predicts(name, rows):
    row = rows[name]
    assert row["prediction"] < 1e-5 and row["latents"] < 3e-5
    assert row["restored"]
    assert row["moved"] == 0 if name == "neutral" else row["moved"] > 0.3


@pytest.mark.parametrize(("name", "bound"), ROUNDED.items())
def test_fewer_bits_round_and_no_more(name, bound, rows):
    assert rows[name]["prediction"] < bound < rows[name]["moved"]
    assert rows[name]["restored"]


def test_the_embedded_workflow_runs_in_comfyui_s_executor(tmp_path):
    from PIL import Image

    workflow = json.loads((ROOT / "comfyui" / "workflows" / "embedded_model.json").read_text())
    workflow["sampler"]["inputs"]["steps"] = 2
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps(workflow))
    made = run("comfyui_workflow.py", str(file), "--output", str(tmp_path / "out"))
    assert made.returncode == 0, made.stderr[-3000:]
    shown = json.loads(made.stdout.strip().splitlines()[-1])
    assert shown["judge"]["text"][0].count("%") == 5 and "asked for amusement" in shown["judge"]["text"][0]
    clip = Image.open(tmp_path / "out" / shown["save"]["images"][0]["filename"])
    assert (clip.n_frames, clip.size) == (13, (96, 96))
    curve = Image.open(tmp_path / "out" / "temp" / shown["curve"]["images"][0]["filename"])
    assert curve.size == (640, 320)


@pytest.mark.parametrize("name", ["wan2.1_text_to_video", "wan2.1_image_to_video_arc", "wan2.2_text_to_video"])
def test_comfyui_accepts_the_workflows_but_for_files_that_are_not_here(name):
    made = run("comfyui_workflow.py", str(ROOT / "comfyui" / "workflows" / f"{name}.json"), "--check")
    assert made.returncode == 0, made.stderr[-3000:]
    errors = json.loads(made.stdout.strip().splitlines()[-1])["errors"]
    details = [detail for found in errors.values() for detail in found]
    files = (".safetensors' not in", "'my_adapter' not in", "Invalid image file: example.png")
    assert all(any(file in detail for file in files) for detail in details), details
