"""The results as a page that needs nothing but itself, as CSV and as a LaTeX table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from emogen.eval.judges.evidence import judges_section
from emogen.eval.report.gallery import galleries, main_system
from emogen.eval.report.html import document, made_with, write_text
from emogen.eval.report.plots import bars, confusion, legend, plane

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

_MEANINGS = {
    "EA-8": "EA-8cls: clips that the judge reads as the emotion asked, of eight, in % (guessing: 12.5)",
    "EA-2": "EA-2cls: clips read on the side asked, pleasant or unpleasant, in % (guessing: 50)",
    "content": "content: of what the prompt names, seen by a second classifier, in %",
    "temporal_flickering": "flicker score: VBench's, 1 is a still picture",
    "first_frame_psnr": "first frame: its PSNR to the picture given",
    "clip_score": "CLIP score: frames against the prompt",
    "frechet_transnetv2": "Frechet distances, FVD: to the reference's clips, less is nearer",
}


def write_report(results: Mapping[str, Any], out: Path) -> None:
    """Write report.html, rows.csv and table.tex beside the results, from the results and the clips alone."""
    write_text(out / "report.html", page(results, out))
    write_text(out / "rows.csv", rows_csv(results))
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
intervals.</p>"""
    body = f"""<h2>Results</h2>
{main_table(results)}
<p class="small">{_meanings(results)}</p>
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


def columns(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, heading) of the figures that any system has."""
    systems = results["summary"]["systems"].values()
    others = dict.fromkeys(key for one in systems for key in one if key.startswith("EA-8 by "))
    known = [
        ("EA-8", "EA-8cls"),
        *((key, key.replace("EA-8", "EA-8cls")) for key in others),
        ("EA-2", "EA-2cls"),
        ("content", "content"),
        ("temporal_flickering", "flicker score"),
        ("first_frame_psnr", "first frame, dB"),
        ("clip_score", "CLIP score"),
        ("frechet_transnetv2", "Frechet (TransNetV2)"),
        ("fvd", "FVD"),
        ("fvd_videomae", "FVD (VideoMAE)"),
    ]
    return [(key, heading) for key, heading in known if any(key in one for one in systems)]


def main_table(results: Mapping[str, Any]) -> str:
    """A line a system, and a line each of its domains if there are several."""
    summary, shown, main = results["summary"], columns(results), main_system(results)
    baseline, reference = results["config"]["baseline"], results["config"]["reference"]
    head = "".join(f"<th>{escape(heading)}</th>" for _, heading in shown)
    gain = f"<th>EA-8 against {escape(baseline)}</th><th>p (Holm)</th>" if baseline else ""
    lines = []
    for name, figures in summary["systems"].items():
        cells = "".join(f"<td>{_breakable(_cell(key, figures.get(key)))}</td>" for key, _ in shown)
        if baseline:
            against = summary["against"].get(name, {}).get("EA-8")
            role = {baseline: "baseline", reference: "reference"}.get(name, "")
            cells += f"<td>{_breakable(_points_text(against))}</td><td>{_p(against)}</td>" if against else (
                f'<td class="small">{role}</td><td></td>')  # fmt: skip
        kind = ' class="main"' if name == main and len(summary["systems"]) > 1 else ""
        lines.append(f"<tr{kind}><td>{escape(name)}</td><td>{figures['n']}</td>{cells}</tr>")
        for domain, part in figures.get("domains", {}).items() if len(figures.get("domains", {})) > 1 else ():
            cells = "".join(f"<td>{_breakable(_cell(key, part.get(key)))}</td>" for key, _ in shown)
            tail = "<td></td><td></td>" if baseline else ""
            label = f'<td class="domain">{escape(domain)}</td><td>{part["n"]}</td>'
            lines.append(f'<tr class="small">{label}{cells}{tail}</tr>')
    return f"<table><tr><th>system</th><th>n</th>{head}{gain}</tr>{''.join(lines)}</table>"


def _breakable(cell: str) -> str:
    """A narrow window may put the interval below its figure, but not break it."""
    value, blank, rest = cell.partition(" ")
    return f'{value} <span class="range">{rest}</span>' if blank else value


def _meanings(results: Mapping[str, Any]) -> str:
    frechet = ("frechet_transnetv2", "fvd", "fvd_videomae")
    keys = dict.fromkeys(frechet[0] if key in frechet else key for key, _ in columns(results))
    said = [_MEANINGS[key] for key in keys if key in _MEANINGS]
    said += [f"{escape(key)}: the same, as another judge reads it" for key in keys if key not in _MEANINGS]
    return "; ".join(said) + "."


def _cell(key: str, figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return ""
    if key.startswith(("frechet", "fvd")):
        spread = f" (halves {figure['half_mean']:.2f} &plusmn; {figure['half_sd']:.2f})" if "half_sd" in figure else ""
        p = f", p={figure['p']:.3f}" if figure.get("p") is not None else ""
        return f"{figure['value']:.2f}{spread}{p}"
    if key.startswith("EA-"):
        low, high = figure["by_prompt"]
        low, high = min(low, figure["low"]), max(high, figure["high"])
        return f"{100 * figure['value']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    scale, digits = {"content": (100, 1), "first_frame_psnr": (1, 1)}.get(key, (1, 4))
    value, low, high = (f"{scale * figure[part]:.{digits}f}" for part in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _points_text(figure: Mapping[str, Any]) -> str:
    return f"{100 * figure['difference']:+.1f} [{100 * figure['low']:+.1f}, {100 * figure['high']:+.1f}]"


def _p(figure: Mapping[str, Any]) -> str:
    value = figure.get("p_holm", figure["p"])
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"


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


def rows_csv(results: Mapping[str, Any]) -> str:
    """One line a clip: the first judge's reading, and every other's in columns "... by NAME"."""
    first = results["summary"]["judge"]
    others = [name for name in results["judges"] if name != first]
    file = io.StringIO()
    writer = csv.writer(file)
    of_clip = ["system", "file", "domain", "prompt", "emotion", "seed"]
    of_judge = ["read", "share", "EA-8", "EA-2", "valence", "arousal"]
    measured = ["content", "temporal_flickering", "first_frame_psnr", "clip_score"]
    by = [f"{heading} by {name}" for name in others for heading in of_judge]
    writer.writerow([*of_clip, *of_judge, *measured, *by])
    for row in results["rows"]:
        reads = [[row["judges"][name][k] for k in of_judge] for name in (first, *others)]
        values = [*(row[k] for k in of_clip), *reads[0], *(row.get(k, "") for k in measured)]
        writer.writerow([*values, *(value for read in reads[1:] for value in read)])
    return file.getvalue()


def latex(results: Mapping[str, Any]) -> str:
    """A table for a paper, in booktabs' style."""
    shown = columns(results)
    lines = [r"\begin{tabular}{l" + "r" * (len(shown) + 1) + "}", r"\toprule",
             " & ".join(["system", "$n$", *(heading.replace("_", r"\_") for _, heading in shown)]) + r" \\",
             r"\midrule"]  # fmt: skip
    for name, figures in results["summary"]["systems"].items():
        cells = [_cell(key, figures.get(key)).replace("&plusmn;", r"$\pm$") for key, _ in shown]
        lines.append(" & ".join([name.replace("_", r"\_"), str(figures["n"]), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def reread(out: Path) -> Mapping[str, Sequence]:
    return json.loads((out / "results.json").read_text(encoding="utf-8"))
