"""A command that the recipe started ends with it, after it has kept what it has."""

import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHILD = """
import pathlib, signal, sys, time
def keep(*_):
    pathlib.Path(sys.argv[1], "kept").touch()
    sys.exit(3)
signal.signal(signal.SIGTERM, keep)
pathlib.Path(sys.argv[1], "runs").touch()
time.sleep(120)
"""
PARENT = """
import sys
from pathlib import Path
from recipe.children import run_child, terminable
with terminable():
    run_child([sys.executable, "-c", sys.argv[2], sys.argv[1]], Path(sys.argv[1]))
"""


def test_sigterm_reaches_the_child_and_waits_for_it(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), CHILD], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (tmp_path / "runs").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert (tmp_path / "kept").exists()
