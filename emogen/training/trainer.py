"""The training loop."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from emogen.training.config import TrainingConfig
from emogen.training.data.dataset import CachedClips
from emogen.training.data.order import BatchOrder
from emogen.training.levels import NoiseLevels
from emogen.training.life import checkpoint as checkpoints
from emogen.training.life.average import MovingAverage
from emogen.training.life.signals import stop_signals
from emogen.training.meter import LossMeter
from emogen.training.model import WanEmotionModel
from emogen.training.objective import add_noise, clip_noise, draw_step, flow_loss, predicted_clean
from emogen.training.optim import make_optimizer, set_learning_rate
from emogen.training.parallel.sharing import Sharing
from emogen.training.parallel.stepper import Stepper
from emogen.training.probe import LatentProbe, probe_loss
from emogen.training.validation import held_out_loss

_PROBED = 5  # steps whose time tells the run's


class TrainingDiverged(RuntimeError):
    """A loss or gradient stopped being finite. Nothing was saved after it happened."""


class Trainer:
    """Trains a `WanEmotionModel` on cached clips.

    A step's clips, noise, levels and dropouts are functions of the seed and the step, so stopping and resuming
    gives bit for bit the run that never stopped.

    Args:
        train: what to learn from, and `order`, in which order.
        held_out: what to measure on, if anything.
        export: called on the main process after every checkpoint with the step and the weights to export (the
            moving average if there is one), by the names of `WanEmotionModel.trainable`, on the CPU.
        preview: called with the step when samples are due; returns what to log.
        resume: the checkpoint to continue from, if any.
        identity: what must not change between a run and its continuation (JSON); differences are reported.
        probe: a frozen reader of latents, for the auxiliary loss (`objective.probe_weight`).
        pace: given the seconds of the first steps, says what the run will take.
        stepper: sums, clips and applies gradients.
        sharing: which part of a batch is this process's; by default every process has its own.
    """

    def __init__(
        self,
        config: TrainingConfig,
        model: WanEmotionModel,
        train: CachedClips,
        held_out: CachedClips | None,
        order: BatchOrder,
        accelerator: Accelerator,
        export: Callable[[int, dict[str, torch.Tensor]], None],
        preview: Callable[[int], dict[str, float]] | None = None,
        resume: Path | None = None,
        identity: dict[str, Any] | None = None,
        probe: LatentProbe | None = None,
        pace: Callable[[list[float]], str] | None = None,
        stepper: Callable[..., Stepper] = Stepper,
        sharing: Sharing | None = None,
    ):
        self.config, self.train, self.held_out, self.order = config, train, held_out, order
        self.accelerator, self.export, self.preview, self.resume = accelerator, export, preview, resume
        optimizer = make_optimizer(model, config.optimizer)
        self.stepper = stepper(accelerator, model, optimizer, config.optimizer.max_grad_norm)
        self.wrapped, self.optimizer = self.stepper.wrapped, self.stepper.optimizer
        self.model, self.parameters = self.stepper.model, self.stepper.parameters
        decay = config.run.ema_decay
        self.average = MovingAverage(self.parameters, decay) if decay else None
        self.output = Path(config.run.output_dir)
        run = config.run
        self.sharing = sharing or Sharing.of(accelerator)
        self.global_batch = run.train_batch_size * run.gradient_accumulation_steps * self.sharing.groups
        self.meter = LossMeter(sorted({record.label for record in train.records}), accelerator)
        self.identity = {**(identity or {}), "global_batch": self.global_batch, "steps": run.max_train_steps}
        self.pace = pace
        self.probe = probe.to(accelerator.device) if probe is not None else None
        self.step = 0

    def fit(self) -> None:
        """Run to `max_train_steps`, or to the end of the step in which SIGTERM or SIGINT arrives."""
        if self.resume is not None:
            self._resume(self.resume)
        config, steps = self.config, self.config.run.max_train_steps
        main = self.accelerator.is_main_process
        self.wrapped.train()
        seconds, since = 0.0, 0
        first: list[float] = []
        with (
            stop_signals() as stop,
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
                if len(first) == _PROBED and self.pace is not None and main:
                    bar.write(self.pace(first))
                if stop["signal"]:
                    self.accelerator.set_trigger()
                stopping, done = self.accelerator.check_trigger(), self.step == steps
                if stopping or done or self.step % config.run.logging_steps == 0:
                    self._log_progress(norm, seconds / since, bar)
                    seconds, since = 0.0, 0
                if not stopping:
                    self._validate(done, bar)
                if stopping or done or self.step % config.checkpoint.checkpointing_steps == 0:
                    self.save()
                if stopping and not done:
                    bar.write(f"stopped after step {self.step}; continue with --resume_from_checkpoint latest")
                    return

    def train_step(self) -> float:
        """One optimizer step. Returns the gradient's norm before clipping.

        Raises:
            TrainingDiverged: the loss or the gradient is not finite; the weights are as before the step.
        """
        run, config = self.config.run, self.config
        sharing = self.sharing
        draw = draw_step(self.global_batch, run.seed, self.step, config.objective)
        set_learning_rate(self.optimizer, self.step, run.max_train_steps, config.optimizer)
        chosen = self.order(self.step)
        bucket = self.train.clips[chosen[0]].bucket
        levels = NoiseLevels.of(config.objective, bucket.height, bucket.width)
        losses, names = [], []
        for micro in range(run.gradient_accumulation_steps):
            start = (micro * sharing.groups + sharing.group) * run.train_batch_size
            mine = slice(start, start + run.train_batch_size)
            batch = self.train.batch(chosen[mine], draw.drop_text[mine], draw.drop_emotion[mine])
            batch = batch.to(self.accelerator.device)
            sigma = levels.sigma(draw.quantile[mine]).to(self.accelerator.device)
            positions = [self.step * self.global_batch + row for row in range(mine.start, mine.stop)]
            noise = clip_noise(batch.latents, run.seed, positions)
            last = micro == run.gradient_accumulation_steps - 1
            with self.stepper.accumulating(last):
                noisy = add_noise(batch.latents, noise, sigma)
                prediction = self.wrapped(noisy, sigma, batch)
                loss = flow_loss(prediction, batch.latents, noise)
                weighted = (loss * levels.weight(sigma)).mean()
                if self.probe is not None:
                    clean = predicted_clean(noisy, prediction, sigma)
                    read = probe_loss(self.probe, clean, batch.emotion, sigma)
                    weighted = weighted + config.objective.probe_weight * read.mean()
                self.stepper.backward(sharing.loss_factor * weighted / run.gradient_accumulation_steps)
            losses.append(loss.detach())
            names.extend(batch.names)
            self.meter.add(loss, [self.train.records[index].label for index in chosen[mine]], draw.quantile[mine])
        norm = self.stepper.clip()
        per_clip = torch.cat(losses)
        self._check_finite(norm, per_clip, names)
        self.stepper.step()
        self.step += 1
        if self.average is not None:
            self.average.update(self.step)
        return norm

    def _check_finite(self, norm: float, per_clip: torch.Tensor, names: list[str]) -> None:
        """Gradients are summed over processes, so every process comes to the same verdict."""
        # with a gradient scaler (fp16) an infinite gradient is routine: the scaler skips the step and scales down
        scaled = self.accelerator.scaler is not None
        verdict = self.accelerator.reduce(per_clip.sum(), "sum").item() if scaled else norm
        if math.isfinite(verdict):
            return
        finite = torch.isfinite(per_clip).tolist()
        bad = [name for name, good in zip(names, finite, strict=True) if not good]
        suspects = gather_object(bad) or gather_object(names)
        norms = {name: value.grad.norm().item() for name, value in self.parameters.items() if value.grad is not None}
        worst = [name for name, value in norms.items() if not math.isfinite(value)]
        newest = checkpoints.list_checkpoints(self.output)
        raise TrainingDiverged(
            f"step {self.step + 1}: the {'loss' if bad else 'gradient'} is not finite; clips of the step: "
            f"{', '.join(suspects[:16])}; gradient norm {norm:g}"
            + (f", not finite in {len(worst)} of {len(norms)} parameters, first {worst[0]}. " if worst else ". ")
            + (f"The last good checkpoint is {newest[-1]}. " if newest else "There is no checkpoint yet. ")
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
            with (self.output / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": self.step, **values}) + "\n")
        self.accelerator.log(values, step=self.step)

    def _validate(self, done: bool, bar: tqdm) -> None:
        settings = self.config.validation

        def due(every: int) -> bool:
            return every > 0 and (done or self.step % every == 0)

        with self._averaged():
            if due(settings.validation_steps) and self.held_out is not None:
                values = held_out_loss(self.model, self.held_out, self.config, self.accelerator, self.sharing)
                self.log(values)
                if self.accelerator.is_main_process:
                    bar.write(
                        f"step {self.step}: held-out loss {values['val/loss']:.4f}, without the emotion "
                        f"{values['val/loss_neutral']:.4f}, with another clip's {values['val/loss_swapped']:.4f}"
                    )
            if due(settings.preview_steps) and self.preview is not None:
                values = self.preview(self.step)
                self.log(values)
                if "val/EA-8" in values:
                    bar.write(f"step {self.step}: the judge agrees on {values['val/EA-8']:.0%} of the samples")

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        return self.average.applied() if self.average is not None else contextlib.nullcontext()

    def save(self) -> None:
        """A checkpoint, and the export. All processes must call it."""
        tensors, state = self.stepper.state()
        files = {"trained": checkpoints.whole(self.parameters), "optimizer": tensors}
        if self.average is not None:
            files["ema"] = checkpoints.whole(self.average.values)
        random = gather_object([_random_state(self.accelerator.device)])
        files["random"] = {f"{rank}.{k}": v for rank, one in enumerate(random) for k, v in one.items()}
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            state |= {"identity": self.identity, "scaler": scaler.state_dict() if scaler is not None else None}
            limit = self.config.checkpoint.checkpoints_total_limit
            checkpoints.write_checkpoint(self.output, self.step, files, state, limit)
        if self.accelerator.is_main_process:
            self.export(self.step, files.get("ema", files["trained"]))
        self.accelerator.wait_for_everyone()

    def _resume(self, path: Path) -> None:
        state = checkpoints.read_state(path)
        checkpoints.restore(path / "trained.safetensors", self.parameters)
        if self.average is not None:
            checkpoints.restore(path / "ema.safetensors", self.average.values)
        self.stepper.restore(path, state)
        if state["scaler"] is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        _restore_random_state(path / "random.safetensors", self.accelerator.process_index, self.accelerator.device)
        self.step = state["step"]
        changed = [key for key, value in self.identity.items() if state["identity"].get(key) != value]
        if self.accelerator.is_main_process:
            print(f"resuming after step {self.step} from {path}")
            if changed:
                print(f"warning: {', '.join(changed)} changed, so this does not continue exactly that run")
            _forget_after(self.output / "log.jsonl", self.step)


def _random_state(device: torch.device) -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _restore_random_state(file: Path, rank: int, device: torch.device) -> None:
    """Training draws from generators of its own; this is for what an optimizer or a kernel may draw."""
    from safetensors.torch import load_file

    stored = load_file(file)
    if f"{rank}.cpu" in stored:
        torch.set_rng_state(stored[f"{rank}.cpu"])
    if device.type == "cuda" and f"{rank}.cuda" in stored:
        torch.cuda.set_rng_state(stored[f"{rank}.cuda"], device)


def _forget_after(log: Path, step: int) -> None:
    """Drop the log lines of steps that will be run again."""
    if log.is_file():
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        log.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
