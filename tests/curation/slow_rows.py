"""Forty rows of work that takes a moment, for a driver that is killed."""

import signal
import time

import poison

from emogen.curation.runner import How, run_stage
from emogen.curation.stage import Stage

ROWS = [{"clip_id": f"r{number}", "how": "fine"} for number in range(40)]


def work(row, settings, output):
    time.sleep(0.05)
    return poison.work(row, settings, output)


STAGE = Stage("slow", 1, work, {"add": 0}, timeout=20)


def main(folder):
    # a process that is begun in the background of a script has SIGINT ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run_stage(STAGE, ROWS, folder, How(workers=2, quiet=True))
