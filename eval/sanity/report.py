"""What was found: a table and sentences in Markdown, and the plot of distance against strength."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emogen.eval.metrics.frechet import ENOUGH
from emogen.eval.report.plots import COLOURS
from emogen.figures import new_figure, save_figure


def markdown(results: Mapping[str, Any]) -> str:
    """A row for the clips as they are, one for each corruption and strength; then the verdicts and notes."""
    networks, judges, pairs = results["networks"], results["judges"], _pairs(results)
    head = ["clips", *networks, "flickering", *(f"accuracy: {name}" for name in judges),
            *(f"kappa: {pair}" for pair in pairs)]  # fmt: skip
    rows = []
    for place, (name, levels) in enumerate(results["strengths"].items()):
        for index, level in enumerate([0.0, *levels]):
            if index == 0 and place:
                continue  # the clips as they are stand once, at the top
            row = [f"{name} {level:g}" if index else "as they are"]
            for found in networks.values():
                one = found["curves"][name]
                row.append(f"{one['distance'][index]:.4g} ± {one['sd'][index]:.2g}")
            row.append(f"{results['flickering'][name][index]:.4f}")
            row += [_rate(found[name][index]) for found in judges.values()]
            row += [_two(results["kappa"][name][index][pair]) for pair in pairs]
            rows.append(row)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n\n".join([table, _verdicts(results), "\n".join(f"- {line}" for line in sentences(results))])


def _verdicts(results: Mapping[str, Any]) -> str:
    lines = ["| distance | made worse by | rho | rises at every step | seen from |", "|---|---|---:|---|---:|"]
    for network, found in results["networks"].items():
        for name, one in found["curves"].items():
            seen = "never" if one["seen_from"] is None else f"{one['seen_from']:g}"
            lines.append(f"| {network} | {name} ({results['units'][name]}) | {one['rho']:.2f} | "
                         f"{'yes' if one['rises'] else '**no**'} | {seen} |")  # fmt: skip
    return "\n".join(lines)


def sentences(results: Mapping[str, Any]) -> list[str]:
    """What a reader must know: how large the distances of good clips are, what is not seen, and whom not to believe."""
    half, found = results["half"], []
    for network, entry in results["networks"].items():
        curves = entry["curves"]
        clean, sd = next((one["distance"][0], one["sd"][0]) for one in curves.values())
        least = min(curves, key=lambda name: curves[name]["distance"][-1])
        top = curves[least]["distance"][-1]
        times = f"{top / clean:.1f} times that" if clean > 0 else f"{top:.4g}"
        found.append(
            f"{network}: {half} clips against {half} others as they are: {clean:.4g} ± {sd:.2g} over "
            f"{results['splits']} divisions; the strongest {least}, the corruption it sees least, is {times}"
        )
        if entry.get("sees_order") is False:
            found.append(f"{network}: **cannot see the order of frames**: shuffling all of them leaves its features "
                         f"where they are (to {curves['shuffle']['change'][-1]:.1e} of their spread)")  # fmt: skip
        elif "shuffle" in curves:
            seen = curves["shuffle"]["seen_from"]
            tells = "no share of shuffled frames is told in every division" if seen is None else (
                f"told in every division from a share of {seen:g}")  # fmt: skip
            found.append(f"{network}: its features depend on the order of frames (shuffling all moves them by "
                         f"{curves['shuffle']['change'][-1]:.2g} of their spread); {tells}")  # fmt: skip
    if half < ENOUGH:
        found.append(f"fewer than {ENOUGH} clips a side: distances are mostly the bias of a small sample, alike in all "
                     "rows; compare them with each other only")  # fmt: skip
    if results["judges"]:
        n = next(iter(next(iter(results["judges"].values())).values()))[0]["n"]
        found.append(f"accuracy is that of {n} clips labelled with one of the eight, with Wilson's 95 % interval")
    return found + list(results["notes"])


def _pairs(results: Mapping[str, Any]) -> list[str]:
    table = next(iter(results["kappa"].values()), [{}])[0]
    return list(table)


def _rate(figure: Mapping[str, Any]) -> str:
    return f"{100 * figure['value']:.1f} [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


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
