"""Clips to look at, failures first: of the system that the evaluation is about before those of the others."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emogen.media.reader import read_video


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
    picture = _picture(folder / row["file"], f"{row['prompt']}, {row['emotion']}")
    about = f'<span class="small">({one["share"]:.2f})<br>{escape(row["prompt"])}</span>'
    return f'<div class="clip">{picture}asked <b>{escape(row["emotion"])}</b>, read {verdict} {about}</div>'


def _picture(path: Path, alt: str) -> str:
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
    return f'<img alt="{escape(alt)}" src="data:image/webp;base64,{data}">'


def _shrunk(frame: np.ndarray, side: int = 132) -> Image.Image:
    image = Image.fromarray(frame)
    return image.resize((side, max(1, round(side * image.height / image.width))), Image.LANCZOS)
