"""The page: one HTML file with every picture in it, readable on a desktop and on a phone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from emogen import __version__
from emogen.analysis.clips import Clips, describe
from emogen.analysis.interface import Analysis, Found, Picture, Result

_FIRST = 10  # results shown before one asks for more
_LONGEST = 400  # rows of a table on the page; the CSV file has them all

_STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:960px;
margin:0 auto;padding:1.2rem 1rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:.4rem 0}h2{margin:2.6rem 0 .4rem;padding-top:.5rem;border-top:1px solid #ddd;
scroll-margin-top:.5rem}a{color:#0b5d8f}.lead{color:#555;margin:.2rem 0 1rem;overflow-wrap:anywhere}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;background:#f5f6f7;border-radius:6px;
padding:.6rem .9rem;margin:0}nav .off a{color:#777}
.says{font-size:1.06rem;margin:.5rem 0 1rem;max-width:46rem}
.cannot{background:#f5f6f7;border-radius:6px;padding:.6rem .9rem;color:#444}
.warn{background:#fff6e0;border-left:4px solid #d98200;padding:.5rem .9rem;margin:.6rem 0;border-radius:0 6px 6px 0}
figure{margin:1.2rem 0;overflow-x:auto}figure svg{display:block;height:auto;max-width:100%}
figcaption{color:#555;font-size:.88rem;max-width:46rem;margin-top:.3rem;position:sticky;left:0}
.scroll{overflow-x:auto;max-width:100%}table{border-spacing:0;font-size:.88rem;font-variant-numeric:tabular-nums}
td,th{padding:.28rem .6rem;text-align:right;vertical-align:top;border-bottom:1px solid #eee;white-space:nowrap}
th{color:#555;font-weight:600;text-align:right}th:first-child,td:first-child{text-align:left;padding-left:0;
white-space:normal;min-width:9rem}
tr.noted td{border-bottom:0;padding-bottom:0}td.note{color:#666;font-size:.92em;padding-top:0}
summary{cursor:pointer;color:#0b5d8f;padding:.35rem 0}
.foot{color:#666;font-size:.85rem;margin-top:3rem}
#beside{position:fixed;z-index:2;background:#fff;border:1px solid #bbb;border-radius:6px;padding:.3rem;font-size:.8rem;
max-width:11rem;overflow-wrap:anywhere;pointer-events:none}#beside img{display:block;min-width:72px;margin-bottom:.2rem}
figure svg.narrow{display:none}
@media(max-width:560px){body{font-size:15px}figure svg.wide{max-width:none;width:560px}
figure svg.broad{display:none}figure svg.narrow{display:block}
table{font-size:.8rem}td,th{padding:.28rem .3rem}th:first-child,td:first-child{min-width:6.5rem}}
"""

_SCRIPT = """
const beside = document.getElementById('beside'), picture = beside.firstChild, words = beside.lastChild;
function show(event) {
  const dot = event.target.closest && event.target.closest('[data-clip]');
  beside.hidden = !dot;
  if (!dot) return;
  const source = SEEN[dot.dataset.clip];
  picture.hidden = !source;
  if (source) picture.src = source;
  words.textContent = dot.querySelector('title').textContent;
  beside.style.left = Math.max(4, Math.min(event.clientX + 12, innerWidth - 190)) + 'px';
  beside.style.top = Math.max(4, Math.min(event.clientY + 12, innerHeight - 130)) + 'px';
}
document.addEventListener('pointermove', show);
document.addEventListener('pointerdown', show);
"""


@dataclass(frozen=True)
class Part:
    """An analysis with what it found, or why it could not run."""

    analysis: Analysis
    found: Found | None
    why: str | None


def page(parts: Sequence[Part], clips: Clips) -> str:
    """The whole page."""
    links = "".join(
        f"<li{'' if part.found else ' class=off'}>"
        f'<a href="#{part.analysis.name}">{escape(part.analysis.title)}</a></li>'
        for part in parts
    )
    sections = "".join(_section(part) for part in parts)
    title = "What the clips say of emotion"
    lead = escape(": ".join(filter(None, (clips.source, describe(clips)))))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head><body>'
        f'<h1>{title}</h1><p class="lead">{lead}. Intervals are 95 % '
        f"and, unless a note says otherwise, over films or characters, because the clips of one film are not "
        f"independent.</p><nav><ul>{links}</ul></nav>{sections}"
        f'<p class="foot">Made by emogen {__version__} (<code>emogen analyze</code>). All figures are in '
        f"<code>analysis.json</code>, the tables in <code>tables/</code>, the pictures in <code>figures/</code>.</p>"
        f"{_hover(parts)}</body></html>\n"
    )


def _section(part: Part) -> str:
    head = f'<section id="{part.analysis.name}"><h2>{escape(part.analysis.title)}</h2>'
    if part.found is None:
        return f'{head}<p class="cannot">{escape(part.why or "")}</p></section>'
    found = part.found
    body = f'<p class="says">{escape(found.sentence)}</p>'
    body += "".join(f'<p class="warn">{escape(text)}</p>' for text in found.warnings)
    body += "".join(_figure(drawn) for drawn in found.pictures.values())
    body += _results(found.results)
    for name, rows in found.tables.items():
        if rows:
            shown = _table(rows[:_LONGEST])
            more = f" (the first {_LONGEST} of {len(rows):,})" if len(rows) > _LONGEST else ""
            body += f"<details><summary>Table: {escape(name.replace('_', ' '))}{more}</summary>{shown}</details>"
    return f"{head}{body}</section>"


def _figure(drawn: Picture) -> str:
    wide = drawn.narrow is None and "pt" in drawn.svg[:400] and _width(drawn.svg) > 420
    kinds = [(drawn.svg, "broad" if drawn.narrow else "wide" if wide else "")]
    if drawn.narrow:
        kinds.append((drawn.narrow, "narrow"))
    svgs = "".join(
        svg.replace("<svg", f'<svg role="img" aria-label="{escape(drawn.caption)}" class="{kind}"', 1)
        for svg, kind in kinds
    )
    return f"<figure>{svgs}<figcaption>{escape(drawn.caption)}</figcaption></figure>"


def _hover(parts: Sequence[Part]) -> str:
    """A small picture of a clip beside the pointer, or where a finger taps; every picture is held once."""
    seen: dict[str, str] = {}
    for part in parts:
        for drawn in part.found.pictures.values() if part.found else ():
            seen |= drawn.seen
    if not seen:
        return ""
    held = json.dumps(seen).replace("<", "\\u003c")
    return f'<div id="beside" hidden><img alt=""><span></span></div><script>const SEEN = {held};{_SCRIPT}</script>'


def _width(svg: str) -> float:
    """Points, of matplotlib's SVG."""
    import re

    found = re.search(r'width="([\d.]+)pt"', svg[:400])
    return float(found[1]) if found else 0.0


def _results(results: Sequence[Result]) -> str:
    if not results:
        return ""
    rows = [_result(result) for result in results]
    head = "<tr><th>figure</th><th>value</th><th>95 % interval</th><th>n</th></tr>"
    html = f'<div class="scroll"><table>{head}{"".join(rows[:_FIRST])}</table></div>'
    if len(rows) > _FIRST:
        rest = "".join(rows[_FIRST:])
        html += (
            f"<details><summary>{len(rows) - _FIRST} more figures</summary>"
            f'<div class="scroll"><table>{head}{rest}</table></div></details>'
        )
    return html


def _result(r: Result) -> str:
    """A row, and below it the note."""
    note = f'<tr><td class="note" colspan="4">{escape(r.note)}</td></tr>' if r.note else ""
    cells = f"<td>{escape(r.name)}</td><td>{number(r.value)}</td><td>{interval(r)}</td><td>{r.n:,}</td>"
    return f"<tr{' class=noted' if note else ''}>{cells}</tr>{note}"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f"<th>{escape(str(name).replace('_', ' '))}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{_cell(row.get(name))}</td>" for name in columns) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, (float, int, np.number)) and not isinstance(value, bool):
        return number(value)
    return "" if value is None else escape(str(value))


def number(value: Any) -> str:
    """A figure as it is read: three places, more where it is small, none where it is whole."""
    if value is None or not math.isfinite(value):
        return "-"
    value = float(value)
    if value.is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    size = abs(value)
    if size >= 100:
        return f"{value:,.1f}"
    return f"{value:.3f}" if size >= 0.01 else f"{value:.2g}"


def interval(result: Result) -> str:
    """Low to high, or a dash."""
    low, high = result.low, result.high
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return "-"
    return f"{number(low)} to {number(high)}"
