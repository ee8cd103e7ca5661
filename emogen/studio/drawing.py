"""The page's pictures as SVG: the plane, an arc over time, a distribution. No library, no network, themed by CSS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from emogen.emotion import MIKELS, MIKELS_VA, NEUTRAL, EmotionArc, EmotionState
from emogen.studio.colours import COLOURS

SIZE = 320
_MIDDLE, _RADIUS = SIZE / 2, 132.0
# Where a name stands to its point where it does not stand below: dx, dy and the text's anchor. Fear and anger lie
# close together, and so do amusement and awe.
_BELOW = (0, 19, "middle")
_BESIDE = {"fear": (10, 2, "start"), "anger": (10, 7, "start"), "awe": (-10, 2, "end")}


def plane_position(valence: float, arousal: float) -> tuple[float, float]:
    """Where a point of the plane lies on a picture of `SIZE` x `SIZE`: x to the right, y downwards."""
    return _MIDDLE + _RADIUS * valence, _MIDDLE - _RADIUS * arousal


def plane_svg(mark: str = "") -> str:
    """The valence-arousal plane with the eight on it.

    Args:
        mark: SVG that is drawn on top, such as the point that was picked.
    """
    left, top = plane_position(-1, 1)
    side, middle = 2 * _RADIUS, _MIDDLE
    parts = [
        f'<svg viewBox="0 0 {SIZE} {SIZE}" class="plane" role="application" tabindex="0" '
        'aria-label="valence-arousal plane; click, or move the point by the arrow keys">',
        '<defs><linearGradient id="plane-v"><stop offset="0" stop-color="#2f7cc4"/><stop offset="1" '
        'stop-color="#e8a400"/></linearGradient><linearGradient id="plane-a" x1="0" x2="0" y1="0" y2="1"><stop '
        'offset="0" stop-color="#f0569a" stop-opacity=".55"/><stop offset=".55" stop-color="#fff" stop-opacity="0"/>'
        "</linearGradient></defs>",
        f'<rect class="field" x="{left}" y="{top}" width="{side}" height="{side}" rx="14" fill="url(#plane-v)" '
        'opacity=".20"/>',
        f'<rect class="field" x="{left}" y="{top}" width="{side}" height="{side}" rx="14" fill="url(#plane-a)" '
        'opacity=".35"/>',
        f'<path class="axis" d="M{left} {middle}H{left + side}M{middle} {top}V{top + side}"/>',
        f'<circle class="axis ring" cx="{middle}" cy="{middle}" r="{_RADIUS}"/>'
        f'<circle class="axis ring" cx="{middle}" cy="{middle}" r="{_RADIUS / 2}"/>',
        f'<text class="pole" x="{middle}" y="{top - 9}" text-anchor="middle">stirred</text>',
        f'<text class="pole" x="{middle}" y="{top + side + 19}" text-anchor="middle">calm</text>',
        f'<text class="pole" transform="translate({left - 10} {middle}) rotate(-90)" text-anchor="middle">'
        "unpleasant</text>",
        f'<text class="pole" transform="translate({left + side + 10} {middle}) rotate(90)" text-anchor="middle">'
        "pleasant</text>",
    ]
    for name, (valence, arousal) in MIKELS_VA.items():
        x, y = plane_position(valence, arousal)
        dx, dy, anchor = _BESIDE.get(name, _BELOW)
        parts.append(
            f'<g class="point"><circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{COLOURS[name]}"/>'
            f'<text x="{x + dx:.1f}" y="{y + dy:.1f}" text-anchor="{anchor}">{name}</text></g>'
        )
    parts.append(
        f'<g class="point"><circle cx="{middle}" cy="{middle}" r="4" fill="{COLOURS[NEUTRAL]}"/>'
        f'<text class="quiet" x="{middle}" y="{middle + 18}" text-anchor="middle">{NEUTRAL}</text></g>'
    )
    return "".join(parts) + mark + "</svg>"


def small_plane_svg(marks: Mapping[str, tuple[float, float]]) -> str:
    """The plane without names and a few marks on it, each with its CSS class: {"asked": (valence, arousal)}."""
    size, radius = 72, 30

    def at(valence: float, arousal: float) -> str:
        return f'cx="{size / 2 + radius * valence:.1f}" cy="{size / 2 - radius * arousal:.1f}"'

    points = "".join(f'<circle {at(*va)} r="2" fill="{COLOURS[name]}" opacity=".6"/>' for name, va in MIKELS_VA.items())
    dots = "".join(
        f'<circle class="mark {escape(kind)}" {at(*va)} r="4.5"><title>{escape(kind)}: valence {va[0]:+.2f}, arousal '
        f"{va[1]:+.2f}</title></circle>"
        for kind, va in marks.items()
    )
    return (
        f'<svg viewBox="0 0 {size} {size}" class="small-plane" role="img"><rect class="field" x="6" y="6" width="60" '
        f'height="60" rx="6"/><path class="axis" d="M6 36H66M36 6V66"/>{points}{dots}</svg>'
    )


def bars_html(distribution: Sequence[float], asked: Sequence[float] | None = None) -> str:
    """Eight bars with names and numbers; a tick on each bar says how much was asked for.

    Args:
        distribution: eight shares in [0, 1] in the order of `MIKELS`.
        asked: the same of what was asked for.
    """
    rows = []
    for index, (name, share) in enumerate(zip(MIKELS, distribution, strict=True)):
        tick = ""
        if asked is not None and asked[index] >= 0.01:
            place = min(1.0, asked[index])
            tick = f'<i class="tick" style="left:{place:.1%}" title="asked: {asked[index]:.0%}"></i>'
        rows.append(_bar(name, share, tick))
    return f'<div class="bars">{"".join(rows)}</div>'


def arc_svg(arc: EmotionArc, samples: int = 64) -> str:
    """How strong each emotion of an arc is over the clip: share times intensity, a line an emotion."""
    width, height, left, top, bottom = 520, 190, 34, 12, 30
    times = [i / (samples - 1) for i in range(samples)]
    states = [arc.at(t) for t in times]
    strengths = {name: [s.distribution[i] * s.intensity for s in states] for i, name in enumerate(MIKELS)}
    strengths = {name: line for name, line in strengths.items() if any(abs(v) >= 0.02 for v in line)}
    high = max([1.0, *(v for line in strengths.values() for v in line)])
    low = min([0.0, *(v for line in strengths.values() for v in line)])

    def x(t: float) -> float:
        return left + (width - left - 14) * t

    def y(v: float) -> float:
        return top + (height - top - bottom) * (high - v) / (high - low)

    parts = [f'<svg viewBox="0 0 {width} {height}" class="arc" role="img" aria-label="the arc over the clip">']
    for value in sorted({0.0, 0.5 * high, high, low}):
        parts.append(f'<path class="axis" d="M{left} {y(value):.1f}H{x(1):.1f}"/><text class="pole" x="{left - 6}" '
                     f'y="{y(value) + 4:.1f}" text-anchor="end">{value:.2g}</text>')  # fmt: skip
    for t in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<text class="pole" x="{x(t):.1f}" y="{height - 10}" text-anchor="middle">{t:g}</text>')
    for keyframe in arc.keyframes:
        parts.append(f'<path class="key" d="M{x(keyframe.time):.1f} {y(high):.1f}V{y(low):.1f}"/>')
    labels: list[float] = []
    for name, line in strengths.items():
        points = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in zip(times, line, strict=True))
        parts.append(
            f'<polygon points="{x(0):.1f},{y(0):.1f} {points} {x(1):.1f},{y(0):.1f}" fill="{COLOURS[name]}" '
            f'opacity=".16"/><polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2.5"/>'
        )
        peak = max(range(samples), key=lambda i: (abs(line[i]), -abs(times[i] - 0.5)))
        place = y(line[peak]) + 15
        while any(abs(place - other) < 13 for other in labels):  # names of equal lines stand below one another
            place += 13
        labels.append(place)
        anchor = "start" if times[peak] < 0.2 else "end" if times[peak] > 0.8 else "middle"
        shift = {"start": 6, "end": -6, "middle": 0}[anchor]
        parts.append(f'<text class="name" x="{x(times[peak]) + shift:.1f}" y="{place:.1f}" text-anchor="{anchor}" '
                     f'fill="{COLOURS[name]}">{name}</text>')  # fmt: skip
    return "".join(parts) + "</svg>"


def emotion_html(emotion: EmotionState | EmotionArc, text: str) -> str:
    """What will be asked of the model: its text, and a picture of it. Of a state the shares of the eight that it holds,
    which add up to 100 %, and its intensity; of an arc each emotion's strength over the clip."""
    if isinstance(emotion, EmotionArc):
        return f'<div class="asked"><code>{escape(text)}</code>{arc_svg(emotion)}</div>'
    if emotion.is_neutral:
        return (f'<div class="asked"><code>{escape(text)}</code><p class="hint">No emotion: the adapter adds nothing.'
                "</p></div>")  # fmt: skip
    away = ", away from the emotion" if emotion.intensity < 0 else ""
    shares = [(name, share) for name, share in zip(MIKELS, emotion.distribution, strict=True) if share >= 0.005]
    return (
        f'<div class="asked"><p><code>{escape(text)}</code> <span class="hint">intensity {emotion.intensity:.2f}{away}'
        f'</span></p><div class="bars">{"".join(_bar(name, share) for name, share in shares)}</div></div>'
    )


def _bar(name: str, share: float, tick: str = "") -> str:
    return (
        f'<div class="bar"><span>{name}</span><div class="track"><b style="width:{min(1.0, share):.1%};'
        f'background:{COLOURS[name]}"></b>{tick}</div><em>{share:.0%}</em></div>'
    )
