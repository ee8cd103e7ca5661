"""Published LoRA layouts in ComfyUI's own loader: the same weights as here. EMOGEN_COMFYUI names the checkout."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = os.environ.get("EMOGEN_COMFYUI", "")
MISSING = [name for name in ("einops", "torchsde") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(not CHECKOUT, reason="EMOGEN_COMFYUI names no checkout of ComfyUI"),
    pytest.mark.skipif(bool(CHECKOUT and MISSING), reason=f"ComfyUI needs packages: {', '.join(MISSING)}"),
]


def test_comfyui_makes_the_same_weights(tmp_path):
    """But for LightX2V's `.diff_m`, which ComfyUI passes over; in the form that `emogen convert` writes it acts."""
    script = Path(__file__).with_name("loras_in_comfyui.py")
    made = subprocess.run(
        [sys.executable, str(script), CHECKOUT, str(tmp_path)], capture_output=True, text=True, timeout=500,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-3000:]
    rows = json.loads(made.stdout.strip().splitlines()[-1])
    assert len(rows) == 20
    for name, row in rows.items():
        assert row["difference"] < 1e-6 and row["moved"] > 0.01, name
        assert row["passed_over"] == (["modulation"] if name in ("lightx2v", "wan2.2 distill") else []), name
