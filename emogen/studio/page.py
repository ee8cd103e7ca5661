"""The studio's page: its tabs, and how it is served."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gradio as gr

from emogen.studio.actions import status_html
from emogen.studio.engine import Engine
from emogen.studio.make_tab import build_make
from emogen.studio.models import TEXT
from emogen.studio.notices import QUIET
from emogen.studio.style import CSS, theme

_HEAD = (
    '<div id="head"><h1>emogen studio</h1><p>Say what to show, choose how it feels, and see how a judge reads it.'
    "</p></div>"
)
USER = "emogen"
"""The name beside the password, where one is asked for."""


def build_page(engine: Engine, workshop: bool = True) -> gr.Blocks:
    """The page over an engine. Gradio's telemetry is off, and nothing is loaded from the network.

    Args:
        workshop: whether there are the tabs Data, Train and Evaluate, which read and write folders of this machine and
            start commands on it, and the LoRAs of Make, which are files.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with gr.Blocks(title="emogen studio", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(_HEAD)
        with gr.Tabs(elem_id="rooms") as rooms:
            with gr.Tab("Make", id="make"):
                model = build_make(page, engine, own=workshop)
            if workshop:
                _build_workshop(engine, rooms, model)
    return page


def _build_workshop(engine: Engine, rooms: Any, model: Any) -> None:
    """The tabs beside Make; what one of them has made is filled in where the next begins."""
    from emogen.studio.data_tab import build_data
    from emogen.studio.evaluate_tab import build_evaluate
    from emogen.studio.train_tab import build_train

    with gr.Tab("Data", id="data") as data_tab:
        written = build_data(engine, data_tab)
    with gr.Tab("Train", id="train"):
        data, trained, opened = build_train(engine, rooms)
    with gr.Tab("Evaluate", id="evaluate") as evaluate_tab:
        adapter = build_evaluate(engine)
    written.change(lambda folder: folder, written, data, **QUIET)
    opened.then(lambda: status_html(engine, TEXT), None, model, **QUIET)
    evaluate_tab.select(fill_adapter, [adapter, trained], adapter, **QUIET)


def fill_adapter(adapter: str, trained: str) -> str:
    """The weights that an evaluation begins with: those that the Train tab has made, where nothing else is given."""
    made = (Path(trained.strip() or ".") / "emotion_adapter.safetensors").is_file()
    return trained if not adapter.strip() and made else adapter


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
    _, address, _ = page.queue(default_concurrency_limit=8).launch(
        server_name=host, server_port=port, share=False, inbrowser=browser, prevent_thread_lock=True,
        allowed_paths=[str(engine.served)], theme=theme(), css=CSS, show_error=True, quiet=True, ssr_mode=False,
        auth=None if password is None else (USER, password),
        footer_links=["api", "settings"], enable_monitoring=False, run_history=False,
    )  # fmt: skip
    return address
