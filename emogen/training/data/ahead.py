"""What a step reads, prepared on the host while the device works on the step before."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from emogen.training.config import TrainingConfig
from emogen.training.data.batches import Batch, CachedClips
from emogen.training.families import Family
from emogen.training.objective import NoiseLevels, clip_noise, draw_step

Made = TypeVar("Made")


@dataclass(frozen=True)
class MicroStep:
    """One forward pass: its batch, its noise like `batch.latents`, its noise levels [B] and what the loss at each of
    them counts [B]."""

    batch: Batch
    noise: torch.Tensor
    sigma: torch.Tensor
    weight: torch.Tensor

    def pinned(self) -> MicroStep:
        """In memory from which a copy to a GPU needs no waiting."""
        others = (value.pin_memory() for value in (self.noise, self.sigma, self.weight))
        return MicroStep(self.batch.pinned(), *others)

    def to(self, device: torch.device) -> MicroStep:
        """On the device; copies of what is pinned are queued there, and nothing waits for them."""
        others = (value.to(device, non_blocking=True) for value in (self.noise, self.sigma, self.weight))
        return MicroStep(self.batch.to(device), *others)


@dataclass(frozen=True)
class StepData:
    """An optimizer step of one process.

    Attributes:
        clips: of the global batch; `rows` are this process's of them, in the order of `micro`.
        quantile: [global batch] of the noise levels, in (0, 1).
    """

    clips: list[int]
    rows: list[int]
    quantile: torch.Tensor
    micro: list[MicroStep]


def prepare_step(
    step: int, train: CachedClips, clips: list[int], rows: list[slice], config: TrainingConfig, family: Family
) -> StepData:
    """A function of its arguments alone, so that it does not matter when it is called.

    Args:
        clips: of the global batch.
        rows: this process's of them, a slice a micro-step.
    """
    seed, size = config.run.seed, len(clips)
    draw = draw_step(size, seed, step, config.objective)
    levels = NoiseLevels.of(config.objective, *train.sizes[clips[0]])
    expert = family.expert_of_step(step)
    quantile = levels.within(draw.quantile, expert.lowest, expert.highest)
    micro = []
    for own in rows:
        batch = train.batch(clips[own], draw.drop_text[own], draw.drop_emotion[own])
        batch.expert = expert.name
        if family.gives_first_frame and batch.latents.shape[2] > 1:
            batch.given = draw.give_frame[own]
        noise = clip_noise(batch.latents, seed, [step * size + row for row in range(own.start, own.stop)])
        sigma = levels.sigma(quantile[own])
        micro.append(MicroStep(batch, noise, sigma, levels.weight(sigma)))
    return StepData(clips, [row for own in rows for row in range(own.start, own.stop)], quantile, micro)


class Ahead(Generic[Made]):
    """A function of the step that is called one step ahead, in a thread; what it raises is raised where it is asked
    for.

    Args:
        make: the function; it runs in one thread at a time.
        device: the run's, on which the thread's copies to it shall be.
    """

    def __init__(self, make: Callable[[int], Made], device: torch.device):
        self._make, self._device = make, device
        self._thread: ThreadPoolExecutor | None = None
        self._next: tuple[int, Future[Made]] | None = None

    def __call__(self, step: int, last: bool = True) -> Made:
        """The value of a step; unless it is the `last`, that of the next begins to be made."""
        expected, future = self._next or (None, None)
        self._next = None
        value = future.result() if expected == step else self._make(step)
        if not last:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "next step", self._begin)
            self._next = step + 1, self._thread.submit(self._make, step + 1)
        return value

    def _begin(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)

    def close(self) -> None:
        """Let the thread end."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
        self._thread = self._next = None
