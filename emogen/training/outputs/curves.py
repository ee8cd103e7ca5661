"""A run's curves on one picture, from its `log.jsonl`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emogen.emotion import MIKELS
from emogen.figures import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = "curves.png"
Series = Mapping[str, tuple[np.ndarray, np.ndarray]]

# Okabe and Ito's palette; Tol's "muted" for many lines: both tell apart with any colour vision.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#8A8A8A"
_MANY = ("#332288", "#88CCEE", "#117733", "#999933", "#CC6677", "#882255", "#AA4499", "#44AA99", "#DDAA33")
_SMALL = 8.0  # points, of labels
_GAP = 0.062  # between labels, in heights of a panel
_RUNNING = 20  # the smoothed line averages over a part of this many of the run
_LOG_SCALE = 5.0  # noise levels whose losses differ by more than this factor are drawn on a logarithmic scale


def read_log(path: str | Path) -> Series:
    """Each number of a log with the steps it was logged at.

    Where a step occurs twice (a run that was resumed) the later line counts. A last line without its end, as a run
    that was killed leaves it, is passed over, and so are values that are not finite.

    Returns:
        key -> (steps, values), both `[n]` in the order of steps.

    Raises:
        FileNotFoundError: there is no log.
        ValueError: a line is no JSON object with a "step"; names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such log; a run writes it to its output_dir")
    points: dict[str, dict[int, float]] = {}
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise ValueError(f"{path}, line {number}: not JSON ({error.msg})") from error
        if not isinstance(values, dict) or not isinstance(values.get("step"), int):
            raise ValueError(f'{path}, line {number}: not an object with a whole number as "step"')
        for key, value in values.items():
            if key != "step" and isinstance(value, (int, float)) and math.isfinite(value):
                points.setdefault(key, {})[values["step"]] = float(value)
    found = {}
    for key, by_step in points.items():
        steps = sorted(by_step)
        found[key] = np.array(steps), np.array([by_step[step] for step in steps])
    return found


def draw_curves(log: str | Path, output: str | Path, title: str | None = None) -> Path:
    """Draw a run's log as `curves_figure` does, into a .png file that appears whole or not at all.

    Raises:
        FileNotFoundError: there is no log.
        ValueError: a line of it is wrong, it holds nothing to draw, or `output` is no .png.
        ModuleNotFoundError: matplotlib is not installed.
    """
    output = Path(output)
    if output.suffix.lower() != ".png":
        raise ValueError(f"{output}: curves are written as .png")
    series = read_log(log)
    if not any(panel.wants(series) for panel in _PANELS):
        raise ValueError(f"{log}: holds no loss and no agreement; there is nothing to draw")
    return save_figure(curves_figure(series, title), output, dpi=130)


def write_curves(folder: Path) -> str:
    """Draw curves.png of an output folder from its log; says why not if it cannot be drawn."""
    try:
        return f"curves in {draw_curves(folder / 'log.jsonl', folder / CURVES)}"
    except (ImportError, ValueError, OSError) as error:
        return f"no curves: {error}"


def curves_figure(series: Series, title: str | None = None) -> Figure:
    """A panel for each thing the log holds: training loss, held-out loss with and without the emotion, by emotion and
    by noise level, and agreement with its interval.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    panels = [panel for panel in _PANELS if panel.wants(series)]
    rows, columns = (1, max(1, len(panels))) if len(panels) < 4 else (2, math.ceil(len(panels) / 2))
    size = (max(7.0, 4.6 * columns), 3.3 * rows + (0.4 if title else 0))
    figure = new_figure(size)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    grid = figure.add_gridspec(rows, columns)
    last = max((steps[-1] for steps, _ in series.values()), default=1)
    wide = rows * columns - len(panels)  # with one too few, the first panel takes two places
    for index, panel in enumerate(panels):
        row, column = divmod(index + wide if index else 0, columns)
        axes = figure.add_subplot(grid[row, column : column + (1 if index else 1 + wide)])
        _dress(axes, panel.title, last)
        panel.draw(axes, series)
    return figure


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over `window` (odd) values around each of `values` `[n]`, over as many as there are towards the ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    first, last = np.maximum(place - window // 2, 0), np.minimum(place + window // 2 + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)


class _Panel:
    """One panel, drawn when one of `keys` is logged; a key that ends in "/" stands for all below it."""

    def __init__(self, title: str, draw: Callable[[Axes, Series], None], *keys: str):
        self.title, self.draw, self._keys = title, draw, keys

    def wants(self, series: Series) -> bool:
        return any(_under(series, key[:-1]) if key.endswith("/") else key in series for key in self._keys)


def _under(series: Series, prefix: str) -> list[str]:
    """The rest of each key that stands one level below `prefix`."""
    tails = (key.removeprefix(f"{prefix}/") for key in series if key.startswith(f"{prefix}/"))
    return [tail for tail in tails if "/" not in tail]


def _training(axes: Axes, series: Series) -> None:
    steps, values = series["loss"]
    window = max(len(values) // _RUNNING, 5) | 1
    few = len(values) < 2 * window
    axes.plot(steps, values, color=_BLUE, alpha=1.0 if few else 0.3, linewidth=0.8, marker="o" if few else None,
              markersize=3)  # fmt: skip
    if not few:
        smooth = running_mean(values, window)
        axes.plot(steps, smooth, color=_BLUE, linewidth=1.8)
        _labels(axes, [(f"mean\nof {window}", steps, smooth, _BLUE)])


def _held_out(axes: Axes, series: Series) -> None:
    lines = (
        ("val/loss", "with the emotion", _BLUE),
        ("val/loss_neutral", "without it", _ORANGE),
        ("val/loss_swapped", "another clip's", _GREEN),
    )
    _lines(axes, [(label, *series[key], color) for key, label, color in lines if key in series])


def _by_emotion(axes: Axes, series: Series) -> None:
    labels = _under(series, "val/loss")
    colours = {label: _MANY[index % len(_MANY)] for index, label in enumerate(sorted(set(labels) - {"neutral"}))}
    colours["neutral"] = _GREY
    _lines(axes, [(label, *series[f"val/loss/{label}"], colours[label]) for label in labels])


def _by_level(axes: Axes, series: Series) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

    names = sorted(_under(series, "val/quantile"), key=float)
    shades = colormaps["viridis"](np.linspace(0.0, 0.85, max(2, len(names))))
    lines = [(name, *series[f"val/quantile/{name}"], shade) for name, shade in zip(names, shades, strict=False)]
    values = np.concatenate([values for _, _, values, _ in lines])
    if values.min() > 0 and values.max() > _LOG_SCALE * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_minor_locator(NullLocator())
    _lines(axes, lines)


def _agreement(axes: Axes, series: Series) -> None:
    lines = []
    for name, colour, chance in (("EA-8", _BLUE, 1 / len(MIKELS)), ("EA-2", _ORANGE, 1 / 2)):
        if f"val/{name}" not in series:
            continue
        steps, values = series[f"val/{name}"]
        if all(f"val/{name}_{end}" in series for end in ("low", "high")):
            low, high = (np.interp(steps, *series[f"val/{name}_{end}"]) for end in ("low", "high"))
            if len(steps) > 1:
                axes.fill_between(steps, 100 * low, 100 * high, color=colour, alpha=0.15, linewidth=0)
            else:
                axes.vlines(steps, 100 * low, 100 * high, color=colour, alpha=0.5)
        axes.axhline(100 * chance, color=colour, linewidth=0.8, linestyle=(0, (1, 3)))
        count = int(series[f"val/{name}_n"][1][-1]) if f"val/{name}_n" in series else None
        lines.append((name + (f"\nn = {count}" if count else ""), steps, 100 * values, colour))
    axes.set_ylim(-3, 103)
    axes.set_yticks(range(0, 101, 25), [f"{tick} %" for tick in range(0, 101, 25)])
    _lines(axes, lines, gap=1.9 * _GAP)


_PANELS = (
    _Panel("Training loss", _training, "loss"),
    _Panel("Held-out loss", _held_out, "val/loss", "val/loss_neutral"),
    _Panel("Held-out loss by emotion", _by_emotion, "val/loss/"),
    _Panel("Held-out loss by quantile of the noise level", _by_level, "val/quantile/"),
    _Panel("Emotion read as asked, 95 % interval, chance dotted", _agreement, "val/EA-8", "val/EA-2"),
)


def _dress(axes: Axes, title: str, last: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.tick_params(labelsize=_SMALL, colors="#444444")
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlim(0, 1.02 * last)  # the same for all, so that they can be read against each other
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("step", fontsize=_SMALL, color="#444444", loc="right", labelpad=0)


def _lines(axes: Axes, lines: Sequence[tuple[str, np.ndarray, np.ndarray, Any]], gap: float = _GAP) -> None:
    for _, steps, values, colour in lines:
        axes.plot(steps, values, color=colour, linewidth=1.5, marker="o", markersize=3 if len(steps) < 25 else 0)
    _labels(axes, lines, gap)


def _labels(axes: Axes, lines: Sequence[tuple[str, np.ndarray, np.ndarray, Any]], gap: float = _GAP) -> None:
    """Each line's name at the right of its end, moved up or down where names would overlap."""
    axes.autoscale_view(scalex=False)
    axes.set_ylim(axes.get_ylim())  # the heights below must not change any more
    ends = axes.transAxes.inverted().transform(
        [axes.transData.transform((steps[-1], values[-1])) for _, steps, values, _ in lines]
    )
    heights = _spread(ends[:, 1], gap)
    for (name, *_, colour), height in zip(lines, heights, strict=True):
        axes.text(1.01, height, name, transform=axes.transAxes, color=colour, fontsize=_SMALL, va="center",
                  linespacing=0.95)  # fmt: skip


def _spread(heights: np.ndarray, gap: float) -> np.ndarray:
    """Heights at least `gap` apart in the same order, each group that had to move about its own middle, and within
    0..1 as far as that goes."""
    order = np.argsort(heights, kind="stable")
    groups: list[list[float]] = []  # of wanted heights, with the ranks' share of the gap taken off
    for rank, place in enumerate(order):
        groups.append([heights[place] - rank * gap])
        while len(groups) > 1 and np.mean(groups[-1]) < np.mean(groups[-2]):
            last = groups.pop()
            groups[-1] += last
    flat = np.concatenate([np.full(len(group), np.mean(group)) for group in groups])
    flat = flat.clip(0.0, max(0.0, 1.0 - gap * (len(heights) - 1)))
    found = np.empty(len(heights))
    found[order] = flat + gap * np.arange(len(heights))
    return found
