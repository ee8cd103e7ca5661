"""The results as a page that needs nothing but itself, as CSV and as a LaTeX table."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emogen.data.video import read_video

from .judges.evidence import judges_section
from .plots import bars, confusion, legend, plane

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

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#222;max-width:1100px;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:.2rem}h2{margin-top:2.4rem;border-bottom:1px solid #ddd}table{border-collapse:collapse;font-size:14px}
td,th{padding:.3rem .6rem;text-align:right}th:first-child,td:first-child{text-align:left}
tr+tr{border-top:1px solid #eee}
.small{color:#666;font-size:13px}.best{font-weight:600}.confusion td{min-width:2rem;text-align:center}.confusion th
{font-weight:400;font-size:12px}svg{max-width:100%;font:11px system-ui,sans-serif}.bars{width:720px}.plane{width:420px}
.key{margin-right:1rem}.key i{display:inline-block;width:.8em;height:.8em;margin-right:.35em}
.pair{display:flex;gap:2rem;flex-wrap:wrap}.clips{display:flex;flex-wrap:wrap;gap:10px}
.clip{width:132px;font-size:12px;line-height:1.25}.clip img
{width:132px;border-radius:6px;display:block}.good{color:#00734f}.bad{color:#b34700}
"""


def write_report(results: Mapping[str, Any], out: Path) -> None:
    """Write report.html, rows.csv and table.tex beside the results, from the results and the clips alone."""
    _write(out / "report.html", page(results, out))
    _write(out / "rows.csv", rows_csv(results))
    _write(out / "table.tex", latex(results))


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


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
        f'<div><h3>{escape(name)}</h3>{plane(_points(results, name))}'
        f'<p class="small">{_plane_text(systems[name])}</p></div>'
        for name in names
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in summary["notes"])
    lost = [f"<li>{escape(one['system'])}, {escape(one['clip'])}: {escape(one['reason'])}</li>"
            for one in results["excluded"]]  # fmt: skip
    excluded = f"<h2>Clips that could not be used ({len(lost)})</h2><ul>{''.join(lost)}</ul>" if lost else ""
    seeds = "1 seed" if len(config["seeds"]) == 1 else f"{len(config['seeds'])} seeds"
    made, settings = escape(json.dumps(results["made_with"])), escape(json.dumps(config, indent=1))
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(config["name"])}</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>
<h1>{escape(config["name"])}</h1>
<p class="small">{results["items"]} clips asked of each system: {results["prompts"]} prompts x {len(config["emotions"])}
emotions x {seeds}. Judge: {escape(summary["judge"])}. Square brackets are 95 % intervals.</p>
{main_table(results)}
<ul class="small">{notes}</ul>
<h2>By emotion: read as asked (EA-8)</h2><p>{legend(names)}</p>{bars(per_emotion)}
<h2>Asked (rows) and read (columns)</h2><div class="pair">{matrices}</div>
<h2>On the plane</h2><p class="small">Crosses: the emotion's place. Dots: clips as judged; rings: their means.</p>
<div class="pair">{planes}</div>
{judges_section(results)}
{_galleries(results, out)}
{excluded}
<h2>The paper's table</h2>{_paper()}
<p class="small">Other models, other clips, another judge: printed for the protocol, not for comparison.</p>
<h2>How this was made</h2><p class="small">{made}; configuration {results["config_hash"][:12]}</p>
<details><summary class="small">Configuration</summary><pre class="small">{settings}</pre></details>
</html>"""


def columns(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, heading) of the figures that any system has."""
    known = [("EA-8", "EA-8cls"), ("EA-2", "EA-2cls"), ("content", "content"), ("temporal_flickering", "flicker score"),
             ("first_frame_psnr", "first frame, dB"), ("clip_score", "CLIP score"),
             ("frechet_transnetv2", "Frechet (TransNetV2)"), ("fvd", "FVD"), ("fvd_videomae", "FVD (VideoMAE)")]
    systems = results["summary"]["systems"].values()
    return [(key, heading) for key, heading in known if any(key in one for one in systems)]


def main_table(results: Mapping[str, Any]) -> str:
    summary, shown = results["summary"], columns(results)
    baseline = results["config"]["baseline"]
    head = "".join(f"<th>{heading}</th>" for _, heading in shown)
    gain = f"<th>EA-8 against {escape(baseline)}</th><th>p (Holm)</th>" if baseline else ""
    lines = []
    for name, figures in summary["systems"].items():
        cells = "".join(f"<td>{_cell(key, figures.get(key))}</td>" for key, _ in shown)
        if baseline:
            against = summary["against"].get(name, {}).get("EA-8")
            cells += f"<td>{_points_text(against)}</td><td>{_p(against)}</td>" if against else "<td></td><td></td>"
        lines.append(f"<tr><td>{escape(name)}</td><td>{figures['n']}</td>{cells}</tr>")
        for domain, part in figures.get("domains", {}).items() if len(figures.get("domains", {})) > 1 else ():
            cells = "".join(f"<td>{_cell(key, part.get(key))}</td>" for key, _ in shown)
            tail = "<td></td><td></td>" if baseline else ""
            lines.append(f'<tr class="small"><td>&emsp;{escape(domain)}</td><td>{part["n"]}</td>{cells}{tail}</tr>')
    return f"<table><tr><th>system</th><th>n</th>{head}{gain}</tr>{''.join(lines)}</table>"


def _cell(key: str, figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return ""
    if key.startswith(("frechet", "fvd")):
        spread = f" (halves {figure['half_mean']:.2f} &plusmn; {figure['half_sd']:.2f})" if "half_sd" in figure else ""
        p = f", p={figure['p']:.3f}" if figure.get("p") is not None else ""
        return f"{figure['value']:.2f}{spread}{p}"
    if key in ("EA-8", "EA-2"):
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
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


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


def _galleries(results: Mapping[str, Any], out: Path, shown: int = 24) -> str:
    """Every system's clips, the ones that miss their emotion the furthest first."""
    judge, parts = results["summary"]["judge"], []
    for name in results["summary"]["systems"]:
        rows = sorted((r for r in results["rows"] if r["system"] == name), key=lambda r: r["judges"][judge]["share"])
        clips = next(system["clips"] for system in results["config"]["systems"] if system["name"] == name)
        folder = out if clips in (None, "stickers") else Path(clips)
        cells = "".join(_clip(row, judge, folder) for row in rows[:shown])
        parts.append(f"<h2>{escape(name)}: worst first</h2><div class=\"clips\">{cells}</div>")
    return "".join(parts)


def _clip(row: Mapping[str, Any], judge: str, folder: Path) -> str:
    one = row["judges"][judge]
    verdict = f'<b class="{"good" if one["EA-8"] else "bad"}">{escape(one["read"])}</b>'
    picture = _picture(folder / row["file"])
    about = f'<span class="small">({one["share"]:.2f} on the asked)<br>{escape(row["prompt"])}</span>'
    return f'<div class="clip">{picture}asked <b>{escape(row["emotion"])}</b>, read {verdict} {about}</div>'


def _picture(path: Path) -> str:
    """The clip as a small animated WebP inside the page; nothing if it is not there any more."""
    try:
        frames, fps = read_video(path)
    except (OSError, ValueError):
        return '<span class="small">(clip not found)</span>'
    step = max(1, len(frames) // 16)
    small = [_shrunk(frame) for frame in frames[::step]]
    file = io.BytesIO()
    small[0].save(file, "WEBP", save_all=True, append_images=small[1:], duration=round(1000 * step / fps), loop=0,
                  quality=60)  # fmt: skip
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="" src="data:image/webp;base64,{data}">'


def _shrunk(frame: np.ndarray, side: int = 132) -> Image.Image:
    image = Image.fromarray(frame)
    return image.resize((side, max(1, round(side * image.height / image.width))), Image.LANCZOS)


def _paper() -> str:
    head = "<th>system</th><th>FVD</th><th>CLIP</th><th>SD</th><th>flicker (error)</th><th>EA-2cls</th><th>EA-8cls</th>"
    lines = "".join(
        "<tr>" + "".join(f"<td>{'' if value is None else escape(str(value))}</td>" for value in row) + "</tr>"
        for row in PAPER
    )
    return f"<table><tr>{head}</tr>{lines}</table>"


def rows_csv(results: Mapping[str, Any]) -> str:
    """One line a clip."""
    judge = results["summary"]["judge"]
    file = io.StringIO()
    writer = csv.writer(file)
    of_clip = ["system", "file", "domain", "prompt", "emotion", "seed"]
    of_judge = ["read", "share", "EA-8", "EA-2", "valence", "arousal"]
    measured = ["content", "temporal_flickering", "first_frame_psnr", "clip_score"]
    writer.writerow([*of_clip, *of_judge, *measured])
    for row in results["rows"]:
        one = row["judges"][judge]
        writer.writerow([*(row[k] for k in of_clip), *(one[k] for k in of_judge), *(row.get(k, "") for k in measured)])
    return file.getvalue()


def latex(results: Mapping[str, Any]) -> str:
    """A table for a paper, in booktabs' style."""
    shown = columns(results)
    lines = [r"\begin{tabular}{l" + "r" * (len(shown) + 1) + "}", r"\toprule",
             " & ".join(["system", "$n$", *(heading for _, heading in shown)]) + r" \\", r"\midrule"]  # fmt: skip
    for name, figures in results["summary"]["systems"].items():
        cells = [_cell(key, figures.get(key)).replace("&plusmn;", r"$\pm$") for key, _ in shown]
        lines.append(" & ".join([name.replace("_", r"\_"), str(figures["n"]), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def reread(out: Path) -> Mapping[str, Sequence]:
    return json.loads((out / "results.json").read_text(encoding="utf-8"))
