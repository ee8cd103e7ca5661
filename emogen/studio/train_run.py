"""A training as the Train tab sees it: the words that start it, and what its output folder says of it so far."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import emogen
from emogen.emotion import MIKELS, NEUTRAL
from emogen.studio.charts import Line, lines_svg, thinned
from emogen.studio.colours import COLOURS
from emogen.studio.emotion_input import number_or_none
from emogen.text_files import TextError, read_text

_PREVIEWS = 6
"""Grids that are shown, the newest."""
_LEAST_SECONDS = 60.0


@dataclass(frozen=True)
class TrainRequest:
    """What to train.

    Attributes:
        config: a YAML file.
        data: `--dataset_name`; "" is the configuration's own.
        output_dir: where the run goes.
        steps: `--max_train_steps`; "" is the configuration's own.
        more: further flags as on the command line.
    """

    config: str
    output_dir: str
    data: str = ""
    steps: str = ""
    more: str = ""

    def words(self, *, dry_run: bool = False, resume: bool = False) -> list[str]:
        """The command of emogen that does it.

        Raises:
            ValueError: a field that is empty or cannot be read.
        """
        if not self.config.strip():
            raise ValueError("choose a configuration")
        if not Path(self.config).is_file():
            raise ValueError(f"no configuration {self.config}")
        if not self.output_dir.strip():
            raise ValueError("say where the run goes")
        try:
            more = shlex.split(self.more or "")
        except ValueError as error:
            raise ValueError(f"more options: {error}; close the quotation") from error
        words = ["train", "--config", self.config, "--output_dir", self.output_dir.strip()]
        words += ["--dataset_name", self.data.strip()] if self.data and self.data.strip() else []
        steps = number_or_none(self.steps, "steps", whole=True)
        words += ["--max_train_steps", str(steps)] if steps is not None else []
        words += ["--resume_from_checkpoint", "latest"] if resume else []
        return [*words, *more, *(["--dry_run"] if dry_run else [])]


def configurations() -> list[str]:
    """The training configurations of this checkout, or of the folder that the studio was started in."""
    found: dict[Path, str] = {}
    for home in (Path.cwd(), Path(emogen.__file__).parents[1]):
        for path in sorted((home / "configs").glob("*.yaml")):
            found.setdefault(path.resolve(), str(path.relative_to(home)) if home == Path.cwd() else str(path))
    return list(found.values())


@dataclass(frozen=True)
class Progress:
    """How far a run is, as its output folder tells.

    Attributes:
        step, steps: done, and in all; `steps` is None before the run has written its configuration.
        seconds_per_step: of the last reading.
        curves: name -> steps and values, of what the log holds.
        previews: the sampled grids, the newest first.
        card: the model card, "" before there is one.
        checkpoint: whether there is one to resume from.
        exported: whether the folder can be used as an adapter.
    """

    step: int = 0
    steps: int | None = None
    seconds_per_step: float | None = None
    curves: Mapping[str, Line] = field(default_factory=dict)
    previews: tuple[Path, ...] = ()
    card: str = ""
    checkpoint: bool = False
    exported: bool = False

    @property
    def share(self) -> float:
        """Done, in [0, 1]."""
        return min(1.0, self.step / self.steps) if self.steps else 0.0

    @property
    def left(self) -> str:
        """What is left, in words; "" where that is not known."""
        if not self.steps or self.seconds_per_step is None or self.step >= self.steps:
            return ""
        seconds = (self.steps - self.step) * self.seconds_per_step
        return f"about {seconds / 60:.0f} min left" if seconds >= _LEAST_SECONDS else f"about {seconds:.0f} s left"


def progress_of(folder: Path) -> Progress:
    """What a run's folder says; nothing of what is not there yet or is just being written."""
    from emogen.training.outputs.curves import read_log

    curves: dict[str, Line] = {}
    with contextlib.suppress(OSError, ValueError):
        curves = {name: (steps.tolist(), values.tolist()) for name, (steps, values) in
                  read_log(folder / "log.jsonl").items()}  # fmt: skip
    step = int(max((steps[-1] for steps, _ in curves.values()), default=0))
    pace = curves.get("seconds_per_step")
    samples = sorted(folder.glob("samples/*.webp"), reverse=True)[:_PREVIEWS]
    return Progress(
        step, _steps(folder), pace[1][-1] if pace else None, curves, tuple(samples), _card(folder),
        any(folder.glob("checkpoint-*")), (folder / "emotion_adapter.safetensors").is_file(),
    )  # fmt: skip


def _steps(folder: Path) -> int | None:
    import yaml

    with contextlib.suppress(OSError, TextError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return int(yaml.safe_load(read_text(folder / "training_config.yaml"))["run"]["max_train_steps"])
    return None


def _card(folder: Path) -> str:
    """The card without the block for the Hub that it begins with."""
    with contextlib.suppress(OSError, TextError):
        text = read_text(folder / "README.md")
        return text.split("\n---\n", 1)[1] if text.startswith("---\n") and "\n---\n" in text else text
    return ""


def charts_html(progress: Progress) -> str:
    """The loss, and the loss of each emotion: held-out where the log has it, else of the training clips."""
    curves = progress.curves
    loss = {label: thinned(curves[key]) for key, label in
            (("loss", "training"), ("val/loss", "held out"), ("val/loss_neutral", "no emotion"))
            if key in curves}  # fmt: skip
    drawn = [lines_svg("Loss", loss, {"training": "#8a8f98", "held out": "#0072b2", "no emotion": "#d55e00"})]
    lead, title = ("val/loss/", "Held-out loss by emotion") if any(key.startswith("val/loss/") for key in curves) else (
        "loss/", "Training loss by emotion")  # fmt: skip
    own = {name: thinned(curves[lead + name]) for name in (*MIKELS, NEUTRAL) if lead + name in curves}
    drawn.append(lines_svg(title, own, COLOURS))
    read = {name: thinned(curves[f"val/{name}"]) for name in ("EA-8", "EA-2") if f"val/{name}" in curves}
    drawn.append(lines_svg("Samples read as asked", read, {"EA-8": "#0072b2", "EA-2": "#d55e00"}))
    return f'<div class="charts">{"".join(drawn)}</div>' if any(drawn) else ""


_FORECAST, _PART = "memory forecast:", re.compile(r"^  (\S.{0,29}?)\s+([\d.,]+ [KMGT]?i?B)\s*(.*)$")


def memory_html(said: str) -> str:
    """The forecast of memory that a dry run prints, as a table; "" where it prints none."""
    lines = said.splitlines()
    start = next((number for number, line in enumerate(lines) if line.startswith(_FORECAST)), None)
    if start is None:
        return ""
    rows = []
    for line in lines[start + 1 :]:
        part = _PART.match(line)
        if part is None:
            break
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in part.groups()) + "</tr>")
    return f'<table class="memory"><caption>{escape(lines[start])}</caption>{"".join(rows)}</table>'


def base_of(folder: Path) -> str | None:
    """The model that a run was trained for, as its configuration names it; None where there is no configuration."""
    import yaml

    with contextlib.suppress(OSError, TextError, yaml.YAMLError, KeyError, TypeError):
        return str(yaml.safe_load(read_text(folder / "training_config.yaml"))["model"]["pretrained_model_name_or_path"])
    return None
