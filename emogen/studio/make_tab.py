"""The Make tab: where things stand, and which action follows which event."""

from __future__ import annotations

from typing import Any

import gradio as gr

from emogen.studio import cards
from emogen.studio.actions import NO_FILE, Actions, status_html
from emogen.studio.downloads import choices
from emogen.studio.emotion_input import PLANE
from emogen.studio.engine import Engine
from emogen.studio.inputs import ARCS, Inputs, build_first, build_looks, build_rest
from emogen.studio.models import IMAGE, TEXT, defaults_of
from emogen.studio.notices import QUIET
from emogen.studio.pressed import SELECT_SCRIPT
from emogen.studio.request import EMOTION_FIELDS, FIELDS, SET

_PRESS_LINK = (
    "() => setTimeout(() => (document.querySelector('#link a') || document.querySelector('#link')).click(), 300)"
)
"""A file's link is there only once the file is made; pressing it then makes one press of the button enough."""


def build_make(page: gr.Blocks, engine: Engine, own: bool = True) -> Any:
    """Put the tab into the `gr.Blocks` that is open. Returns the component that says which model makes clips.

    Args:
        own: see `Actions`.
    """
    actions = Actions(engine, own)
    kept: dict[str, Any] = {}
    with gr.Row(elem_id="make", elem_classes="split", equal_height=False):
        with gr.Column(elem_classes="first"):
            first = build_first(kept)
            with gr.Row(elem_id="go"):
                go = gr.Button("Generate", variant="primary", size="lg", scale=4, elem_id="generate", min_width=120)
                stop = gr.Button("Stop", size="lg", scale=1, min_width=80, elem_id="stop")
            notice = gr.HTML(elem_id="notice")
        with gr.Column(elem_classes="side"):
            clip = gr.HTML(cards.clip_html(None), js_on_load=SELECT_SCRIPT, elem_id="clip")
            with gr.Column(visible=False, elem_id="take") as take:
                with gr.Row(elem_classes="numbers"):
                    again = gr.Button("Use these settings", elem_id="again", min_width=130, size="sm")
                    save = gr.Button("Download", elem_id="save", min_width=90, size="sm")
                    link = gr.DownloadButton(NO_FILE, interactive=False, elem_id="link", min_width=90, size="sm")
                with gr.Row(elem_classes="numbers"):
                    form = gr.Dropdown(choices(), value="WebP", label="as", elem_id="form", min_width=150)
                    looks = build_looks()
                note = gr.HTML(elem_id="note")
            reading = gr.HTML(elem_id="reading")
        with gr.Column(elem_classes="rest"):
            inputs = build_rest(kept, defaults_of(engine.sources[TEXT]), status_html(engine, IMAGE), first)
            model = gr.HTML(status_html(engine, TEXT), elem_id="model")
    gr.HTML("<h3>Your clips</h3>")
    gallery = gr.HTML(cards.EMPTY, js_on_load=SELECT_SCRIPT, elem_id="gallery")
    chosen = gr.State(None)
    shown = [chosen, clip, reading, gallery, take, link, note]

    _follow_emotion(page, actions, inputs)
    fields = inputs.fields
    fields["loras"].visible = own
    inputs.examples.input(lambda text: text, inputs.examples, fields["prompt"], **QUIET)
    fields["what"].change(lambda what: gr.Dropdown(visible=what == SET), fields["what"], fields["platform"], **QUIET)
    go.click(actions.generate, inputs.all, [notice, *shown], **QUIET)
    stop.click(engine.stop, None, None, queue=False, **QUIET)
    for one in (gallery, clip):
        one.select(actions.pick, None, shown, **QUIET)
    again.click(actions.again, chosen, [notice, inputs.tabs, *inputs.all], **QUIET).then(
        actions.preview, inputs.emotion, [inputs.asked, inputs.buttons], **QUIET
    )
    page.load(actions.latest, None, shown, **QUIET)
    page.load(lambda: (status_html(engine, TEXT), status_html(engine, IMAGE)), None, [model, inputs.picture], **QUIET)
    made = save.click(actions.save, [chosen, form, *looks], [link, note], **QUIET)
    made.success(
        None, [note], None, js=f"(note) => note.includes('bad') || ({_PRESS_LINK})()", api_visibility="private"
    )
    gr.api(actions.make, api_name="make", concurrency_id="clip")
    return model


def _follow_emotion(page: gr.Blocks, actions: Actions, inputs: Inputs) -> None:
    """Show what is asked for as it is set, and know which of the four inputs counts: the tab that is open."""
    fields, asked = inputs.fields, [inputs.asked, inputs.buttons]

    def follow(*events: Any) -> None:
        gr.on(events, actions.preview, inputs.emotion, asked, trigger_mode="always_last", **QUIET)

    for name, tab in inputs.sources.items():
        tab.select(lambda name=name: name, None, fields["source"], **QUIET)
    inputs.asked.value = actions.preview(*(fields[name].value for name in EMOTION_FIELDS))[0]
    inputs.buttons.input(lambda name: (name, PLANE, gr.Tabs(selected=PLANE)), inputs.buttons,
                         [fields["point"], fields["source"], inputs.tabs], **QUIET).then(
        actions.preview, inputs.emotion, asked, **QUIET)  # fmt: skip
    inputs.arc.input(actions.dragged, inputs.arc, fields["arc"], **QUIET)
    fields["arc"].change(actions.written, fields["arc"], inputs.arc, **QUIET)
    inputs.arc_choice.input(lambda name: ARCS[name], inputs.arc_choice, fields["arc"], **QUIET)
    sliders = [fields[name].change for name in FIELDS if name.startswith("amount_")]
    follow(page.load, fields["source"].change, fields["point"].input, fields["arc"].change, fields["words"].change,
           fields["strength"].change, *sliders)  # fmt: skip
