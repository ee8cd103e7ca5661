"""Give way to everything else on the machine: for runs of many hours in the background of other work."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def give_way() -> list[str]:
    """Lower this process as far as the system permits; says what worked.

    Where the kernel groups processes by session, a niceness counts only within the group, so that the group is lowered
    too, and with it everything else in the same session: start long runs with `setsid`. The idle class runs only when
    nothing else wants the core.
    """
    worked = []
    with contextlib.suppress(OSError):
        os.nice(19 - os.nice(0))
        worked.append("nice 19")
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        worked.append("SCHED_IDLE")
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("19")
        worked.append("autogroup 19")
    return worked
