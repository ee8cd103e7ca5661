"""The plane as a component of the page: click, drag or arrow keys move a point; near a named dot it is that emotion."""

from __future__ import annotations

from typing import Any

from emogen.emotion import MIKELS_VA, NEUTRAL
from emogen.studio.drawing import SIZE, plane_position, plane_svg

_ORIGIN = plane_position(0, 0)
_REACH = plane_position(1, 0)[0] - _ORIGIN[0]
SNAP = 13.0
"""Within so many units of the picture (of `SIZE`) a click means the dot. Fear and anger lie 15 apart."""
PLACES = {**{name: list(va) for name, va in MIKELS_VA.items()}, NEUTRAL: [0.0, 0.0]}

# The point is drawn by the page itself from the component's value, so that it follows the hand at once.
_AT = "(places[value] || value.split(',').map(Number))"
_MARK = (
    '<g class="picked" transform="translate('
    "${" + f"{_ORIGIN[0]:g} + {_REACH:g} * {_AT}[0]" + "} "
    "${" + f"{_ORIGIN[1]:g} - {_REACH:g} * {_AT}[1]" + "}"
    ')"><circle r="10"/><path d="M-4 0H4M0 -4V4"/></g>'
)

_SCRIPT = f"""
const clip = x => Math.max(-1, Math.min(1, Math.round(x * 100) / 100));
const at = () => props.places[props.value] || props.value.split(',').map(Number);
const move = (v, a) => {{ props.value = clip(v) + ',' + clip(a); }};
let held = false;
const follow = event => {{
  const box = element.querySelector('svg').getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * {SIZE}, y = (event.clientY - box.top) / box.height * {SIZE};
  const far = ([v, a]) => Math.hypot({_ORIGIN[0]:g} + {_REACH:g} * v - x, {_ORIGIN[1]:g} - {_REACH:g} * a - y);
  const [name, place] = Object.entries(props.places).reduce((best, one) => far(one[1]) < far(best[1]) ? one : best);
  if (far(place) <= {SNAP:g}) props.value = name;
  else move((x - {_ORIGIN[0]:g}) / {_REACH:g}, ({_ORIGIN[1]:g} - y) / {_REACH:g});
}};
element.addEventListener('pointerdown', event => {{
  if (!event.target.closest('svg')) return;
  held = true;
  follow(event);
  event.preventDefault();
}});
window.addEventListener('pointermove', event => {{ if (held) follow(event); }});
window.addEventListener('pointerup', () => {{ if (held) {{ held = false; trigger('input'); }} }});
window.addEventListener('pointercancel', () => {{ held = false; }});
element.addEventListener('keydown', event => {{
  const steps = {{ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05]}};
  const step = steps[event.key];
  if (!step) return;
  const [v, a] = at();
  move(v + step[0], a + step[1]);
  event.preventDefault();
  trigger('input');
  requestAnimationFrame(() => element.querySelector('svg').focus());
}});
"""


def plane(value: str = "0,0") -> Any:
    """The component; its value is an emotion's name or "valence,arousal", its event `input`, once the point is let
    go."""
    import gradio as gr

    return gr.HTML(value, html_template=plane_svg(_MARK), js_on_load=_SCRIPT, elem_id="plane", label="plane",
                   places=PLACES)  # fmt: skip
