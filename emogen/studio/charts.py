"""Line charts as SVG: a line a name, each named at its end. Themed by the page's CSS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 220, 46, 92, 10, 26
Line = tuple[Sequence[float], Sequence[float]]
"""Places from left to right, and heights."""


def lines_svg(title: str, lines: Mapping[str, Line], colours: Mapping[str, str]) -> str:
    """A chart of at least one line.

    Args:
        title: stands above.
        lines: name -> places and heights, as many of both.
        colours: name -> CSS colour; the others are drawn as text is.
    """
    xs = [x for places, _ in lines.values() for x in places]
    ys = [y for _, heights in lines.values() for y in heights]
    if not xs:
        return ""
    x_low, x_high = min(xs), max(xs)
    low, high = min(ys), max(ys)
    pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    low, high = low - pad, high + pad

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((value - x_low) / (x_high - x_low) if x_high > x_low else 0.5)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = [f'<figure class="chart"><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" '
             f'role="img" aria-label="{escape(title, quote=True)}">']  # fmt: skip
    for share in (0, 0.5, 1):
        value = low + (high - low) * share
        parts.append(f'<path class="axis" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/><text class="pole" '
                     f'x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')  # fmt: skip
    for value in dict.fromkeys((x_low, x_high)):
        parts.append(f'<text class="pole" x="{x(value):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{value:g}</text>')
    ends = _apart({name: y(heights[-1]) for name, (_, heights) in lines.items() if len(heights)})
    for name, (places, heights) in lines.items():
        if not len(heights):
            continue
        colour = colours.get(name, "currentColor")
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(places, heights, strict=True))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<circle cx="{x(places[-1]):.1f}" cy="{y(heights[-1]):.1f}" r="3" fill="{colour}"/>'
            f'<text class="name" x="{x(places[-1]) + 8:.1f}" y="{ends[name] + 4:.1f}" fill="{colour}">'
            f"{escape(name)}</text>"
        )
    return "".join(parts) + "</svg></figure>"


def _apart(heights: Mapping[str, float], gap: float = 13.0) -> dict[str, float]:
    """Heights of labels, moved so that none stands on another."""
    order = sorted(heights, key=lambda name: heights[name])
    placed: dict[str, float] = {}
    below = -1e9
    for name in order:
        placed[name] = below = max(heights[name], below + gap)
    above = HEIGHT - BOTTOM + gap
    for name in reversed(order):  # those that ran out below are pushed up again
        placed[name] = above = min(placed[name], above - gap)
    return placed


def thinned(line: Line, most: int = 200) -> Line:
    """At most so many points of a line, the last among them."""
    places, heights = line
    step = max(1, -(-len(places) // most))
    kept = sorted({*range(0, len(places), step), len(places) - 1}) if len(places) else []
    return [float(places[i]) for i in kept], [float(heights[i]) for i in kept]
