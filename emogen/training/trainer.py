"""The training loop."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from emogen.training.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from emogen.training.config import TrainingConfig
from emogen.training.dataset import CachedClips, ClipOrder
from emogen.training.model import WanEmotionModel
from emogen.training.objective import add_noise, clip_noise, draw_step, flow_loss
from emogen.training.optim import MovingAverage, make_optimizer, set_learning_rate
from emogen.training.validation import held_out_loss


class TrainingDiverged(RuntimeError):
    """A loss or gradient stopped being finite. Nothing was saved after it happened."""


class Trainer:
    """Trains a `WanEmotionModel` on cached clips.

    A step's data, noise, levels and dropouts are functions of the seed and the step, so stopping and resuming
    gives bit for bit the run that never stopped.

    Args:
        train: what to learn from.
        held_out: what to measure on, if anything.
        export: called with the step on the main process after every checkpoint, while the model holds the
            weights to export.
        resume: the checkpoint to continue from, if any.
        identity: what must not change between a run and its continuation (JSON); differences are reported.
    """

    def __init__(
        self,
        config: TrainingConfig,
        model: WanEmotionModel,
        train: CachedClips,
        held_out: CachedClips | None,
        accelerator: Accelerator,
        export: Callable[[int], None],
        resume: Path | None,
        identity: dict[str, Any],
    ):
        self.config, self.train, self.held_out = config, train, held_out
        self.accelerator, self.export, self.resume = accelerator, export, resume
        self.wrapped = accelerator.prepare(model)
        self.model = accelerator.unwrap_model(self.wrapped)
        self.parameters = self.model.trainable()
        self.optimizer = make_optimizer(self.model, config.optimizer)
        decay = config.run.ema_decay
        self.average = MovingAverage(self.parameters, decay) if decay else None
        self.order = ClipOrder([record.label for record in train.records], config.run.seed, config.data.balance)
        self.output = Path(config.run.output_dir)
        self.checkpoints = self.output / "checkpoints"
        self.global_batch = config.run.batch_size * config.run.accumulation * accelerator.num_processes
        self.identity = {**identity, "global_batch": self.global_batch, "steps": config.run.steps}
        self.step = 0

    def fit(self) -> None:
        """Run to `run.steps`, or to the end of the step in which SIGTERM or SIGINT arrives."""
        if self.resume is not None:
            self._resume(self.resume)
        config, steps = self.config, self.config.run.steps
        totals = {"loss": 0.0, "steps": 0, "seconds": 0.0}
        main = self.accelerator.is_main_process
        self.wrapped.train()
        with (
            _stop_signals() as stop,
            tqdm(
                total=steps,
                initial=self.step,
                desc="training",
                unit="step",
                disable=not main,
                dynamic_ncols=True,
            ) as bar,
        ):
            while self.step < steps:
                started = time.perf_counter()
                loss, norm = self._train_step()
                self.step += 1
                bar.update()
                totals["seconds"] += time.perf_counter() - started
                totals["loss"] += loss
                totals["steps"] += 1
                if stop["signal"]:
                    self.accelerator.set_trigger()
                stopping, done = self.accelerator.check_trigger(), self.step == steps
                if stopping or done or self.step % config.run.log_every == 0:
                    self._log_progress(totals, norm, bar)
                due = config.validation.every and (done or self.step % config.validation.every == 0)
                if due and self.held_out is not None and not stopping:
                    self._validate(bar)
                if stopping or done or self.step % config.checkpoint.every == 0:
                    self._save()
                if stopping and not done:
                    bar.write(f"stopped after step {self.step}; continue with --resume auto")
                    return

    def _train_step(self) -> tuple[float, float]:
        """One optimizer step. Returns the mean loss over all processes and the gradient's norm."""
        run, objective = self.config.run, self.config.objective
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        draw = draw_step(self.global_batch, run.seed, self.step, objective)
        set_learning_rate(self.optimizer, self.step, self.config)
        losses, names = [], []
        for micro in range(run.accumulation):
            start = (micro * world + rank) * run.batch_size
            mine = slice(start, start + run.batch_size)
            positions = [self.step * self.global_batch + row for row in range(mine.start, mine.stop)]
            indices = [self.order(position) for position in positions]
            batch = self.train.batch(indices, draw.drop_text[mine], draw.drop_emotion[mine])
            batch = batch.to(self.accelerator.device)
            sigma = draw.sigma[mine].to(self.accelerator.device)
            noise = clip_noise(batch.latents, run.seed, positions)
            last = micro == run.accumulation - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                prediction = self.wrapped(add_noise(batch.latents, noise, sigma), sigma, batch)
                loss = flow_loss(prediction, batch.latents, noise)
                self.accelerator.backward(loss.mean() / run.accumulation)
            losses.append(loss.detach())
            names.extend(batch.names)
        parameters = list(self.parameters.values())
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.optimizer.max_grad_norm)
        per_clip = torch.cat(losses)
        # gradients are summed over processes, so every process sees the same verdict
        if not torch.isfinite(norm):
            self._diverged(per_clip, names)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(self.step + 1)
        return self.accelerator.reduce(per_clip.mean(), "mean").item(), norm.item()

    def _diverged(self, per_clip: torch.Tensor, names: list[str]) -> None:
        finite = torch.isfinite(per_clip).tolist()
        bad = [name for name, good in zip(names, finite, strict=True) if not good]
        suspects = gather_object(bad) or gather_object(names)
        newest = list_checkpoints(self.checkpoints)
        raise TrainingDiverged(
            f"step {self.step + 1}: the {'loss' if bad else 'gradient'} is not finite; clips of the step: "
            f"{', '.join(suspects[:16])}. "
            + (f"The last good checkpoint is {newest[-1]}. " if newest else "There is no checkpoint yet. ")
            + "Look at these clips, lower optimizer.lora_lr / adapter_lr, or use run.mixed_precision: no"
        )

    def _log_progress(self, totals: dict[str, float], norm: float, bar: tqdm) -> None:
        rates = {f"lr_{group['name']}": group["lr"] for group in self.optimizer.param_groups}
        values = {
            "loss": totals["loss"] / totals["steps"],
            "grad_norm": norm,
            **rates,
            "seconds_per_step": totals["seconds"] / totals["steps"],
        }
        totals.update(loss=0.0, steps=0, seconds=0.0)
        pace = f"{values['seconds_per_step']:.2f} s/step"
        bar.set_postfix_str(f"loss {values['loss']:.4f}, lr {max(rates.values()):.1e}, {pace}")
        self._log(values)

    def _log(self, values: dict[str, float]) -> None:
        if self.accelerator.is_main_process:
            with (self.output / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": self.step, **values}) + "\n")
        self.accelerator.log(values, step=self.step)

    def _validate(self, bar: tqdm) -> None:
        with self.average.applied() if self.average is not None else contextlib.nullcontext():
            values = held_out_loss(self.model, self.held_out, self.config, self.accelerator)
        self._log(values)
        if self.accelerator.is_main_process:
            bar.write(
                f"step {self.step}: held-out loss {values['val/loss']:.4f}, "
                f"without the emotion {values['val/loss_neutral']:.4f}"
            )

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            save_checkpoint(
                self.checkpoints,
                self.step,
                self.parameters,
                self.optimizer,
                self.average.values if self.average is not None else None,
                {"identity": self.identity},
                self.config.checkpoint.keep,
            )
            with self.average.applied() if self.average is not None else contextlib.nullcontext():
                self.export(self.step)
        self.accelerator.wait_for_everyone()

    def _resume(self, path: Path) -> None:
        averaged = self.average.values if self.average is not None else None
        state = load_checkpoint(path, self.parameters, self.optimizer, averaged)
        self.step = state["step"]
        changed = [key for key, value in self.identity.items() if state["identity"].get(key) != value]
        if self.accelerator.is_main_process:
            print(f"resuming after step {self.step} from {path}")
            if changed:
                print(f"warning: {', '.join(changed)} changed, so this does not continue exactly that run")
            _forget_after(self.output / "log.jsonl", self.step)


def _forget_after(log: Path, step: int) -> None:
    """Drop the log lines of steps that will be run again."""
    if log.is_file():
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        log.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


@contextlib.contextmanager
def _stop_signals() -> Iterator[dict[str, int]]:
    """Note SIGTERM and SIGINT instead of dying of them; a second one acts as usual."""
    seen = {"signal": 0}
    previous: dict[int, Any] = {}

    def note(number: int, frame: Any) -> None:
        seen["signal"] = number
        signal.signal(number, previous[number])

    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            previous[number] = signal.signal(number, note)
    except ValueError:
        pass  # not in the main thread: signals cannot be caught there
    try:
        yield seen
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
