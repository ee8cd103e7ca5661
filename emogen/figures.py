"""What every plot needs of matplotlib, which is an extra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from emogen.extras import how_to_install
from emogen.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(size: tuple[float, float]) -> Figure:
    """An empty figure, `size` inches wide and high. `Figure` and not pyplot, whose global state belongs to the caller.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        message = f"plots need matplotlib, which is not installed: {how_to_install('plot')}"
        raise ModuleNotFoundError(message, name=error.name) from error
    return Figure(figsize=size, layout="constrained")


def save_figure(figure: Figure, output: Path, dpi: int) -> Path:
    """Write a .png file that appears whole or not at all."""
    with atomic(output) as temporary:
        figure.savefig(temporary, dpi=dpi, facecolor="white", format="png")
    return output
