"""SVG curves and scatters, and strips of frames, for the page; nothing of them lies outside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from emogen.eval.benchmark.systems import read_clip

Point = tuple[float, float]
STYLE = """.curve{width:300px}.pair{gap:1rem}.strip{display:flex;gap:3px;align-items:end;margin:.2rem 0;
overflow-x:auto}.strip b{flex:none;width:110px;font-weight:400;font-size:12px;align-self:center}
.strip figure{margin:0;font-size:10px;color:#666;
text-align:center}.strip img{width:72px;display:block;border-radius:4px}"""


@dataclass(frozen=True)
class Line:
    """A curve: points in the plot's units, perhaps a band of (low, high) at each."""

    label: str
    points: Sequence[Point]
    colour: str = "#0072B2"
    dashed: bool = False
    thin: bool = False
    band: Sequence[tuple[float | None, float | None]] = ()


def curves(lines: Sequence[Line], x_range: Point, y_range: Point, x_label: str, y_label: str) -> str:
    """Lines on common axes."""
    plot = _Axes(x_range, y_range)
    parts = [plot.frame(x_label, y_label)]
    for line in lines:
        band = [(x, low, high) for (x, _), (low, high) in zip(line.points, line.band, strict=False) if low is not None]
        if band:
            outline = [plot.at(x, high) for x, _, high in band] + [plot.at(x, low) for x, low, _ in reversed(band)]
            parts.append(f'<path d="M{"L".join(outline)}Z" fill="{line.colour}" opacity=".15"/>')
        path = "L".join(plot.at(x, y) for x, y in line.points)
        dash = ' stroke-dasharray="5 4"' if line.dashed else ""
        width = 1 if line.thin else 2
        parts.append(f'<path d="M{path}" fill="none" stroke="{line.colour}" stroke-width="{width}"{dash} '
                     f'opacity="{0.45 if line.thin else 1}"><title>{escape(line.label)}</title></path>')  # fmt: skip
    return plot.svg(parts)


def scatter(points: Sequence[Point], means: Sequence[Point], x_label: str, y_label: str) -> str:
    """Dots, rings at means, and the diagonal on which all would lie; both axes from -1 to 1."""
    plot = _Axes((-1, 1), (-1, 1))
    parts = [plot.frame(x_label, y_label),
             f'<path d="M{plot.at(-1, -1)}L{plot.at(1, 1)}" stroke="#999" stroke-dasharray="5 4"/>']  # fmt: skip
    for values, look in (
        (points, 'r="2.2" fill="#0072B2" opacity=".35"'),
        (means, 'r="5" fill="none" stroke="#D55E00" stroke-width="1.5"'),
    ):
        for x, y in values:
            left, top = plot.at(x, y).split()
            parts.append(f'<circle cx="{left}" cy="{top}" {look}/>')
    return plot.svg(parts)


class _Axes:
    wide, high, left, top = 250, 180, 38, 8

    def __init__(self, x_range: Point, y_range: Point):
        self.x, self.y = x_range, y_range

    def at(self, x: float, y: float) -> str:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return f"{self.left + across * self.wide:.1f} {self.top + (1 - up) * self.high:.1f}"

    def frame(self, x_label: str, y_label: str) -> str:
        ticks = []
        for share in (0, 0.5, 1):
            x, y = (low + share * (high - low) for low, high in (self.x, self.y))
            left, top = self.left + share * self.wide, self.top + (1 - share) * self.high
            below = self.top + self.high + 13
            ticks.append(
                f'<path d="M{self.left} {top}h{self.wide}" stroke="#eee"/>'
                f'<text x="{self.left - 4}" y="{top + 4}" text-anchor="end" fill="#666">{y:g}</text>'
                f'<text x="{left}" y="{below}" text-anchor="middle" fill="#666">{x:g}</text>'
            )
        middle, bottom = self.left + self.wide / 2, self.top + self.high
        return (f'<rect x="{self.left}" y="{self.top}" width="{self.wide}" height="{self.high}" fill="none" '
                f'stroke="#ccc"/>{"".join(ticks)}<text x="{middle}" y="{bottom + 27}" text-anchor="middle">'
                f'{escape(x_label)}</text><text transform="translate(10 {self.top + self.high / 2})rotate(-90)" '
                f'text-anchor="middle">{escape(y_label)}</text>')  # fmt: skip

    def svg(self, parts: Sequence[str]) -> str:
        size = f"{self.left + self.wide + 12} {self.top + self.high + 32}"
        return f'<svg viewBox="0 0 {size}" class="curve" role="img">{"".join(parts)}</svg>'


def strip(label: str, pictures: Mapping[str, np.ndarray]) -> str:
    """A row of frames uint8 `[H, W, 3]` with their captions; nothing without frames."""
    cells = "".join(f"<figure>{_picture(frame)}{escape(caption)}</figure>" for caption, frame in pictures.items())
    return f'<div class="strip"><b>{escape(label)}</b>{cells}</div>' if cells else ""


def frames_of(out: Path, file: str) -> np.ndarray | None:
    """A clip of the run; None if it is not there any more."""
    try:
        return read_clip(out / "clips" / file, 1)
    except ValueError:
        return None


def _picture(frame: np.ndarray, side: int = 96) -> str:
    image = Image.fromarray(frame)
    image = image.resize((side, max(1, round(side * image.height / image.width))), Image.LANCZOS)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=75)
    return f'<img alt="" src="data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}">'
