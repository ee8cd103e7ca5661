"""Components of the page that are pressed: a row of named buttons, the cards of a gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

NOBODY = "-"
"""The value of buttons of which none is pressed; gradio takes an empty value for no change."""
_PRESS = """
element.addEventListener('click', event => {
  const pressed = event.target.closest('[data-name]');
  if (!pressed) return;
  props.value = pressed.dataset.name;
  trigger('input');
});
"""

SELECT_SCRIPT = """
element.addEventListener('click', event => {
  const card = event.target.closest('[data-number]');
  if (card && card.dataset.number) trigger('select', {number: card.dataset.number});
});
"""
"""For HTML with cards: `select` with the number of the card that was clicked."""


def emotion_buttons(colours: Mapping[str, str], value: str = NOBODY, elem_id: str = "emotions",
                    shown: Mapping[str, str] | None = None) -> Any:  # fmt: skip
    """A button for each of the emotions; the component's value is the name of the one that is pressed, or `NOBODY`.

    Args:
        shown: what stands on a button where it is not the name.
    """
    import gradio as gr

    labels = shown or {}
    buttons = "".join(
        f"<button type=\"button\" data-name=\"{name}\" class=\"${{value === '{name}' ? 'on' : ''}}\" "
        f'aria-pressed="${{value === \'{name}\'}}" style="--own:{colour}"><i></i>{labels.get(name, name)}</button>'
        for name, colour in colours.items()
    )
    return gr.HTML(value, html_template=f'<div class="emotions" role="group" aria-label="emotion">{buttons}</div>',
                   js_on_load=_PRESS, elem_id=elem_id)  # fmt: skip


def suggestions(texts: Sequence[str]) -> Any:
    """Short texts to take by a click; the component's value is the one that was pressed."""
    import gradio as gr

    buttons = "".join(
        f'<button type="button" data-name="{escape(text, quote=True)}">{escape(text)}</button>' for text in texts
    )
    return gr.HTML("", html_template=f'<div class="suggestions">{buttons}</div>', js_on_load=_PRESS,
                   elem_id="suggestions")  # fmt: skip
