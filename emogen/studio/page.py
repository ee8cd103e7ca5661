"""The studio's page: where things stand, and which action follows which event."""

from __future__ import annotations

import os
from typing import Any

import gradio as gr

from emogen.studio import cards
from emogen.studio.actions import NO_FILE, Actions, status_html
from emogen.studio.downloads import choices
from emogen.studio.emotion_input import arc_rows
from emogen.studio.engine import Engine
from emogen.studio.inputs import ARCS, Inputs, Tabs, build_inputs, build_looks
from emogen.studio.models import KINDS, TEXT, defaults_of
from emogen.studio.plane import GALLERY_SCRIPT
from emogen.studio.style import CSS, theme

_HEAD = (
    '<div id="head"><h1>emogen studio</h1><p>Say what to show, choose how it feels, and see how a judge reads it.'
    "</p></div>"
)
_PRESS_LINK = (
    "() => setTimeout(() => (document.querySelector('#link a') || document.querySelector('#link')).click(), 300)"
)
"""A file's link is there only once the file is made; pressing it then makes one press of the button enough."""
USER = "emogen"
"""The name beside the password, where one is asked for."""
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def build_page(engine: Engine) -> gr.Blocks:
    """The page over an engine. Gradio's telemetry is off, and nothing is loaded from the network."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    actions = Actions(engine)
    with gr.Blocks(title="emogen studio", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(_HEAD)
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=420):
                inputs, tabs = build_inputs(
                    defaults_of(engine.sources[TEXT]), {kind: status_html(engine, kind) for kind in KINDS}
                )
            with gr.Column(scale=5, min_width=380):
                with gr.Row():
                    go = gr.Button("Generate", variant="primary", size="lg", scale=4, elem_id="generate")
                    stop = gr.Button("Stop", size="lg", scale=1, min_width=80, elem_id="stop")
                clip = gr.HTML(cards.clip_html(None), elem_id="clip")
                reading = gr.HTML(elem_id="reading")
                with gr.Column(visible=False) as take:
                    with gr.Row(equal_height=True):
                        form = gr.Dropdown(choices(), value="WebP", label="Download as", elem_id="form", min_width=170)
                        with gr.Column(min_width=170):
                            looks = build_looks()
                    with gr.Row():
                        save = gr.Button("Download", elem_id="save", min_width=110)
                        link = gr.DownloadButton(NO_FILE, interactive=False, elem_id="link", min_width=150)
                    note = gr.HTML(elem_id="note")
        gr.HTML("<h3>Clips of this session</h3>")
        gallery = gr.HTML(cards.EMPTY, js_on_load=GALLERY_SCRIPT, elem_id="gallery")
        chosen = gr.State(None)
        shown = [chosen, clip, reading, gallery, take, link, note]

        _follow_emotion(page, actions, inputs, tabs)
        _follow_kind(engine, inputs, tabs)
        go.click(actions.generate, inputs.all, shown, api_visibility="private", concurrency_id="clip",
                 concurrency_limit=1, show_progress_on=[clip])  # fmt: skip
        stop.click(engine.stop, None, None, queue=False, **_QUIET)
        gallery.select(actions.pick, None, shown, **_QUIET)
        page.load(actions.latest, None, shown, **_QUIET)
        made = save.click(actions.save, [chosen, form, *looks], [link, note], api_visibility="private")
        made.success(None, None, None, js=_PRESS_LINK, api_visibility="private")
        gr.api(actions.make, api_name="make", concurrency_id="clip")
    return page


def _follow_emotion(page: gr.Blocks, actions: Actions, inputs: Inputs, tabs: Tabs) -> None:
    """Show what is asked for as it is set, and know which of the four inputs counts: the tab that is open."""

    def follow(*events: Any) -> None:
        gr.on(events, actions.preview, inputs.emotion, tabs.asked, trigger_mode="always_last", **_QUIET)

    for name, tab in tabs.sources.items():
        tab.select(lambda name=name: name, None, inputs.source, **_QUIET)
    tabs.asked.value = actions.preview(*(component.value for component in inputs.emotion))
    follow(page.load, inputs.source.change, inputs.point.input, inputs.rows.change, inputs.words.change,
           inputs.intensity.change, *(slider.change for slider in inputs.sliders))  # fmt: skip
    tabs.arc_choice.input(lambda name: arc_rows(ARCS[name]), tabs.arc_choice, inputs.rows, **_QUIET)


def _follow_kind(engine: Engine, inputs: Inputs, tabs: Tabs) -> None:
    """Text or picture by the tab that is open; weights that have come meanwhile are seen when it is opened."""
    for kind in KINDS:
        opened = [inputs.kind, tabs.status[kind]]
        tabs.kinds[kind].select(lambda kind=kind: (kind, status_html(engine, kind)), None, opened, **_QUIET)


def launch(page: gr.Blocks, engine: Engine, *, host: str = "127.0.0.1", port: int = 7860,
           browser: bool = False, password: str | None = None) -> str:  # fmt: skip
    """Serve the page from threads of its own and return its address; `page.block_thread()` waits, `close()` ends it.

    Args:
        host: what to listen on; anything but this machine's own address lets others in.
        browser: open the page in the system's browser.
        password: asked of everybody, with the name "emogen"; None lets everybody in who reaches the address.

    Raises:
        OSError: the port is taken.
    """
    engine.folder.mkdir(parents=True, exist_ok=True)
    _, address, _ = page.queue(default_concurrency_limit=4).launch(
        server_name=host, server_port=port, share=False, inbrowser=browser, prevent_thread_lock=True,
        allowed_paths=[str(engine.served)], theme=theme(), css=CSS, show_error=True, quiet=True, ssr_mode=False,
        auth=None if password is None else (USER, password),
        footer_links=["api", "settings"], enable_monitoring=False, run_history=False,
    )  # fmt: skip
    return address
