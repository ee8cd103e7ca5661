"""How a process that worked with others on the CPU comes to its end."""

from __future__ import annotations

import atexit
import gc


def leave_at_exit() -> None:
    """At the exit, leave the group that this process is in, if it is one of gloo's, and end the group's threads.

    A model that is wrapped to share gradients holds the group in a circle of references, so that gloo's threads live on
    after `destroy_process_group`. One that lets go of a tensor while Python is taken down ends the process with
    "terminate called without an active exception", and the launcher calls the run failed after all its work is done.
    """
    atexit.unregister(_leave)
    atexit.register(_leave)


def _leave() -> None:
    from torch import distributed

    if distributed.is_initialized():
        if "gloo" not in distributed.get_backend():
            return
        distributed.destroy_process_group()
    gc.unfreeze()
    gc.collect()
