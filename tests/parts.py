"""Small parts that many tests share: sizes of a Wan transformer, a clip that moves, metadata files, processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks" / "walks"))
from headless import NoBrowser, free_port, open_browser

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
    port = free_port()
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


RANKS = multiprocessing.get_context("forkserver")
RANKS.set_forkserver_preload([
    "torch", "peft", "diffusers.pipelines.wan.pipeline_wan", "diffusers.models.transformers.transformer_wan",
    "transformers.models.umt5.modeling_umt5", "emogen.training.run", "emogen.pipelines.wan",
])  # fmt: skip


def ranks(script: Path, *words: object, processes: int = 2, cwd: Path | None = None) -> str:
    """What processes that train together print: a script with the environment that `torchrun` gives each of them.

    They are forked from one process that has imported the libraries and done nothing else, for importing them is what
    most of such a test would take. Launchers are tested in test_launching.py. All must end well, and in time.
    """
    with tempfile.TemporaryDirectory() as folder:
        said, port = Path(folder) / "said", str(free_port())
        common = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
                               "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}  # fmt: skip
        started = []
        for rank in range(processes):
            own = common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            command = [str(script), *map(str, words)]
            started.append(RANKS.Process(target=_rank, args=(command, own, str(cwd or Path.cwd()), str(said))))
            started[-1].start()
        end = time.monotonic() + 500
        for process in started:
            process.join(max(0.0, end - time.monotonic()))
        for process in started:
            process.kill()
            process.join(60)
        text = said.read_text(errors="replace") if said.exists() else ""
        assert [process.exitcode for process in started] == [0] * processes, text[-6000:]
        return text


def _rank(words: list[str], environment: dict[str, str], cwd: str, said: str) -> None:
    """Be a script started afresh, but for what is imported already."""
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = words
    sys.path.insert(0, str(Path(words[0]).parent))
    runpy.run_path(words[0], run_name="__main__")


def chromium(width: int = 1280, height: int = 860) -> Iterator[Any]:
    """A headless browser for a fixture (`yield from chromium()`); the test is skipped, with the reason, without one."""
    try:
        browser = open_browser(width, height)
    except NoBrowser as error:
        pytest.skip(str(error))
    yield browser
    browser.quit()
