"""What a results file and its page say about the judges."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from emogen.data.records import RecordError
from emogen.data.sources import find_tables
from emogen.data.tables import read_rows
from emogen.eval.benchmark.config import EvalConfig
from emogen.eval.judges.card import card_of, clip_hash, warnings_for
from emogen.eval.judges.embedded import Judge


def cards_of(judges: Mapping[str, Judge]) -> dict[str, Any]:
    """Every judge's card, with the counts of its hashes in place of the hashes."""
    return {name: card_of(judge).to_dict(hashes=False) for name, judge in judges.items()}


def warnings_about(config: EvalConfig, judges: Mapping[str, Judge]) -> list[str]:
    """Why a judge should not be believed about a system: `warnings_for` of every adapter, and judges that were trained
    on the finished clips they judge. Base models, whose training data nobody lists, are passed over."""
    found: list[str] = []
    for system in config.systems:
        for judge in judges.values():
            if system.adapter is not None:
                found += [f"{system.name}: {line}" for line in warnings_for(judge, system.adapter)]
            elif system.clips not in (None, "stickers"):
                found += [f"{system.name}: {line}" for line in _about_clips(judge, Path(system.clips))]
    return list(dict.fromkeys(found))


def _about_clips(judge: Judge, folder: Path) -> list[str]:
    card = card_of(judge)
    known = {h for one in (card, *card.members) for h in one.training.clip_hashes or ()}
    try:
        rows = [row for table in find_tables(folder) for _, row in read_rows(table.path) if isinstance(row, Mapping)]
    except RecordError:
        return []
    files = [folder / str(row.get("file_name")) for row in rows]
    same = sum(file.is_file() and clip_hash(file) in known for file in files) if known else 0
    return [f"{card.name}: was trained on {same} of the {len(files)} clips that it judges here"] if same else []


def judges_section(results: Mapping[str, Any]) -> str:
    """The page's part: a line a judge from its card, how far the judges agree, and the warnings."""
    cards, kappas = results.get("judges") or {}, results["summary"].get("judges") or {}
    if not cards:  # a results file from before there were cards
        return ""
    lines = "".join(_line(name, card) for name, card in cards.items())
    head = "<th>judge</th><th>kind</th><th>checked on</th><th>n</th><th>accuracy</th><th>ECE</th><th>temperature</th>"
    agree = "".join(f"<li>{escape(pair)}: {_two(kappa)}</li>" for pair, kappa in kappas.items())
    agree = f"<p>Cohen's kappa between judges, over all clips:</p><ul>{agree}</ul>" if agree else ""
    warned = "".join(f'<li class="bad">{escape(line)}</li>' for line in results.get("warnings", ()))
    return (f"<h2>The judges</h2><table><tr>{head}</tr>{lines}</table>{agree}"
            + (f"<ul>{warned}</ul>" if warned else ""))  # fmt: skip


def _line(name: str, card: Mapping[str, Any]) -> str:
    kind = " ".join(dict.fromkeys((card["kind"], Path(card["made_of"]).name)))
    about = f"<td>{escape(name)}</td><td>{escape(kind)}</td>"
    rows = []
    for data, found in card["held_out"].items():
        figure = found["accuracy"]
        interval = "" if figure.get("low") is None else f" [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"
        ece = _two(found.get("ece_before")) + (f" to {_two(found['ece_after'])}" if found.get("ece_after") else "")
        rows.append(f"<tr>{about}<td>{escape(data)}</td><td>{found['n']}</td><td>{100 * figure['value']:.1f}{interval}"
                    f"</td><td>{ece}</td><td>{_two(found.get('temperature'))}</td></tr>")  # fmt: skip
    return "".join(rows) or f"<tr>{about}<td>not checked</td><td></td><td></td><td></td><td></td></tr>"


def _two(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.2f}"
