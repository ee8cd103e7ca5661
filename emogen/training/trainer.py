"""The training loop."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from emogen.training.config import TrainingConfig
from emogen.training.data.ahead import Ahead, StepData, prepare_step
from emogen.training.data.batches import CachedClips
from emogen.training.data.order import BatchOrder
from emogen.training.families import EmotionModel
from emogen.training.life import checkpoint as checkpoints
from emogen.training.life.log import RunLog
from emogen.training.life.optimizer_state import whole
from emogen.training.life.resume import random_state, resume_run
from emogen.training.life.signals import stop_signals
from emogen.training.objective import LossMeter, add_noise, flow_loss, predicted_clean
from emogen.training.optim import MovingAverage, Stepper, learning, make_optimizer, set_learning_rate
from emogen.training.parallel.sharing import Sharing
from emogen.training.probe import LatentProbe, probe_loss
from emogen.training.validation import held_out_loss

_PROBED = 5  # steps whose time tells the run's


class TrainingDiverged(RuntimeError):
    """A loss or gradient stopped being finite. Nothing was saved after it happened."""


class ExportError(RuntimeError):
    """The checkpoint is written, but what is made of it cannot be."""


class PreviewError(RuntimeError):
    """Sampling in between failed in a run of several processes, which cannot go on apart; it was saved before."""


def _no_export(step: int, weights: Mapping[str, torch.Tensor]) -> None:
    """Leave the weights in the checkpoints."""


@dataclass(kw_only=True)
class Task:
    """What a trainer works on.

    Attributes:
        train: what to learn from, and `order`, in which order.
        held_out: what to measure on, if anything.
        sharing: which clips are this process's; None: those of its rank.
        probe: a frozen reader of latents, for the auxiliary loss (`objective.probe_weight`).
        stepper: makes what sums, clips and applies gradients.
        resume: the checkpoint to continue from, if any.
        identity: what must not change between a run and its continuation (JSON); differences are reported.
        export: called on the main process after every checkpoint with the step and the weights to export (the
            moving average if there is one), by the names of `EmotionModel.trainable`, on the CPU.
        preview: called with the step when samples are due; returns what to log.
        pace: given the seconds of the first steps, says what the run will take.
    """

    train: CachedClips
    order: BatchOrder
    held_out: CachedClips | None = None
    sharing: Sharing | None = None
    probe: LatentProbe | None = None
    stepper: Callable[..., Stepper] = Stepper
    resume: Path | None = None
    identity: dict[str, Any] = field(default_factory=dict)
    export: Callable[[int, dict[str, torch.Tensor]], None] = _no_export
    preview: Callable[[int], dict[str, float]] | None = None
    pace: Callable[[list[float]], str] | None = None


class Trainer:
    """Trains an `EmotionModel` on cached clips.

    A step's clips, noise, levels and dropouts are functions of the seed and the step, so stopping and resuming
    gives bit for bit the run that never stopped.
    """

    def __init__(self, config: TrainingConfig, model: EmotionModel, accelerator: Accelerator, task: Task):
        self.config, self.task, self.accelerator, self.train = config, task, accelerator, task.train
        optimizer = make_optimizer(model.parameter_groups(), config.optimizer)
        self.stepper = task.stepper(accelerator, model, optimizer, config.optimizer.max_grad_norm)
        self.wrapped, self.optimizer = self.stepper.wrapped, self.stepper.optimizer
        self.model, self.parameters = self.stepper.model, self.stepper.parameters
        run = config.run
        self.average = MovingAverage(self.parameters, run.ema_decay) if run.ema_decay else None
        self.output = Path(run.output_dir)
        self.log_file = RunLog(self.output / "log.jsonl")
        self.sharing = task.sharing or Sharing.of(accelerator)
        self.rows = self.sharing.rows(run.train_batch_size, run.gradient_accumulation_steps)
        self.global_batch = run.train_batch_size * run.gradient_accumulation_steps * self.sharing.groups
        self.loss_factor = self.sharing.loss_factor
        self.meter = LossMeter(sorted(set(self.train.labels)), accelerator)
        self.identity = {**task.identity, "global_batch": self.global_batch, "steps": run.max_train_steps,
                         "ema_decay": run.ema_decay}  # fmt: skip
        self.probe = task.probe.to(accelerator.device) if task.probe is not None else None
        self.ahead = Ahead(self._prepare, accelerator.device)
        self.branch: list[Any] = []
        self.step = 0
        self.stop: Mapping[str, int] = {"signal": 0}
        self.stopping = False

    def fit(self) -> None:
        """Run to `max_train_steps`, or to the end of the step in which SIGTERM or SIGINT arrives."""
        main, config, steps = self.accelerator.is_main_process, self.config, self.config.run.max_train_steps
        if self.task.resume is not None:
            resume_run(self, self.task.resume)
        if main:
            self.log_file.begin(self.step, self.accelerator.print)
        if self.step >= steps:
            self.accelerator.print(f"already trained for {self.step} steps of {steps}; exporting once more")
            self._export(None)
            return
        self.wrapped.train()
        learning(self.stepper.bare, True)
        seconds, since = 0.0, 0
        first: list[float] = []
        with (
            contextlib.closing(self.ahead),
            stop_signals() as self.stop,
            tqdm(total=steps, initial=self.step, desc="training", unit="step", disable=not main,
                 dynamic_ncols=True) as bar,
        ):  # fmt: skip
            while self.step < steps:
                started = time.perf_counter()
                norm = self.train_step()
                bar.update()
                took = time.perf_counter() - started
                seconds, since = seconds + took, since + 1
                first.append(took)
                if len(first) == _PROBED and self.task.pace is not None and main:
                    bar.write(self.task.pace(first))
                # one process alone has nobody to ask
                alone = self.accelerator.num_processes == 1
                stopping, done = bool(self.stop["signal"]) if alone else self.stopping, self.step == steps
                if stopping or done or self.step % config.run.logging_steps == 0:
                    self._log_progress(norm, seconds / since, bar)
                    seconds, since = 0.0, 0
                if not stopping and self._due(config.validation.validation_steps, done):
                    self._validate(bar)
                preview = self.task.preview is not None and self._due(config.validation.preview_steps, done)
                saving = stopping or done or self.step % config.checkpoint.checkpointing_steps == 0
                # processes that sample together end together, and then nothing must be lost
                if saving or (preview and self.accelerator.num_processes > 1 and not stopping):
                    self.save()
                if preview and not stopping:
                    self._preview(bar)
                if stopping and not done:
                    bar.write(f"stopped after step {self.step}; continue with --resume_from_checkpoint latest")
                    return

    def train_step(self) -> float:
        """One optimizer step. Returns the gradient's norm before clipping.

        Raises:
            TrainingDiverged: the loss or the gradient is not finite; the weights are as before the step.
        """
        config, device, last = self.config, self.accelerator.device, self.step + 1 >= self.config.run.max_train_steps
        data = self.ahead(self.step, last)
        set_learning_rate(self.optimizer, self.step, config.run.max_train_steps, config.optimizer)
        losses = []
        for number, micro in enumerate(data.micro, 1):
            micro = micro.to(device)
            batch, sigma = micro.batch, micro.sigma
            with self.stepper.accumulating(last=number == len(data.micro)):
                noisy = add_noise(batch.latents, micro.noise, sigma)
                prediction = self.wrapped(noisy, sigma, batch)
                loss = flow_loss(prediction, batch.latents, micro.noise, batch.given)
                weighted = (loss * micro.weight).mean()
                if self.probe is not None:
                    clean = predicted_clean(noisy, prediction, sigma)
                    clean = clean if batch.given is None else batch.with_given_frame(clean)
                    read = probe_loss(self.probe, clean, batch.emotion, sigma)
                    weighted = weighted + config.objective.probe_weight * read.mean()
                self.stepper.backward(self.loss_factor * weighted / len(data.micro))
            losses.append(loss.detach())
        norm, total, per_clip = self._read_step(self.stepper.clip(), torch.cat(losses))
        mine = [data.clips[row] for row in data.rows]
        self._check_finite(norm, total, per_clip, mine)
        self.stepper.step()
        self.step += 1
        if self.average is not None:
            self.average.update(self.step)
        self.meter.add(per_clip, [self.train.labels[index] for index in mine], data.quantile[data.rows])
        return norm

    def _prepare(self, step: int) -> StepData:
        """What a step reads; for a GPU in memory that it copies from without being waited for."""
        data = prepare_step(step, self.train, self.task.order(step), self.rows, self.config, self.model.family)
        if self.accelerator.device.type != "cuda":
            return data
        return replace(data, micro=[micro.pinned() for micro in data.micro])

    def _read_step(self, norm: torch.Tensor, losses: torch.Tensor) -> tuple[float, float, list[float]]:
        """Everything that the host wants to know of a step, in the one moment in which it waits for the device: the
        gradient's norm, the sum of the losses over all processes, and this process's losses. Notes whether any process
        was told to stop."""
        if self.accelerator.num_processes == 1:
            norm, *per_clip = torch.cat([norm.detach().double().view(1), losses.double()]).tolist()
            return norm, sum(per_clip), per_clip
        told = torch.full((1,), float(bool(self.stop["signal"])), device=losses.device)
        shared = self.accelerator.reduce(torch.cat([losses.float().sum().view(1), told]), "sum")
        norm, total, told, *per_clip = torch.cat(
            [norm.detach().double().view(1), shared.double(), losses.double()]
        ).tolist()
        self.stopping = told > 0
        return norm, total, per_clip

    def _check_finite(self, norm: float, total: float, per_clip: list[float], clips: list[int]) -> None:
        """Gradients and the `total` of the losses are summed over processes, so every process comes to the same
        verdict."""
        # with a gradient scaler (fp16) an infinite gradient is routine: the scaler skips the step and scales down
        if math.isfinite(norm if self.accelerator.scaler is None else total):
            return
        names = [self.train.records[index].file_name for index in clips]
        bad = [name for name, loss in zip(names, per_clip, strict=True) if not math.isfinite(loss)]
        suspects = gather_object(bad) or gather_object(names)
        norms = {name: value.grad.norm().item() for name, value in self.parameters.items() if value.grad is not None}
        worst = [name for name, value in norms.items() if not math.isfinite(value)]
        newest = checkpoints.list_checkpoints(self.output)
        raise TrainingDiverged(
            f"step {self.step + 1}: the {'loss' if bad else 'gradient'} is not finite; clips of the step: "
            f"{', '.join(suspects[:16])}; gradient norm {norm:g}"
            + (f", not finite in {len(worst)} of {len(norms)} parameters, first {worst[0]}. " if worst else ". ")
            + (f"The last good checkpoint is {newest[-1].path}. " if newest else "There is no checkpoint yet. ")
            + "Look at these clips, lower learning_rate and adapter_learning_rate, or use mixed_precision: no"
        )

    def _log_progress(self, norm: float, pace: float, bar: tqdm) -> None:
        rates = {f"lr_{group['name']}": group["lr"] for group in self.optimizer.param_groups}
        values = {**self.meter.read(), "grad_norm": norm, **rates, "seconds_per_step": pace}
        bar.set_postfix_str(f"loss {values['loss']:.4f}, lr {max(rates.values()):.1e}, {pace:.2f} s/step")
        self.log(values)

    def log(self, values: dict[str, float]) -> None:
        """One line of `log.jsonl`, and the trackers."""
        if self.accelerator.is_main_process:
            self.log_file.write(self.step, values)
        self.accelerator.log(values, step=self.step)

    def _due(self, every: int, done: bool) -> bool:
        return every > 0 and (done or self.step % every == 0)

    def _validate(self, bar: tqdm) -> None:
        if self.task.held_out is None:
            return
        with self._evaluated():
            values = held_out_loss(self.model, self.task.held_out, self.config, self.accelerator, self.sharing)
        self.log(values)
        if self.accelerator.is_main_process:
            bar.write(
                f"step {self.step}: held-out loss {values['val/loss']:.4f}, without the emotion "
                f"{values['val/loss_neutral']:.4f}, with another clip's {values['val/loss_swapped']:.4f}"
            )

    def _preview(self, bar: tqdm) -> None:
        """Samples are there to be looked at; a run is not given up for them."""
        try:
            with self._evaluated():
                values = self.task.preview(self.step)
        except Exception as error:  # whatever a pipeline, a judge or a disk raises
            what = f"step {self.step}: the preview failed: {type(error).__name__}: {error}"
            if self.accelerator.num_processes > 1:
                raise PreviewError(f"{what}; the run is saved: continue it with --preview_steps 0") from error
            bar.write(f"warning: {what}; training goes on")
            return
        self.log(values)
        if "val/EA-8" in values:
            bar.write(f"step {self.step}: the judge agrees on {values['val/EA-8']:.0%} of the samples")

    def _evaluated(self) -> contextlib.AbstractContextManager[None]:
        return self.average.applied() if self.average is not None else self.stepper.evaluating()

    def save(self) -> None:
        """A checkpoint, and the export. All processes must call it."""
        tensors, state = self.stepper.state()
        files = {"trained": whole(self.parameters), "optimizer": tensors}
        if self.average is not None:
            files["ema"] = whole(self.average.values)
        random = gather_object([random_state(self.accelerator.device)])
        files["random"] = {f"{rank}.{k}": v for rank, one in enumerate(random) for k, v in one.items()}
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            state |= {"identity": self.identity, "scaler": scaler.state_dict() if scaler is not None else None}
            made = checkpoints.write_checkpoint(self.output, self.step, files, state, self.branch)
            self.branch = [*self.branch, made.key]
            checkpoints.keep_newest(self.output, self.branch, self.config.checkpoint.checkpoints_total_limit)
        self._export(files.get("ema"))

    def _export(self, weights: dict[str, torch.Tensor] | None) -> None:
        """Export weights on the CPU; None takes those to evaluate. All processes must call it."""
        with self._evaluated() if weights is None else contextlib.nullcontext():
            weights = whole(self.parameters) if weights is None else weights
            if self.accelerator.is_main_process:
                try:
                    self.task.export(self.step, weights)
                except OSError as error:
                    raise ExportError(
                        f"{self.output}: the export of step {self.step} cannot be written: {error}. Its checkpoint is "
                        "whole: make room and export it with --resume_from_checkpoint latest"
                    ) from error
        self.accelerator.wait_for_everyone()
