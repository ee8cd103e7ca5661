"""How the processes of a run come together, and how a mistake that one of them finds ends all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from emogen.processes import leave_at_exit
from emogen.training.config import ConfigError, RunConfig
from emogen.training.parallel.deepspeed import without_deepspeed

# What launchers tell a process of the number of them all: torchrun and accelerate, the MPIs, and srun by itself.
_WORLDS = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


class EndedElsewhereError(RuntimeError):
    """Another process of the run found what ends it, and says so."""


def open_accelerator(run: RunConfig) -> Accelerator:
    """accelerate's `Accelerator` for this process among those of torchrun or `accelerate launch`; on a machine
    without an accelerator they work together on the CPU.

    Raises:
        ConfigError: the launcher started other processes than accelerate sees, which would train apart.
    """
    with without_deepspeed():
        accelerator = Accelerator(
            mixed_precision=run.mixed_precision,
            log_with=run.report_to,
            project_dir=run.output_dir if run.report_to else None,
            cpu=run.cpu or not torch.accelerator.is_available(),
        )
    check_world(accelerator.num_processes)
    if accelerator.num_processes > 1:
        leave_at_exit()
    return accelerator


def check_world(processes: int) -> None:
    """See that the launcher started as many processes as accelerate has brought together.

    Raises:
        ConfigError: it did not.
    """
    name = next((name for name in _WORLDS if os.environ.get(name)), None)
    launched = int(os.environ[name]) if name is not None else 1
    if launched != processes:
        raise ConfigError(
            f"{launched} processes were started ({name}), but accelerate brings {processes} together: they would train "
            "apart, into one folder. Start them with torchrun or accelerate launch, one on each machine "
            "(examples/train_slurm.sh), or on the CPU with --cpu"
        )
    # `accelerate launch` starts one process, whatever number it is told, where it knows no accelerator; it then sets
    # the address at which the others would meet.
    alone = name is None and "MASTER_ADDR" in os.environ
    if alone and "ACCELERATE_MIXED_PRECISION" in os.environ:
        raise ConfigError(
            "accelerate launch was told to start several processes (MASTER_ADDR) and has started one, as it does on a "
            "machine without a GPU. Start them with torchrun --nproc_per_node N, or tell it --num_processes 1"
        )


def describe_world(accelerator: Accelerator) -> str:
    """How many processes there are, and where."""
    count, state = accelerator.num_processes, accelerator.state
    machines = -(-count // int(os.environ.get("LOCAL_WORLD_SIZE", count)))
    where = f" on {machines} machines" if machines > 1 else ""
    together = f", together through {state.backend}" if count > 1 else ""
    return f"{count} process{'es' * (count > 1)}{where}, device {accelerator.device.type}{together}"


@contextmanager
def main_first(accelerator: Accelerator) -> Iterator[None]:
    """The main process runs the block, then the others do: they find files drawn and models downloaded. All leave it,
    or none does. All processes must enter it.

    Raises:
        EndedElsewhereError: another process raised an error in it.
    """
    main = accelerator.is_main_process
    if not main:
        told: list[str | None] = [None]
        broadcast_object_list(told)
        if told[0] is not None:
            raise EndedElsewhereError(told[0])
    error: Exception | None = None
    try:
        yield
    except Exception as raised:
        error = raised
    if main:
        broadcast_object_list([None if error is None else str(error)])
    if error is None or not main:
        ends = [end for end in gather_object([None if error is None else str(error)]) if end is not None]
        if error is None and ends:
            raise EndedElsewhereError(ends[0])
    if error is not None:
        raise error
