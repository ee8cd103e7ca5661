"""The results of an evaluation as one page that needs nothing but itself, with the tables beside it."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emogen.eval.benchmark.results import inside
from emogen.eval.report.frame import document, judges_section, made_with
from emogen.eval.report.plots import bars, confusion, legend, plane
from emogen.eval.report.tables import (
    cell,
    columns,
    difference_text,
    figures_csv,
    latex,
    lines,
    p_text,
    rows_csv,
)
from emogen.files import write_text
from emogen.media.reader import read_video

PAPER = (
    ("VideoCrafter-V2", 610.1, 0.3012, None, 0.0184, 80.42, 42.50),
    ("HunyuanVideo", 552.6, 0.2776, None, 0.0116, 76.87, 40.41),
    ("CogVideoX-5B", 584.0, 0.3013, None, 0.0213, 82.91, 44.58),
    ("Wan2.1-T2V-14B before", 594.3, 0.2982, None, 0.0091, 84.17, 44.16),
    ("Wan2.1-T2V-14B after", 573.7, 0.3021, None, 0.0143, 88.33, 48.33),
    ("I2V: DynamiCrafter512", 512.3, None, 0.7288, 0.0280, 90.41, 71.25),
    ("I2V: HunyuanVideo-I2V", 544.6, None, 0.7244, 0.0233, 89.17, 70.00),
    ("I2V: CogVideoX-I2V", 528.4, None, 0.7214, 0.0331, 90.83, 70.83),
    ("I2V: Wan2.1-I2V-480P before", 517.9, None, 0.7146, 0.0325, 91.25, 71.30),
    ("I2V: Wan2.1-I2V-480P after", 517.8, None, 0.7193, 0.0324, 94.58, 76.25),
)
"""EmoVid (AAAI 2026), benchmark of 240 clips: system, FVD, CLIP score, SD score, flicker (error), EA-2cls, EA-8cls."""


def write_report(results: Mapping[str, Any], out: Path) -> None:
    """Write report.html, rows.csv, figures.csv and table.tex beside the results, from the results and clips alone."""
    write_text(out / "report.html", page(results, out))
    write_text(out / "rows.csv", rows_csv(results))
    write_text(out / "figures.csv", figures_csv(results))
    write_text(out / "table.tex", latex(results))


def page(results: Mapping[str, Any], out: Path) -> str:
    """The whole page."""
    summary, config = results["summary"], results["config"]
    systems = summary["systems"]
    names = list(systems)
    per_emotion = {
        emotion: [(name, systems[name]["recall"][emotion]) for name in names] for emotion in config["emotions"]
    }
    matrices = "".join(
        f'<div><h3>{escape(name)}</h3>{confusion(systems[name]["confusion"])}<p class="small">Cohen\'s kappa '
        f'{_number(systems[name]["kappa"])}, macro F1 {_number(systems[name]["macro_F1"])}</p></div>' for name in names
    )  # fmt: skip
    planes = "".join(
        f"<div><h3>{escape(name)}</h3>{plane(_points(results, name))}"
        f'<p class="small">{_plane_text(systems[name])}</p></div>'
        for name in names
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in summary["notes"])
    lost = [f"<li>{escape(one['system'])}, {escape(one['clip'])}: {escape(one['reason'])}</li>"
            for one in results["excluded"]]  # fmt: skip
    excluded = f"<h2>Clips that could not be used ({len(lost)})</h2><ul>{''.join(lost)}</ul>" if lost else ""
    seeds = "1 seed" if len(config["seeds"]) == 1 else f"{len(config['seeds'])} seeds"
    settings = escape(json.dumps(config, indent=1))
    lead = f"""<p class="small">{results["items"]} clips asked of each system: {results["prompts"]} prompts x
{len(config["emotions"])} emotions x {seeds}. Judge: {escape(summary["judge"])}. Square brackets are 95 %
intervals; figures of few prompts have none.</p>"""
    body = f"""<h2>Results</h2>
{main_table(results)}
<p class="small">{escape("; ".join(column.meaning or column.heading for column in columns(results)))}.</p>
<ul class="small">{notes}</ul>
<h2>By emotion</h2><p>{legend(names)}</p>
<p class="small">Clips read as asked (EA-8cls). Lines: Wilson's 95 % intervals.</p>{bars(per_emotion)}
<h2>Asked and read</h2><p class="small">Rows: the emotion asked. Columns: the emotion read. The darker, the larger the
share of its row.</p><div class="pair">{matrices}</div>
<h2>On the plane</h2><p class="small">Crosses: the emotion's place. Dots: clips as judged; rings: their means.</p>
<div class="pair">{planes}</div>
{judges_section(results)}
{galleries(results, out)}
{excluded}
<h2>The paper's table</h2>
<p class="small">Other models, other clips, another judge: printed for the protocol, not for comparison.</p>{_paper()}
<h2>How this was made</h2><p class="small">{made_with(results["made_with"])}; configuration
{results["config_hash"][:12]}</p>
<details><summary class="small">Configuration</summary><pre class="small">{settings}</pre></details>"""
    return document(config["name"], lead, body)


def main_table(results: Mapping[str, Any]) -> str:
    """A line a system, and a line each of its domains if there are several."""
    summary, shown, main = results["summary"], columns(results), main_system(results)
    baseline, reference = results["config"]["baseline"], results["config"]["reference"]
    head = "".join(f"<th>{escape(column.heading)}</th>" for column in shown)
    gain = f"<th>EA-8 against {escape(baseline)}</th><th>p (Holm)</th>" if baseline else ""
    found = []
    for name, domain, figures in lines(results):
        cells = "".join(f"<td>{_breakable(cell(column, figures.get(column.key)))}</td>" for column in shown)
        if domain is not None:
            tail = "<td></td><td></td>" if baseline else ""
            label = f'<td class="domain">{escape(domain)}</td><td>{figures["n"]}</td>'
            found.append(f'<tr class="small">{label}{cells}{tail}</tr>')
            continue
        if baseline:
            against = summary["against"].get(name, {}).get("EA-8")
            role = {baseline: "baseline", reference: "reference"}.get(name, "")
            cells += (
                f"<td>{_breakable(difference_text(against))}</td><td>{escape(p_text(against))}</td>"
                if against
                else f'<td class="small">{role}</td><td></td>'
            )
        kind = ' class="main"' if name == main and len(summary["systems"]) > 1 else ""
        found.append(f"<tr{kind}><td>{escape(name)}</td><td>{figures['n']}</td>{cells}</tr>")
    return f"<table><tr><th>system</th><th>n</th>{head}{gain}</tr>{''.join(found)}</table>"


def _breakable(text: str) -> str:
    """A narrow window may put the interval below its figure, but not break it."""
    value, blank, rest = escape(text).partition(" ")
    return f'{value} <span class="range">{rest}</span>' if blank else value


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"  # no -0.00


def _points(results: Mapping[str, Any], system: str) -> dict[str, list[tuple[float, float]]]:
    judge, found = results["summary"]["judge"], {}
    for row in results["rows"]:
        if row["system"] == system:
            one = row["judges"][judge]
            found.setdefault(row["emotion"], []).append((one["valence"], one["arousal"]))
    return found


def _plane_text(figures: Mapping[str, Any]) -> str:
    return "; ".join(f"{axis}: r = {_number(figures[axis]['r'])}, mean error {figures[axis]['mean_absolute_error']:.2f}"
                     for axis in ("valence", "arousal"))  # fmt: skip


def _paper() -> str:
    head = "<th>system</th><th>FVD</th><th>CLIP</th><th>SD</th><th>flicker (error)</th><th>EA-2cls</th><th>EA-8cls</th>"
    lines = "".join(
        "<tr>" + "".join(f"<td>{'' if value is None else escape(str(value))}</td>" for value in row) + "</tr>"
        for row in PAPER
    )
    return f"<table><tr>{head}</tr>{lines}</table>"


def ceilings(results: Mapping[str, Any]) -> list[str]:
    """Systems that nothing was generated for: the reference, and drawn stickers."""
    config = results["config"]
    return [one["name"] for one in config["systems"]
            if one["clips"] == "stickers" or one["name"] == config["reference"]]  # fmt: skip


def main_system(results: Mapping[str, Any]) -> str:
    """The system that the evaluation is about: the last one that is neither a ceiling nor the baseline; if there is
    none, the last that is no ceiling, or just the last."""
    names, above = list(results["summary"]["systems"]), ceilings(results)
    generated = [name for name in names if name not in above]
    compared = [name for name in generated if name != results["config"]["baseline"]]
    return (compared or generated or names)[-1]


def in_order(results: Mapping[str, Any]) -> list[str]:
    """The main system, then the others as configured, then the ceilings."""
    names, first, above = list(results["summary"]["systems"]), main_system(results), ceilings(results)
    others = [name for name in names if name != first]
    return [first, *(n for n in others if n not in above), *(n for n in others if n in above)]


def galleries(results: Mapping[str, Any], out: Path, shown: int = 24) -> str:
    """Every system's clips, the ones that miss their emotion the furthest first; all but the main system's folded.

    Args:
        out: the folder of the run.
        shown: how many clips of each system at most.
    """
    if not results["summary"]["systems"]:
        return ""
    judge, above, parts = results["summary"]["judge"], ceilings(results), []
    for name in in_order(results):
        rows = sorted((r for r in results["rows"] if r["system"] == name), key=lambda r: r["judges"][judge]["share"])
        clips = next(system["clips"] for system in results["config"]["systems"] if system["name"] == name)
        folder = out if clips in (None, "stickers") else Path(clips)
        cells = "".join(_clip(row, judge, folder) for row in rows[:shown])
        about = f"{min(shown, len(rows))} of {len(rows)} clips" + (", not generated" if name in above else "")
        summary = f'<summary><b>{escape(name)}</b> <span class="small">{about}</span></summary>'
        parts.append(f'<details{"" if parts else " open"}>{summary}<div class="clips">{cells}</div></details>')
    return (f'<h2>Clips, worst first</h2><p class="small">In brackets: how much of the judge\'s reading is on the '
            f"emotion asked, from 0 to 1. A name opens and closes its clips.</p>{''.join(parts)}")  # fmt: skip


def _clip(row: Mapping[str, Any], judge: str, folder: Path) -> str:
    one = row["judges"][judge]
    verdict = f'<b class="{"good" if one["EA-8"] else "bad"}">{escape(one["read"])}</b>'
    picture = _picture(folder, row["file"], f"{row['prompt']}, {row['emotion']}")
    about = f'<span class="small">({one["share"]:.2f})<br>{escape(row["prompt"])}</span>'
    return f'<div class="clip">{picture}asked <b>{escape(row["emotion"])}</b>, read {verdict} {about}</div>'


def _picture(folder: Path, name: str, alt: str) -> str:
    """The clip as a small animated WebP inside the page; nothing if it is not there any more."""
    try:
        frames, fps = read_video(inside(folder, name))
    except (OSError, ValueError):
        return '<span class="small">(clip not found)</span>'
    step = max(1, len(frames) // 16)
    small = [_shrunk(frame) for frame in frames[::step]]
    file = io.BytesIO()
    small[0].save(file, "WEBP", save_all=True, append_images=small[1:], duration=round(1000 * step / fps), loop=0,
                  quality=60)  # fmt: skip
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/webp;base64,{data}">'


def _shrunk(frame: np.ndarray, side: int = 132) -> Image.Image:
    image = Image.fromarray(frame)
    return image.resize((side, max(1, round(side * image.height / image.width))), Image.LANCZOS)
