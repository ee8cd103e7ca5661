"""The plane as a component of the page: click, drag or arrow keys move a point."""

from __future__ import annotations

from typing import Any

from emogen.studio.drawing import SIZE, plane_position, plane_svg

_ORIGIN = plane_position(0, 0)
_REACH = plane_position(1, 0)[0] - _ORIGIN[0]

# The point is drawn by the page itself from the component's value, so that it follows the hand at once.
_MARK = (
    '<g class="picked" transform="translate('
    "${" + f"{_ORIGIN[0]:g} + {_REACH:g} * Number(value.split(',')[0])" + "} "
    "${" + f"{_ORIGIN[1]:g} - {_REACH:g} * Number(value.split(',')[1])" + "}"
    ')"><circle r="10"/><path d="M-4 0H4M0 -4V4"/></g>'
)

_SCRIPT = f"""
const clip = x => Math.max(-1, Math.min(1, Math.round(x * 100) / 100));
const move = (v, a) => {{ props.value = clip(v) + ',' + clip(a); }};
let held = false;
const follow = event => {{
  const box = element.querySelector('svg').getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * {SIZE}, y = (event.clientY - box.top) / box.height * {SIZE};
  move((x - {_ORIGIN[0]:g}) / {_REACH:g}, ({_ORIGIN[1]:g} - y) / {_REACH:g});
}};
element.addEventListener('pointerdown', event => {{
  if (!event.target.closest('svg')) return;
  held = true;
  follow(event);
  event.preventDefault();
}});
window.addEventListener('pointermove', event => {{ if (held) follow(event); }});
window.addEventListener('pointerup', () => {{ if (held) {{ held = false; trigger('input'); }} }});
element.addEventListener('keydown', event => {{
  const steps = {{ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05]}};
  const step = steps[event.key];
  if (!step) return;
  const [v, a] = props.value.split(',').map(Number);
  move(v + step[0], a + step[1]);
  event.preventDefault();
  trigger('input');
  requestAnimationFrame(() => element.querySelector('svg').focus());
}});
"""


def plane(value: str = "0,0") -> Any:
    """The component; its value is "valence,arousal", its event `input`, once the point is let go."""
    import gradio as gr

    return gr.HTML(value, html_template=plane_svg(_MARK), js_on_load=_SCRIPT, elem_id="plane", label="plane")


GALLERY_SCRIPT = """
element.addEventListener('click', event => {
  const card = event.target.closest('[data-number]');
  if (card) trigger('select', {number: Number(card.dataset.number)});
});
"""
"""For the gallery: `select` with the number of the card that was clicked."""
