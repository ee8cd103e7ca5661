"""The figures as Markdown, and what they mean in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emogen.eval.metrics.frechet_video import ENOUGH


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
