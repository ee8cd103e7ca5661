"""The page: what was measured, curves, and frames to look at. It needs nothing but itself."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emogen.eval.benchmark.results import inside
from emogen.eval.clips import read_clip
from emogen.eval.controls.headlines import headlines, interval, number, percent
from emogen.eval.report.frame import document, judges_section, made_with
from emogen.eval.report.plots import COLOURS, Line, curves, legend, scatter
from emogen.eval.statistics import FEWEST_PROMPTS
from emogen.files import write_text

Rows = Sequence[Mapping[str, Any]]
STYLE = """.curve{width:300px}.pair{gap:1rem}.strip{display:flex;gap:3px;align-items:end;margin:.2rem 0;
overflow-x:auto}.strip b{flex:none;width:110px;font-weight:400;font-size:12px;align-self:center}
.strip figure{margin:0;font-size:10px;color:#666;
text-align:center}.strip img{width:72px;display:block;border-radius:4px}"""


def write_report(results: Mapping[str, Any], out: Path) -> None:
    """Write report.html from the results and the clips alone."""
    write_text(out / "report.html", page(results, out))


def page(results: Mapping[str, Any], out: Path) -> str:
    config = results["config"]
    judged = "".join(_judge(judge, summary, results["rows"]) for judge, summary in results["studies"].items())
    lost = [f"<li>{escape(one['clip'])}: {escape(one['reason'])}</li>"
            for study in results["excluded"].values() for one in study]  # fmt: skip
    excluded = f"<h2>Clips that could not be used ({len(lost)})</h2><ul>{''.join(lost)}</ul>" if lost else ""
    judges = judges_section({"judges": results["judges"], "summary": {}, "warnings": results["warnings"]})
    settings = escape(json.dumps({**config, "prompts_used": results["prompts"]}, indent=1))
    enough = len(results["prompts"]) >= FEWEST_PROMPTS
    few = "" if enough else f" Fewer than {FEWEST_PROMPTS} prompts give no intervals."
    lead = f"""<p class="small">{escape(config["system"]["model"])} with {escape(config["system"]["adapter"])};
{len(results["prompts"])} prompts x {len(config["seeds"])} seeds. Square brackets and bands are 95 % intervals from
drawing whole prompts.{few}</p>"""
    body = f"""{judged}<h2>Frames of the first prompt</h2>
<p class="small">{escape(results["prompts"][0])}</p>{_strips(results["rows"], out)}{judges}{excluded}
<h2>How this was made</h2><p class="small">{made_with(results["made_with"])}</p>
<details><summary class="small">Configuration and prompts</summary>
<pre class="small">{settings}</pre></details>"""
    return document(config["name"], lead, body, STYLE)


def _judge(judge: str, summary: Mapping[str, Any], rows: Mapping[str, Rows]) -> str:
    table = _table(("control", "measured", "figure"), headlines(summary))
    parts = [_SECTIONS[study](summary[study], rows[study], judge) for study in summary]
    return f"<h2>As judged by {escape(judge)}</h2>{table}{''.join(parts)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{_whole_intervals(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{lines}</table>"


def _whole_intervals(cell: str) -> str:
    return re.sub(r"\[[^\]]*\]", r'<span class="range">\g<0></span>', escape(cell))


def _intensity(found: Mapping[str, Any], rows: Rows, judge: str) -> str:
    plots, table = [], []
    for index, (emotion, one) in enumerate(found["emotions"].items()):
        lines = []
        for name, dashed in (("share", False), ("probability", True)):
            points = [(level, f["value"]) for level, f in zip(found["levels"], one[name], strict=True)]
            if None not in [y for _, y in points]:
                band = [] if dashed else [(f["low"], f["high"]) for f in one[name]]
                lines.append(Line(name, points, COLOURS[index % len(COLOURS)], dashed, band=band))
        plots.append(f'<div><h4>{emotion}: rho {interval(one["rho"])}</h4>'
                     f'{curves(lines, (0, 1), (0, 1), "intensity asked", "judged share")}</div>')  # fmt: skip
        table.append((emotion, *(interval(one[key]) for key in ("rho", "rho_clips", "rho_probability", "gain"))))
    shown = _table(("emotion", "rho of means", "mean rho of a prompt", "rho of probability", "gain in share"), table)
    return (f'<h3>Intensity</h3><p class="small">Full line: share of the asked emotion among the eight. Dashed: that '
            f'times the confidence that there is any emotion.</p><div class="pair">{"".join(plots)}</div>{shown}'
            f"<h3>emotion_scale: what it does in measurement</h3>{_scales(found)}")  # fmt: skip


def _scales(found: Mapping[str, Any]) -> str:
    rows = []
    for name, scales in (("all", found["all"]["scales"]), *((e, f["scales"]) for e, f in found["emotions"].items())):
        for one in scales:
            most = f"{one['most_read']} {percent(one['most_read_share'])}" if name != "all" else ""
            valence = interval(one["valence"]) if name != "all" else ""
            rows.append((name, f"{one['scale']:g}", interval(one["share"]), interval(one["toward"]), valence,
                         interval(one["arousal"]), interval(one["confidence"]), most))  # fmt: skip
    head = ("emotion", "emotion_scale", "share of it", "valence toward its sign", "valence", "arousal",
            "any emotion at all", "most often read as")  # fmt: skip
    return _table(head, rows)


def _plane(found: Mapping[str, Any], rows: Rows, judge: str) -> str:
    plots = []
    for place, axis in enumerate(("valence", "arousal")):
        points = [(row[axis], row["judges"][judge][axis]) for row in rows]
        means = [(point["asked"][place], point["judged"][place]) for point in found["points"]]
        about = f"r {interval(found[axis]['r'])}, slope {interval(found[axis]['slope'])}"
        plots.append(f"<div><h4>{axis}: {about}</h4>{scatter(points, means, f'{axis} asked', f'{axis} judged')}</div>")
    return (f'<h3>The plane</h3><p class="small">Dots: {found["clips"]} clips. Rings: means of a point of the grid. '
            f'Dashed: judged as asked.</p><div class="pair">{"".join(plots)}</div>')  # fmt: skip


def _mixtures(found: Mapping[str, Any], rows: Rows, judge: str) -> str:
    lines = [(" + ".join(one["pair"]), str(one["n"]), percent(one["both"]), percent(one["first"]),
              " / ".join(number(share) for share in one["shares"]), ", ".join(one["largest"]))
             for one in sorted(found["pairs"], key=lambda one: -one["both"])]  # fmt: skip
    head = ("asked, half and half", "clips", "both largest", "largest is one", "mean shares", "largest in the mean")
    return f"<h3>Mixtures</h3>{_table(head, lines)}"


def _arcs(found: Mapping[str, Any], rows: Rows, judge: str) -> str:
    parts = []
    for shape, one in found.items():
        if not one["mean_curve"]:
            continue
        lines, table = [], []
        for index, pair in enumerate(one["pairs"]):
            name, curve = " > ".join(pair["pair"]), pair["mean_curve"]
            points = [(point["time"], point["judged"]["value"]) for point in curve]
            lines.append(Line(name, points, COLOURS[index % len(COLOURS)], thin=True))
            table.append((name, str(pair["n"]), number(pair["r"]), str(pair["switches"]), percent(pair["within"]),
                          number(pair["median_distance"])))  # fmt: skip
        mean = one["mean_curve"]
        band = [(point["judged"]["low"], point["judged"]["high"]) for point in mean]
        lines.append(Line("mean", [(p["time"], p["judged"]["value"]) for p in mean], "#000000", band=band))
        lines.append(Line("asked", [(p["time"], p["asked"]) for p in mean], "#666666", dashed=True))
        names = [" > ".join(pair["pair"]) for pair in one["pairs"]]
        head = ("arc", "clips", "r", "that switch", "within one latent frame", "median distance, latent frames")
        plot = curves(lines, (0, 1), (-1, 1), "time in the clip", "share of the second minus the first")
        parts.append(f'<h3>Arcs: {shape}</h3><p class="small">Black: mean; dashed: as asked.</p><p>{legend(names)}</p>'
                     f"{plot}{_table(head, table)}")  # fmt: skip
    return "".join(parts)


_SECTIONS: dict[str, Callable[[Mapping[str, Any], Rows, str], str]] = {
    "intensity": _intensity, "plane": _plane, "mixtures": _mixtures, "arcs": _arcs,
}  # fmt: skip


def _strips(rows: Mapping[str, Rows], out: Path) -> str:
    """Of the first prompt and seed: a row of middle frames a study's group, and all windows' worth of every arc."""
    groups: dict[str, dict[str, Any]] = {}
    for study, several in rows.items():
        first = [row for row in several if (row["number"], row["seed"]) == (several[0]["number"], several[0]["seed"])]
        for row in first:
            frames = frames_of(out, row["file"])
            if frames is None:
                continue
            if study == "arcs":
                picks = range(0, len(frames), max(1, len(frames) // 13))
                groups[f"{row['shape']}: {' > '.join(row['pair'])}"] = {f"{i}": frames[i] for i in picks}
                continue
            group, caption = _place(study, row)
            groups.setdefault(group, {})[caption] = frames[len(frames) // 2]
    return "".join(strip(label, pictures) for label, pictures in groups.items())


def _place(study: str, row: Mapping[str, Any]) -> tuple[str, str]:
    if study == "intensity":
        return row["emotion"], f"{row['level']:g}" if row["scale"] == 1 else f"scale {row['scale']:g}"
    if study == "plane":
        return f"arousal {row['arousal']:g}", f"valence {row['valence']:g}"
    a, b = row["pair"]
    return f"{a} +", b


def strip(label: str, pictures: Mapping[str, np.ndarray]) -> str:
    """A row of frames uint8 `[H, W, 3]` with their captions; nothing without frames."""
    cells = "".join(f"<figure>{_picture(frame)}{escape(caption)}</figure>" for caption, frame in pictures.items())
    return f'<div class="strip"><b>{escape(label)}</b>{cells}</div>' if cells else ""


def frames_of(out: Path, file: str) -> np.ndarray | None:
    """A clip of the run; None if it is not there any more."""
    try:
        return read_clip(inside(out / "clips", file), 1)
    except ValueError:
        return None


def _picture(frame: np.ndarray, side: int = 96) -> str:
    image = Image.fromarray(frame)
    image = image.resize((side, max(1, round(side * image.height / image.width))), Image.LANCZOS)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=75)
    return f'<img alt="" src="data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}">'
