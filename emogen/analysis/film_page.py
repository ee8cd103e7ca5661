"""The page of one film: a player with a judge's curves under it. One file without network, for a desk and a phone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:16px/1.45 system-ui,sans-serif;color:#222;background:#fff;max-width:860px;margin:0 auto;
padding:.8rem 1rem 3rem}
h1{font-size:1.3rem;margin:.3rem 0;overflow-wrap:anywhere}.lead,.small{color:#555;font-size:.9rem;margin:.2rem 0 .8rem}
video{display:block;width:100%;max-height:46vh;background:#111;border-radius:8px}
#now{min-height:3.1em;margin:.6rem 0;font-variant-numeric:tabular-nums}#now b{font-size:1.1rem}
figure{margin:.4rem 0}figcaption{display:flex;flex-wrap:wrap;gap:.15rem .9rem;font-size:.85rem;color:#444}
figcaption i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.3em}
svg{display:block;width:100%;height:150px;cursor:pointer;touch-action:pan-y;border:1px solid #ddd;border-radius:6px;
background:#fcfcfc}svg:focus-visible{outline:2px solid #0b5d8f}svg.shares{height:120px}
.axis{font-size:10px;fill:#666}.grid{stroke:#ddd}.head{stroke:#111;stroke-width:1.5}
.row{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;margin:.6rem 0}
button,select,label.file{font:inherit;font-size:.95rem;padding:.45rem .8rem;border:1px solid #aaa;border-radius:6px;
background:#f5f6f7;color:#222;cursor:pointer;min-height:2.6rem}label.file input{display:none}
label.file{display:inline-flex;align-items:center}
textarea{width:100%;min-height:5rem;font:13px/1.4 ui-monospace,monospace;border:1px solid #ccc;border-radius:6px;
padding:.5rem;resize:vertical}
.warn{background:#fff6e0;border-left:4px solid #d98200;padding:.5rem .8rem;margin:.6rem 0;border-radius:0 6px 6px 0}
h2{font-size:1.05rem;margin:1.3rem 0 .2rem}[hidden]{display:none!important}
"""

_SCRIPT = """
const film = document.getElementById('film'), said = document.getElementById('now'), ns = 'http://www.w3.org/2000/svg';
const clock = t => Math.floor(t / 60) + ':' + (t % 60).toFixed(1).padStart(4, '0');
const W = 800, last = D.time.length - 1;
let at = D.start;
function make(parent, kind, values) {
  const node = document.createElementNS(ns, kind);
  for (const name in values) node.setAttribute(name, values[name]);
  parent.append(node);
  return node;
}
const x = t => W * (t - D.start) / D.seconds;
function line(parent, times, values, y, colour, dash) {
  const points = values.map((v, i) => v === null ? null : x(times[i]).toFixed(1) + ',' + y(v).toFixed(1));
  make(parent, 'polyline', {points: points.filter(p => p).join(' '), fill: 'none', stroke: colour, 'stroke-width': 2,
    'vector-effect': 'non-scaling-stroke', ...(dash ? {'stroke-dasharray': '5 4'} : {})});
}
const charts = [];
function chart(id, height, label) {
  const svg = document.getElementById(id);
  svg.setAttribute('viewBox', `0 0 ${W} ${height}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'slider'); svg.setAttribute('tabindex', '0'); svg.setAttribute('aria-label', label);
  svg.setAttribute('aria-valuemin', D.start); svg.setAttribute('aria-valuemax', D.start + D.seconds);
  const head = make(svg, 'line', {y1: 0, y2: height, class: 'head', 'vector-effect': 'non-scaling-stroke'});
  let down = false;
  const seek = event => {
    const box = svg.getBoundingClientRect();
    go(D.start + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * D.seconds);
  };
  svg.addEventListener('pointerdown', e => { down = true; svg.setPointerCapture(e.pointerId); seek(e); });
  svg.addEventListener('pointermove', e => { if (down) seek(e); });
  svg.addEventListener('pointerup', () => { down = false; });
  svg.addEventListener('pointercancel', () => { down = false; });
  svg.addEventListener('keydown', e => {
    const step = {ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10}[e.key];
    if (step) { go(at + step * D.seconds / 100); e.preventDefault(); }
    if (e.key === ' ') { film.paused ? film.play() : film.pause(); e.preventDefault(); }
  });
  charts.push([svg, head]);
  return svg;
}
const plane = chart('plane', 150, 'valence and arousal over time'), yv = v => 75 - 70 * v;
for (const v of [-1, 0, 1]) make(plane, 'line', {x1: 0, x2: W, y1: yv(v), y2: yv(v), class: 'grid',
  'vector-effect': 'non-scaling-stroke'});
if (D.people) {
  line(plane, D.time, D.people.valence, yv, D.colours.valence, true);
  line(plane, D.time, D.people.arousal, yv, D.colours.arousal, true);
}
line(plane, D.time, D.valence, yv, D.colours.valence);
line(plane, D.time, D.arousal, yv, D.colours.arousal);
const shares = chart('shares', 120, 'strength of the eight emotions over time');
let under = D.time.map(() => 0);
D.emotions.forEach((name, k) => {
  const over = under.map((u, i) => u + D.strengths[i][k]), y = v => 119 - 118 * v;
  const times = [D.start, ...D.time, D.start + D.seconds];
  const wide = values => [values[0], ...values, values[last]];
  const up = wide(over).map((v, i) => x(times[i]).toFixed(1) + ',' + y(v).toFixed(1));
  const back = wide(under).map((v, i) => x(times[i]).toFixed(1) + ',' + y(v).toFixed(1)).reverse();
  make(shares, 'polygon', {points: up.concat(back).join(' '), fill: D.colours[name], 'fill-opacity': 0.8});
  under = over;
});
charts.forEach(([svg, head]) => svg.append(head));
function near(t) {
  let best = 0;
  D.time.forEach((one, i) => { if (Math.abs(one - t) < Math.abs(D.time[best] - t)) best = i; });
  return best;
}
function show(t) {
  at = Math.min(D.start + D.seconds, Math.max(D.start, t));
  const i = near(at), order = D.emotions.map((name, k) => [D.strengths[i][k], name]).sort((a, b) => b[0] - a[0]);
  charts.forEach(([svg, head]) => {
    head.setAttribute('x1', x(at)); head.setAttribute('x2', x(at));
    svg.setAttribute('aria-valuenow', at.toFixed(2)); svg.setAttribute('aria-valuetext', clock(at));
  });
  const top = order.slice(0, 3).filter(p => p[0] >= 0.05).map(p => p[1] + ' ' + Math.round(100 * p[0]) + ' %');
  said.replaceChildren();
  const bold = document.createElement('b');
  bold.textContent = clock(at) + '  ' + (top[0] || 'neutral');
  said.append(bold, document.createElement('br'), (top.slice(1).join(', ') || ' ') + '  valence ' +
    D.valence[i].toFixed(2) + ', arousal ' + D.arousal[i].toFixed(2));
}
function go(t) { show(t); if (film.src || film.currentSrc) film.currentTime = at; }
film.addEventListener('timeupdate', () => show(film.currentTime));
film.addEventListener('seeking', () => show(film.currentTime));
(function tick() { if (!film.paused) show(film.currentTime); requestAnimationFrame(tick); })();
film.addEventListener('error', () => { document.getElementById('cannot').hidden = false; });
document.getElementById('pick').addEventListener('change', e => {
  if (!e.target.files.length) return;
  document.getElementById('cannot').hidden = true;
  film.src = URL.createObjectURL(e.target.files[0]);
});
function save(text, name, kind) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: kind}));
  link.download = name; link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
document.getElementById('csv').addEventListener('click', () => save(D.csv, D.name + '.curves.csv', 'text/csv'));
const size = document.getElementById('size'), arc = document.getElementById('arc');
const off = document.getElementById('off');
D.arcs.forEach((one, i) => size.append(
  new Option(one.keyframes + (one.keyframes === 1 ? ' keyframe' : ' keyframes'), i)));
function pick() {
  const one = D.arcs[size.value];
  arc.value = one.text;
  off.textContent = 'Strengths differ from the curve by at most ' + one.off.toFixed(2) + '.';
}
size.value = Math.min(1, D.arcs.length - 1); size.addEventListener('change', pick); pick();
document.getElementById('copy').addEventListener('click', async e => {
  arc.select();
  try { await navigator.clipboard.writeText(arc.value); } catch { document.execCommand('copy'); }
  e.target.textContent = 'Copied'; setTimeout(() => { e.target.textContent = 'Copy'; }, 1500);
});
document.getElementById('save').addEventListener('click', () =>
  save(arc.value + '\\n', D.name + '.arc.txt', 'text/plain'));
show(D.start);
"""


def film_page(data: Mapping[str, Any], source: str | None, warnings: list[str]) -> str:
    """The page.

    Args:
        data: what the script draws: see `emogen.analysis.film`.
        source: address of the film, a `data:` one or a name beside the page; None where it must be picked.
        warnings: what may mislead.
    """
    name = escape(str(data["name"]))
    colours: Mapping[str, str] = data["colours"]
    # "</script>" in a name must not end the script
    held = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    address = f' src="{escape(source, quote=True)}"' if source else ""
    key = "".join(f"<span><i style='background:{colours[word]}'></i>{word}</span>" for word in data["emotions"])
    plane = "".join(f"<span><i style='background:{colours[word]}'></i>{word}</span>" for word in ("valence", "arousal"))
    people = "<span>dashed: people's annotation</span>" if data.get("people") else ""
    said = "".join(f'<p class="warn">{escape(text)}</p>' for text in warnings)
    hidden = "" if source is None else " hidden"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}: emotion over time</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>{name}</h1><p class=lead>What the judge <b>{escape(str(data['judge']))}</b> reads in "
        f"{escape(str(data['how']))}. A model's reading, not what people feel.</p>{said}"
        f'<video id="film" controls playsinline preload="metadata"{address}></video>'
        f'<p class="warn" id="cannot"{hidden}>The film is not in this page, or this browser cannot play it. Pick its '
        "file to see it beside the curves; it stays on this device.</p>"
        '<p id="now" aria-live="off"></p>'
        f'<figure><svg id="plane"></svg><figcaption>{plane}{people}<span>from -1 to 1</span></figcaption></figure>'
        f'<figure><svg id="shares" class="shares"></svg><figcaption>{key}</figcaption></figure>'
        '<p class="small">Drag on the curves to seek; arrow keys move, space plays.</p>'
        '<div class="row"><button id="csv">Curves as CSV</button>'
        '<label class="file">Pick the film<input id="pick" type="file" accept="video/*,image/*"></label></div>'
        "<h2>As an arc</h2><p class=small>For <code>sample.py --emotion</code>: a new clip that moves as this film "
        'does, its whole length brought to the clip\'s. <span id="off"></span></p>'
        '<div class="row"><select id="size" aria-label="keyframes"></select><button id="copy">Copy</button>'
        '<button id="save">Save</button></div><textarea id="arc" readonly aria-label="the arc"></textarea>'
        f"<script>const D = {held};{_SCRIPT}</script></body></html>\n"
    )
