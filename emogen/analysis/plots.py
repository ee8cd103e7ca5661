"""What the pictures have in common: colours, type, and SVG that is the same for the same numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from emogen.analysis.interface import Picture
from emogen.emotion import MIKELS
from emogen.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = dict(
    zip(MIKELS, ("#d98200", "#3a9bd9", "#00845c", "#c9a800", "#cf3f00", "#6f7d1f", "#7a4fa3", "#1d4f91"), strict=True)
)
"""One a category, warm and cool, apart also for colour-blind eyes where the categories stand side by side."""
_FINE = re.compile(r"-?\d+\.\d{3,}")
INK, QUIET = "#222222", "#8a8f94"
SERIES = ("#0b5d8f", "#c4570a", "#4b8b3b", "#7a4fa3", "#8a8f94")
_STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "emogen",
}


def draw(width: float, height: float, rows: int = 1, columns: int = 1, **options) -> tuple[Figure, np.ndarray]:
    """A figure, inches wide and high, and its axes `[rows, columns]`."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        figure = new_figure((width, height))
        return figure, figure.subplots(rows, columns, squeeze=False, **options)


def pictured(make: Callable[[int], Figure], caption: str, columns: int = 2) -> Picture:
    """A figure of several panels, and for a phone the same with one column.

    Args:
        make: draws it with so many columns.
    """
    return replace(picture(make(columns), caption), narrow=picture(make(1), caption).svg if columns > 1 else None)


def picture(figure: Figure, caption: str) -> Picture:
    """The figure as SVG with real text, which can be searched and copied."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    return Picture(caption, re.sub(r"<[^>]+>", lambda tag: _FINE.sub(_rounded, tag[0]), svg))


def _rounded(number: re.Match) -> str:
    """A coordinate to a hundredth of a point, which nobody sees and which halves a picture."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def dots(
    axes: Axes,
    names: Sequence[str],
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    colours: Sequence[str] | None = None,
    shift: float = 0.0,
    label: str | None = None,
    marker: str = "o",
) -> None:
    """A dot with its interval a line; the first name is on top."""
    places = np.arange(len(names)) + shift
    value, low, high = (np.asarray(x, float) for x in (value, low, high))
    colours = list(colours) if colours is not None else [COLOURS.get(name, SERIES[0]) for name in names]
    axes.hlines(places, low, high, colors=colours, linewidth=1.6, alpha=0.75)
    axes.scatter(value, places, c=colours, s=26, zorder=3, label=label, marker=marker, linewidths=0)
    axes.set_yticks(np.arange(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", color="#e6e8ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def heat(axes: Axes, table: np.ndarray, names: Sequence[str], top: float | None = None, digits: int = 2) -> None:
    """A square table of shares as shades, its numbers in the cells. NaN cells stay empty."""
    shown = np.ma.masked_invalid(table)
    axes.imshow(shown, cmap="Blues", vmin=0, vmax=top or max(float(np.nanmax(table)) if shown.count() else 1, 1e-9))
    limit = (top or (float(np.nanmax(table)) if shown.count() else 1)) * 0.6
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            axes.text(column, row, f"{value:.{digits}f}".replace("0.", "."), ha="center", va="center", fontsize=8,
                      color="white" if value > limit else INK)  # fmt: skip
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
