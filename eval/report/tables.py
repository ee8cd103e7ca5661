"""The results as tables: for a terminal, as CSV, for LaTeX; and the cells that the page shares with them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from emogen.eval.benchmark.config import EvalConfigError
from emogen.eval.metrics.base import REGISTRY, BenchmarkMetric, Column
from emogen.eval.metrics.choose import MetricError, metric_classes

Results = Mapping[str, Any]
LEAD = "agreement"
"""The metric that every evaluation measures and every table begins with."""


def metrics_of(results: Results) -> dict[str, type[BenchmarkMetric]]:
    """The metrics that the results were measured with; the agreement leads.

    Raises:
        EvalConfigError: a metric of one's own cannot be imported any more.
    """
    names = [name for name in results["config"]["metrics"] if name != LEAD]
    try:
        return metric_classes([LEAD, *names])
    except MetricError as error:
        raise EvalConfigError(f"results.json: metrics: {error}") from error


def columns(results: Results) -> list[Column]:
    """The figures that any system has, in the order of the configuration."""
    systems = list(results["summary"]["systems"].values())
    found = [column for cls in metrics_of(results).values() for column in cls.columns(systems)]
    return [column for column in found if any(column.key in one for one in systems)]


def cell(column: Column, figure: Mapping[str, Any] | None) -> str:
    """`50.0 [37.5, 62.5]`: a figure and its interval, where it has one; of a rate the wider of its two. Nothing where
    there is no figure."""
    if figure is None or figure.get("value") is None:
        return ""
    scale = 100 if column.unit == "%" else 1
    value = f"{scale * figure['value']:.{column.digits}f}"
    low, high = interval(figure)
    if low is not None:
        value += f" [{scale * low:.{column.digits}f}, {scale * high:.{column.digits}f}]"
    if "half_sd" in figure:
        value += f" (halves {figure['half_mean']:.{column.digits}f} ± {figure['half_sd']:.{column.digits}f})"
    return value + (f", p={figure['p']:.3f}" if figure.get("p") is not None else "")


def interval(figure: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The bounds to print; of a rate with an interval over prompts the wider bounds, and none where prompts are few."""
    low, high = figure.get("low"), figure.get("high")
    if "by_prompt" in figure:
        if figure["by_prompt"] is None:
            return None, None
        low, high = min(low, figure["by_prompt"][0]), max(high, figure["by_prompt"][1])
    return low, high


def difference_text(figure: Mapping[str, Any]) -> str:
    """`+12.5 [+3.1, +21.9]`, in points."""
    low, high = figure["low"], figure["high"]
    bounds = "" if low is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    return f"{100 * figure['difference']:+.1f}{bounds}"


def p_text(figure: Mapping[str, Any]) -> str:
    """p, corrected where it was."""
    value = figure.get("p_holm", figure["p"])
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def lines(results: Results) -> Iterator[tuple[str, str | None, Mapping[str, Any]]]:
    """(system, domain or None, figures) of every line of the main table; domains where a system has several."""
    for name, figures in results["summary"]["systems"].items():
        yield name, None, figures
        domains = figures.get("domains", {})
        for domain, part in domains.items() if len(domains) > 1 else ():
            yield name, domain, part


def text_table(results: Results) -> str:
    """The main table in Markdown, and what has to be known before believing it."""
    shown, baseline = columns(results), results["config"]["baseline"]
    head = ["system", "n", *(column.heading for column in shown)]
    head += [f"EA-8 against {baseline}", "p (Holm)"] if baseline else []
    table = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, domain, part in lines(results):
        label = name if domain is None else f"{name}: {domain}"
        cells = [label, str(part["n"]), *(cell(column, part.get(column.key)) for column in shown)]
        if baseline:
            against = results["summary"]["against"].get(name, {}).get("EA-8") if domain is None else None
            cells += [difference_text(against), p_text(against)] if against else ["", ""]
        table.append("| " + " | ".join(cells) + " |")
    notes = "\n".join(f"- {note}" for note in results["summary"]["notes"])
    return "\n".join(table) + (f"\n\n{notes}" if notes else "")


def rows_csv(results: Results) -> str:
    """One line a clip: the first judge's reading, what metrics read, and the other judges' in columns "... by NAME"."""
    first = results["summary"]["judge"]
    others = [name for name in results["judges"] if name != first]
    file = io.StringIO()
    writer = csv.writer(file)
    of_clip = ["system", "file", "domain", "prompt", "emotion", "seed"]
    of_judge = ["read", "share", "EA-8", "EA-2", "valence", "arousal"]
    measured = [name for name in REGISTRY if any(isinstance(row.get(name), (int, float)) for row in results["rows"])]
    by = [f"{heading} by {name}" for name in others for heading in of_judge]
    writer.writerow([*of_clip, *of_judge, *measured, *by])
    for row in results["rows"]:
        reads = [[row["judges"][name][k] for k in of_judge] for name in (first, *others)]
        values = [*(row[k] for k in of_clip), *reads[0], *(row.get(k, "") for k in measured)]
        writer.writerow([*values, *(value for read in reads[1:] for value in read)])
    return file.getvalue()


def figures_csv(results: Results) -> str:
    """One line a figure of the main table; `low` and `high` are empty where there is no interval, `icc` is the
    correlation of clips of one prompt."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["system", "domain", "figure", "value", "low", "high", "n", "prompts", "icc", "better"])
    for name, domain, part in lines(results):
        for column in columns(results):
            figure = part.get(column.key)
            if figure is not None:
                low, high = interval(figure)
                writer.writerow([name, domain, column.key, figure["value"], low, high, figure["n"], part["prompts"],
                                 figure.get("icc"), column.better])  # fmt: skip
    return file.getvalue()


def latex(results: Results) -> str:
    """A table for a paper, in booktabs' style."""
    shown = columns(results)
    lines = [r"\begin{tabular}{l" + "r" * (len(shown) + 1) + "}", r"\toprule",
             " & ".join(["system", "$n$", *(column.heading.replace("_", r"\_") for column in shown)]) + r" \\",
             r"\midrule"]  # fmt: skip
    for name, figures in results["summary"]["systems"].items():
        cells = [cell(column, figures.get(column.key)).replace("±", r"$\pm$") for column in shown]
        lines.append(" & ".join([name.replace("_", r"\_"), str(figures["n"]), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"
