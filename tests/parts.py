"""Small parts that many tests share: sizes of a Wan transformer, a clip that moves, metadata files, processes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TINY_WAN = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 32,
    "in_channels": 4,
    "out_channels": 4,
    "text_dim": 16,
    "freq_dim": 16,
    "ffn_dim": 64,
    "num_layers": 2,
    "rope_max_seq_len": 32,
}
"""Configuration of a text-to-video `WanTransformer3DModel` with 4 latent channels."""


PUBLISHED = json.loads((Path(__file__).parent / "fixtures" / "wan_configs.json").read_text(encoding="utf-8"))
"""The published Wan checkpoints' configurations: `transformer` and `pipeline` by model, `vae`, `text_encoder`."""
PUBLISHED_MODELS = tuple(name for name in PUBLISHED["transformer"] if name != "common")


def published_config(name: str) -> dict:
    """The `transformer/config.json` of a published model."""
    own = {"_class_name": "WanTransformer3DModel"} | PUBLISHED["transformer"]["common"]
    return own | PUBLISHED["transformer"][name]


def moving_square(frames: int = 12, size: int = 16, seed: int = 0) -> np.ndarray:
    """A bright square on noise, further to the right in every frame, no two frames alike; uint8 [F, size, size, 3]."""
    random = np.random.default_rng(seed)
    made = np.broadcast_to(random.integers(60, 120, (size, size, 3)), (frames, size, size, 3)).astype(np.uint8)
    row = random.integers(size - 4)
    for index in range(frames):
        made[index, row : row + 4, index % size : index % size + 4] = 200 + index
    return made


def write_metadata(folder: Path, *rows: object) -> Path:
    """Write rows, mappings or raw lines, as `metadata.jsonl`; returns the folder."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def torchrun_command(processes: int, *words: object) -> list[str]:
    """The command that starts processes which train together, in the way of `torchrun`; for one use."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", processes, "--master_addr",
               "127.0.0.1", "--master_port", port, *words]  # fmt: skip
    return list(map(str, command))


def torchrun(*words: object, processes: int = 2, cwd: Path | None = None, **environment: str) -> str:
    """What `torchrun --nproc_per_node PROCESSES WORDS` prints, one thread a process; it must end well, and in time.

    With a port of its own in place of `--standalone`, whose heartbeat shares a connection with the agent's last words
    and now and then makes it wait for ever (pytorch/pytorch#69520).
    """
    done = subprocess.run(
        torchrun_command(processes, *words), capture_output=True, text=True, cwd=cwd, timeout=500,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def chromium(width: int = 1280, height: int = 860) -> Iterator[Any]:
    """A headless browser for a fixture (`yield from chromium()`); the test is skipped, with the reason, without one."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("there is no Chromium with its driver here")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    browser.set_page_load_timeout(90)
    browser.set_window_size(width, height)
    yield browser
    browser.quit()
