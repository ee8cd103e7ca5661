"""Distance against strength: a row of panels for each network, a panel for each corruption."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emogen.eval.report.plots import COLOURS
from emogen.figures import new_figure, save_figure


def draw(results: Mapping[str, Any], output: Path) -> Path:
    """Draw into a .png file that appears whole or not at all.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    networks, names = results["networks"], list(results["strengths"])
    figure = new_figure((2.7 * len(names) + 0.5, 2.4 * len(networks) + 0.3))
    grid = figure.subplots(len(networks), len(names), squeeze=False, sharey="row")
    for line, (network, found) in zip(grid, networks.items(), strict=True):
        for place, (axes, name) in enumerate(zip(line, names, strict=True)):
            one = found["curves"][name]
            levels, mean, sd = (np.array(one[key]) for key in ("strengths", "distance", "sd"))
            axes.fill_between(levels, mean - sd, mean + sd, color=COLOURS[place], alpha=0.2, linewidth=0)
            axes.plot(levels, mean, "o-", color=COLOURS[place], markersize=3.5, linewidth=1.6)
            axes.axhline(mean[0], color="#888", linewidth=0.8, linestyle="--")  # clips as they are
            axes.set_title(f"{name}, rho {one['rho']:.2f}", fontsize=9)
            axes.set_xlabel(results["units"][name], fontsize=8)
            axes.tick_params(labelsize=7)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_ylim(bottom=0)
        line[0].set_ylabel(network, fontsize=8)
    return save_figure(figure, output, dpi=100)
