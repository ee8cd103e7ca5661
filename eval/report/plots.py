"""Small SVG pictures for the report: they need no library and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from emogen.emotion import MIKELS, MIKELS_VA

Point = tuple[float, float]
# Okabe and Ito's colours, told apart by colour-blind readers too
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C00")


def bars(rows: Mapping[str, Sequence[tuple[str, Mapping[str, float]]]]) -> str:
    """Bars with intervals: a group an emotion, in it a bar a system; values in [0, 1]. Two pictures, side by side
    where the window is wide enough."""
    groups = list(rows.items())
    half = (len(groups) + 1) // 2
    pictures = (_bars(part) for part in (groups[:half], groups[half:]) if part)
    return f'<div class="pair">{"".join(pictures)}</div>'


def _bars(groups: Sequence[tuple[str, Sequence[tuple[str, Mapping[str, float]]]]]) -> str:
    label, width, bar, gap, cap = 88, 300, 13, 10, 3
    parts, y = [], 4
    for group, entries in groups:
        middle = y + len(entries) * bar / 2 + 4
        parts.append(f'<text x="{label - 8}" y="{middle:.0f}" text-anchor="end">{escape(group)}</text>')
        for index, (name, figure) in enumerate(entries):
            colour, top = COLOURS[index % len(COLOURS)], y + index * bar
            if figure["value"] is None:  # no clip of this emotion
                continue
            x = label + width * figure["value"]
            low, high = (label + width * figure[key] for key in ("low", "high"))
            interval = f"[{figure['low']:.0%}, {figure['high']:.0%}]"
            about = f"{name}, {group}: {figure['value']:.0%} {interval}, n={figure['n']}"
            axis = top + bar / 2 - 1
            caps = "".join(f"M{end:.1f} {axis - cap:.1f}v{2 * cap}" for end in (low, high))
            parts.append(
                f'<g><title>{escape(about)}</title><rect x="{label}" y="{top}" width="{max(1, x - label):.1f}" '
                f'height="{bar - 2}" fill="{colour}" opacity=".85"/>'
                f'<path d="M{low:.1f} {axis:.1f}H{high:.1f}{caps}" stroke="#333" stroke-width="1.2"/></g>'
            )
        y += len(entries) * bar + gap
    ticks = "".join(
        f'<path d="M{label + width * t:.0f} 0V{y}" stroke="#ddd"/><text x="{label + width * t:.0f}" y="{y + 14}" '
        f'text-anchor="middle" fill="#666">{t:.0%}</text>' for t in (0, 0.25, 0.5, 0.75, 1)
    )  # fmt: skip
    return f'<svg viewBox="0 0 {label + width + 22} {y + 20}" class="bars" role="img">{ticks}{"".join(parts)}</svg>'


def legend(names: Sequence[str]) -> str:
    """Which colour is which system."""
    return "".join(
        f'<span class="key"><i style="background:{COLOURS[i % len(COLOURS)]}"></i>{escape(name)}</span>'
        for i, name in enumerate(names)
    )


def confusion(matrix: Sequence[Sequence[int]]) -> str:
    """Rows asked, columns read, cells shaded by the share of the row; rows that were not asked are left out."""
    head = "".join(f"<th><span>{name}</span></th>" for name in MIKELS)
    lines = []
    for name, row in zip(MIKELS, matrix, strict=True):
        total = sum(row)
        if total:
            lines.append(f"<tr><th>{name}</th>{''.join(_confused(value, total) for value in row)}</tr>")
    return f'<table class="confusion"><tr><td></td>{head}</tr>{"".join(lines)}</table>'


def _confused(value: int, total: int) -> str:
    if not value:
        return '<td class="zero">0</td>'
    share = value / total
    # white text is the clearer one on the darkest cells only
    ink = ";color:#fff" if share > 0.85 else ""
    return f'<td style="background:rgba(0,114,178,{share:.2f}){ink}">{value}</td>'


def plane(points: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """The valence-arousal plane: where each emotion should be (cross), and where the judge saw it (dots, mean ring)."""
    size, pad = 330, 8

    def place(valence: float, arousal: float) -> tuple[float, float]:
        return pad + (valence + 1) / 2 * size, pad + (1 - arousal) / 2 * size

    x0, y0 = place(0, 0)
    parts = [
        f'<rect x="{pad}" y="{pad}" width="{size}" height="{size}" fill="#fafafa" stroke="#ccc"/>',
        f'<path d="M{pad} {y0}H{pad + size}M{x0} {pad}V{pad + size}" stroke="#ccc"/>',
        f'<text x="{pad + size}" y="{y0 - 4}" text-anchor="end" fill="#888">valence</text>',
        f'<text x="{x0 + 4}" y="{pad + 12}" fill="#888">arousal</text>',
    ]
    labels = []  # above the dots of every emotion
    for index, name in enumerate(MIKELS):
        colour = COLOURS[index]
        for valence, arousal in points.get(name, ()):
            x, y = place(valence, arousal)
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}" opacity=".35"/>')
        if points.get(name):
            mean = [sum(axis) / len(points[name]) for axis in zip(*points[name], strict=True)]
            x, y = place(*mean)
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = place(*MIKELS_VA[name])
        # Labels keep inside of the frame, and anger's out of the way of fear's, just above it.
        side, anchor = (x - 7, "end") if MIKELS_VA[name][0] > 0.5 else (x + 7, "start")
        height = y + 13 if name == "anger" else y - 5
        labels.append(
            f'<path d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{side:.1f}" y="{height:.1f}" text-anchor="{anchor}" fill="{colour}">{name}</text>'
        )
    side = size + 2 * pad
    return f'<svg viewBox="0 0 {side} {side}" class="plane" role="img">{"".join(parts + labels)}</svg>'


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
