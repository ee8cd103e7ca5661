"""The main table for a terminal or a README."""

from __future__ import annotations

import html
from pathlib import Path

from emogen.eval.report.build import _cell, _p, _points_text, columns, reread


def text_table(out: Path) -> str:
    """Markdown."""
    results = reread(out)
    shown, baseline = columns(results), results["config"]["baseline"]
    head = ["system", "n", *(heading for _, heading in shown)]
    head += [f"EA-8 against {baseline}", "p (Holm)"] if baseline else []
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, figures in results["summary"]["systems"].items():
        domains = figures.get("domains", {})
        for label, part in ((name, figures), *((f"{name}: {d}", p) for d, p in domains.items() if len(domains) > 1)):
            cells = [label, str(part["n"]), *(html.unescape(_cell(key, part.get(key))) for key, _ in shown)]
            if baseline:
                against = results["summary"]["against"].get(name, {}).get("EA-8") if label == name else None
                cells += [_points_text(against), html.unescape(_p(against))] if against else ["", ""]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
