"""Context parallelism: how the processes of a run divide the clips, and a clip's tokens, among themselves.

With `run.ulysses: N` every N processes that follow each other train on the same clips, each on its part of their
tokens, and exchange tokens for heads around every attention (Ulysses; Jacobs et al., "DeepSpeed Ulysses", 2023), as
diffusers does it. A process then has the gradient of its own tokens, so the N gradients are to be summed, where those
of processes with clips of their own are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from accelerate import Accelerator
from diffusers import ContextParallelConfig, ModelMixin
from torch.distributed.device_mesh import init_device_mesh

from emogen.training.config import ConfigError
from emogen.training.data.plan import Plan


@dataclass(frozen=True)
class Sharing:
    """Who trains on what.

    Attributes:
        processes, rank: of all.
        ulysses: how many of them share a clip.
    """

    processes: int = 1
    rank: int = 0
    ulysses: int = 1

    @classmethod
    def of(cls, accelerator: Accelerator, ulysses: int = 1) -> Sharing:
        return cls(accelerator.num_processes, accelerator.process_index, ulysses)

    @property
    def groups(self) -> int:
        """Into how many parts the clips of a micro-step are divided."""
        return self.processes // self.ulysses

    @property
    def group(self) -> int:
        """Which of them is this process's."""
        return self.rank // self.ulysses

    def rows(self, batch: int, micro_steps: int) -> list[slice]:
        """The rows of a step's global batch that are this process's, a slice a micro-step.

        Args:
            batch: clips a process (or group) and micro-step.
        """
        starts = [(micro * self.groups + self.group) * batch for micro in range(micro_steps)]
        return [slice(start, start + batch) for start in starts]

    @property
    def loss_factor(self) -> int:
        """What the loss is multiplied by, because gradients are averaged over all processes."""
        return self.ulysses


def check_sharing(plan: Plan, processes: int | None = None) -> None:
    """See, before anything is encoded, that the run can be shared as configured.

    Args:
        processes: how many there are; None leaves this machine out of it (a dry run), and looks at model and clips.

    Raises:
        ConfigError: it cannot.
    """
    model, degree = plan.config.model, plan.config.run.ulysses
    if degree == 1:
        return

    def refuse(wrong: bool, message: str) -> None:
        if wrong:
            raise ConfigError(f"run.ulysses: {degree}: {message}")

    if processes is not None:
        refuse(
            torch.accelerator.device_count() == 0,
            "needs an accelerator for every process; diffusers shares no clip among CPUs",
        )
        refuse(
            processes % degree != 0,
            f"{processes} process{'es' * (processes > 1)} cannot be divided into groups of {degree}; "
            f"`accelerate launch --num_processes {degree * max(1, processes // degree)}`",
        )
    refuse(model.compile, "model.compile has not been shown to give the right gradients with it")
    refuse(
        model.base_storage != "same",
        f"model.base_storage: {model.base_storage} has not been shown to give the right gradients with it; use same",
    )
    heads = plan.family.heads
    divisors = ", ".join(str(n) for n in range(2, heads + 1) if heads % n == 0)
    refuse(heads % degree != 0, f"does not divide the model's {heads} heads; use {divisors}")
    for bucket in sorted({clip.bucket for clip in plan.clips}):
        tokens = plan.family.tokens(bucket.num_frames, bucket.height, bucket.width)
        refuse(tokens % degree != 0, f"does not divide the {tokens:,} tokens of clips of {bucket}; choose another size")
    arcs = [clip.record.file_name for clip in plan.clips if clip.record.arc is not None]
    refuse(
        bool(arcs),
        f"clips whose emotion changes over time ({len(arcs)}, such as {''.join(arcs[:1])}) cannot be "
        "shared; a process's part of the tokens is not whole frames",
    )


def share_clips(transformer: ModelMixin, sharing: Sharing, device: torch.device) -> None:
    """diffusers' context parallelism on a transformer whose LoRA and adapter are there. All processes must call it.

    Raises:
        ConfigError: its attention backend cannot be shared.
    """
    if sharing.ulysses == 1:
        return
    shape, names = (sharing.groups, 1, sharing.ulysses), ("replica", "ring", "ulysses")
    mesh = init_device_mesh(device.type, shape, mesh_dim_names=names)
    try:
        transformer.enable_parallelism(config=ContextParallelConfig(ulysses_degree=sharing.ulysses, mesh=mesh))
    except ValueError as error:
        raise ConfigError(f"run.ulysses: {sharing.ulysses}: model.attention_backend: {error}") from error
