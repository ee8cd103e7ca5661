"""A training run under torchrun, for tests: `torchrun ranked_run.py CONFIG.json [fsdp2] [ulysses]`."""

import faulthandler
import json
import os
import sys

import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.utils import DistributedType

from emogen.training.config import config_from_dict
from emogen.training.run import run


def shard_on_cpu() -> None:
    """Let accelerate's own FSDP2 preparation run without GPUs, which its launcher refuses."""
    begin = Accelerator.__init__

    def begin_sharded(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        self.state.distributed_type = DistributedType.FSDP
        self.state.fsdp_plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2,
            auto_wrap_policy="transformer_based_wrap",
            transformer_cls_names_to_wrap=["WanTransformerBlock"],
            cpu_ram_efficient_loading=False,
            state_dict_type="FULL_STATE_DICT",
        )

    Accelerator.__init__ = begin_sharded


if __name__ == "__main__":
    faulthandler.dump_traceback_later(400, exit=True)  # processes that wait for each other for ever say where
    torch.set_num_threads(1)
    if "fsdp2" in sys.argv:
        shard_on_cpu()
    if "ulysses" in sys.argv:  # diffusers asks for an accelerator a process
        torch.accelerator.device_count = lambda: 2
    with open(sys.argv[1]) as file:
        run(config_from_dict(json.load(file)))
    # PyTorch's caches of DTensor layouts keep the process group alive, and a thread of gloo's that lets go of a tensor
    # while the interpreter is taken down aborts the process ("terminate called without an active exception").
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
