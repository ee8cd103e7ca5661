"""An arc as a component of the page: keyframes are points that are dragged, in time and in strength."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from emogen.emotion import MIKELS, NEUTRAL
from emogen.studio.colours import COLOURS

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 520, 190, 34, 16, 16, 30
MOST_STRENGTH = 1.5
EASINGS = ("linear", "hold", "ease")

# Drawn by the page itself, so that a point follows the hand; the server is told when it is let go.
_SCRIPT = (
    "const C = "
    + json.dumps(COLOURS)
    + f""", NAMES = {json.dumps([*MIKELS, NEUTRAL])}, EASINGS = {json.dumps(EASINGS)};
const W = {_WIDTH}, H = {_HEIGHT}, L = {_LEFT}, R = {_RIGHT}, T = {_TOP}, B = {_BOTTOM}, MOST = {MOST_STRENGTH};
"""
    + """
const X = t => L + (W - L - R) * t, Y = s => T + (H - T - B) * (1 - s / MOST);
const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
let points = [], chosen = 0, held = false;
const read = () => { try { points = JSON.parse(props.value) || []; } catch { points = []; } };
const tell = () => { props.value = JSON.stringify(points); trigger('input'); };
const esc = s => String(s).replace(/[&<>"]/g, c => ({'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;'}[c]));
const colour = p => C[p.emotion] || '#8a8f98';
function line() {
  const sorted = [...points].sort((a, b) => a.time - b.time);
  if (!sorted.length) return '';
  let path = 'M' + X(0) + ' ' + Y(sorted[0].strength) + 'H' + X(sorted[0].time);
  for (let i = 1; i < sorted.length; i++) {
    const a = sorted[i - 1], b = sorted[i], x = X(a.time), z = X(b.time), m = (x + z) / 2;
    if (a.easing === 'hold') path += 'H' + z + 'V' + Y(b.strength);
    else if (a.easing === 'ease') path += 'C' + m + ' ' + Y(a.strength) + ' ' + m + ' ' + Y(b.strength) + ' ' + z + ' '
      + Y(b.strength);
    else path += 'L' + z + ' ' + Y(b.strength);
  }
  return path + 'H' + X(1);
}
function draw() {
  const rules = [0, 0.5, 1, 1.5].map(s => '<path class="axis" d="M' + L + ' ' + Y(s) + 'H' + X(1)
    + '"/><text class="pole" text-anchor="end" x="' + (L - 6) + '" y="' + (Y(s) + 4) + '">' + s + '</text>').join('');
  const times = [0, 0.25, 0.5, 0.75, 1].map(t => '<text class="pole" text-anchor="middle" x="' + X(t) + '" y="'
    + (H - 8) + '">' + t + '</text>').join('');
  const dots = points.map((p, i) => '<g class="dot' + (i === chosen ? ' chosen' : '') + '" data-i="' + i
    + '" tabindex="0" role="slider" aria-label="' + esc(p.emotion) + ' at ' + p.time + '" aria-valuenow="' + p.time
    + '" transform="translate(' + X(p.time) + ' ' + Y(clamp(p.strength, 0, MOST)) + ')"><circle class="reach" r="18"/>'
    + '<circle r="8" fill="' + colour(p) + '"/><text class="name" text-anchor="' + (p.time < 0.15 ? 'start' :
      p.time > 0.85 ? 'end' : 'middle') + '" y="' + (p.strength > 1.2 ? 22 : -13) + '">' + esc(p.emotion)
    + '</text></g>');
  const now = points[chosen], own = now && !now.text;
  element.querySelector('.editor').innerHTML = '<svg viewBox="0 0 ' + W + ' ' + H + '" class="arc edit">' + rules
    + times + '<path class="curve" d="' + line() + '"/>' + dots.join('') + '</svg><div class="palette">'
    + NAMES.map(n => '<button type="button" data-emotion="' + n + '" style="--own:' + C[n] + '" class="'
      + (own && now.emotion === n ? 'on' : '') + '"><i></i>' + n + '</button>').join('')
    + '</div><div class="palette ways">' + EASINGS.map(e => '<button type="button" data-easing="' + e + '" class="'
      + (now && now.easing === e ? 'on' : '') + '">' + e + '</button>').join('')
    + '<button type="button" data-remove' + (points.length < 2 ? ' disabled' : '') + '>remove point</button></div>';
}
const placed = event => {
  const box = element.querySelector('svg').getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * W, y = (event.clientY - box.top) / box.height * H;
  return [clamp(Math.round((x - L) / (W - L - R) * 50) / 50, 0, 1),
    clamp(Math.round((1 - (y - T) / (H - T - B)) * MOST * 20) / 20, 0, MOST)];
};
const taken = (time, but) => points.some((p, i) => i !== but && Math.abs(p.time - time) < 0.005);
function put(point, time, strength) {
  if (!taken(time, points.indexOf(point))) point.time = time;
  if (!point.text && point.emotion !== 'neutral') point.strength = strength;
}
element.addEventListener('pointerdown', event => {
  if (!event.target.closest('svg')) return;
  const dot = event.target.closest('.dot'), [time, strength] = placed(event);
  if (dot) chosen = Number(dot.dataset.i);
  else {
    if (taken(time, -1)) return;
    const like = points[chosen] || {emotion: 'amusement'};
    points.push({time, strength: like.text ? 1 : strength, emotion: like.text ? 'amusement' : like.emotion,
      easing: 'linear', text: null});
    chosen = points.length - 1;
  }
  held = true;
  event.preventDefault();
  draw();
});
window.addEventListener('pointermove', event => { if (held) { put(points[chosen], ...placed(event)); draw(); } });
window.addEventListener('pointerup', () => { if (held) { held = false; tell(); } });
window.addEventListener('pointercancel', () => { held = false; });
element.addEventListener('click', event => {
  const button = event.target.closest('button'), now = points[chosen];
  if (!button || !now) return;
  if (button.dataset.emotion) {
    Object.assign(now, {emotion: button.dataset.emotion, text: null,
      strength: button.dataset.emotion === 'neutral' ? 0 : now.text || !now.strength ? 1 : now.strength});
  } else if (button.dataset.easing) now.easing = button.dataset.easing;
  else { points.splice(chosen, 1); chosen = Math.max(0, chosen - 1); }
  draw();
  tell();
});
element.addEventListener('keydown', event => {
  const dot = event.target.closest('.dot');
  const step = {ArrowLeft: [-0.02, 0], ArrowRight: [0.02, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05]}[event.key];
  if (!dot || !step) return;
  chosen = Number(dot.dataset.i);
  const now = points[chosen];
  put(now, clamp(Math.round((now.time + step[0]) * 100) / 100, 0, 1),
    clamp(Math.round((now.strength + step[1]) * 100) / 100, 0, MOST));
  event.preventDefault();
  draw();
  tell();
  element.querySelector('.dot[data-i="' + chosen + '"]').focus();
});
watch('value', () => { if (!held) { read(); chosen = clamp(chosen, 0, points.length - 1); draw(); } });
read();
draw();
"""
)


def arc_editor(points: Iterable[Mapping[str, Any]]) -> Any:
    """The component; its value is JSON of `emotion_input.arc_points`, its event `input`, once something has changed."""
    import gradio as gr

    return gr.HTML(editor_value(points), html_template='<div class="editor"></div>', js_on_load=_SCRIPT,
                   elem_id="arc", label="arc")  # fmt: skip


def editor_value(points: Iterable[Mapping[str, Any]]) -> str:
    """The component's value for these points."""
    return json.dumps(list(points))
