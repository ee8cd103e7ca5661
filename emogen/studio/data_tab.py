"""The Data tab: drop clips, have them read, caption and label them, see what is wrong row by row, write the set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html import escape
from typing import Any

import gradio as gr

from emogen.curation.labels import ANSWERS, NONE, UNSURE
from emogen.data.tables import RecordError
from emogen.emotion import MIKELS
from emogen.files import fingerprint_bytes
from emogen.settings import ConfigError
from emogen.studio import notices
from emogen.studio.cards import file_url
from emogen.studio.colours import COLOURS
from emogen.studio.data_set import Clip, DataError, DataSet, next_open
from emogen.studio.engine import Engine
from emogen.studio.notices import QUIET
from emogen.studio.pressed import NOBODY, SELECT_SCRIPT, emotion_buttons
from emogen.studio.process import DONE, Work, WorkError, now_doing, plain_end

_SHOWN = 24
"""Clips on a page of the gallery."""
_NAMES = {NONE: "no specific emotion", UNSURE: "unsure"}
_EXPECTED = (DataError, RecordError, ConfigError, WorkError, OSError, ValueError)
SHOWN = 6
"""Components that `show` gives values for."""


class DataActions:
    """The tab's actions.

    Args:
        engine: whose served folder clips are shown from.
        work: what reads and writes the set.
    """

    def __init__(self, engine: Engine, work: Work):
        self.engine, self.work = engine, work

    def show(self, folder: str, chosen: str | None = None, page: float = 1) -> tuple[Any, ...]:
        """Chosen clip, gallery, counts with problems, the clip large, its caption, its label."""
        try:
            rows = DataSet(folder).rows()
        except _EXPECTED as error:
            return None, "", notices.error_html("Cannot read this folder", error), self._large(None), "", NOBODY
        here = next((clip for clip in rows if clip.clip_id == chosen and chosen), None)
        return (here and here.clip_id, self._gallery(rows, here, int(page or 1)), _problems(rows), self._large(here),
                here.caption if here else "", (here and here.label) or NOBODY)  # fmt: skip

    def add(self, files: list[str] | None, folder: str, domain: str, cut: bool) -> Iterator[tuple[Any, ...]]:
        """Copy what was dropped, and have it read."""
        try:
            clips, captions = DataSet(folder).add(files or [])
        except _EXPECTED as error:
            yield notices.error_html("Cannot take this", error), *(gr.skip(),) * SHOWN
            return
        yield notices.said_html(f"{clips} clips and {captions} captions taken"), *(gr.skip(),) * SHOWN
        yield from self.read(folder, domain, cut)

    def read(self, folder: str, domain: str, cut: bool) -> Iterator[tuple[Any, ...]]:
        """Have every clip read and measured; what is done is not done again."""
        yield from self._run(folder, domain, cut, "Read")

    def write(self, folder: str, domain: str, cut: bool) -> Iterator[tuple[Any, ...]]:
        """Write the set that training reads; the last value is where it is, for the Train tab."""
        for told in self._run(folder, domain, cut, "Written"):
            yield *told, gr.skip()
        data = DataSet(folder)
        written = data.export / "metadata.jsonl"
        if self.work.state().how == DONE and written.is_file():
            count = len(written.read_text(encoding="utf-8").splitlines())
            said = notices.said_html("The data set is written", f"{count} clips in {data.export}; Train reads it.")
            yield said, *(gr.skip(),) * SHOWN, str(data.export)
        elif self.work.state().how == DONE:
            said = notices.error_html("Nothing to write", "No clip has both a caption and a label yet.")
            yield said, *(gr.skip(),) * SHOWN, gr.skip()

    def _run(self, folder: str, domain: str, cut: bool, said: str) -> Iterator[tuple[Any, ...]]:
        nothing = (gr.skip(),) * SHOWN
        try:
            self.work.start(DataSet(folder).words(domain, cut), {"folder": folder})
        except _EXPECTED as error:
            yield notices.error_html("Cannot read this", error), *nothing
            return
        while (state := self.work.wait(0.5)).running:
            yield notices.progress_html(1 / 3, now_doing(state.said), state.seconds), *nothing
        if state.how != DONE:
            yield notices.error_html("Reading failed", plain_end(state.said, 4)), *nothing
        else:
            yield notices.said_html(said, f"in {state.seconds:.0f} s"), *self.show(folder)

    def pick(self, folder: str, page: float, event: gr.EventData) -> tuple[Any, ...]:
        """A clip of the gallery was pressed."""
        return self.show(folder, str(event.number), page)

    def caption(self, folder: str, chosen: str | None, text: str) -> Any:
        """Keep a caption that was changed."""
        data = DataSet(folder)
        if chosen is None or data.captions().get(chosen, "") == " ".join((text or "").split()):
            return gr.skip()
        data.write_caption(chosen, text or "")
        return notices.said_html("Caption kept")

    def label(self, folder: str, chosen: str | None, page: float, text: str, emotion: str) -> tuple[Any, ...]:
        """Keep a label and the caption beside it, and go to the next clip that lacks something."""
        if chosen is None:
            return notices.error_html("No clip", "Press a clip first."), *(gr.skip(),) * SHOWN
        data = DataSet(folder)
        try:
            data.write_caption(chosen, text or "")
            data.label(chosen, emotion)
        except _EXPECTED as error:
            return notices.error_html("Not kept", error), *(gr.skip(),) * SHOWN
        rows = data.rows()
        after = next_open(rows, chosen)
        said = f"{_NAMES.get(emotion, emotion)}. " + ("The next one:" if after else "Every clip has what it needs.")
        return notices.said_html("Label kept", said), *self.show(folder, after or chosen, page)

    def _gallery(self, rows: list[Clip], chosen: Clip | None, page: int) -> str:
        clips = [clip for clip in rows if clip.clip_id]
        pages = max(1, -(-len(clips) // _SHOWN))
        page = min(max(1, page), pages)
        if not clips:
            return '<div class="empty">Clips appear here once they are read.</div>'
        cards = "".join(self._card(clip, clip is chosen) for clip in clips[(page - 1) * _SHOWN : page * _SHOWN])
        return f'<div class="gallery clips">{cards}</div><p class="hint">page {page} of {pages}</p>'

    def _card(self, clip: Clip, chosen: bool) -> str:
        colour = COLOURS.get(clip.label, "transparent")
        state = f"<i style='background:{colour}'></i>{escape(_NAMES.get(clip.label, clip.label) or 'no label')}"
        return (
            f'<button type="button" class="card{" selected" if chosen else ""}" '
            f'data-number="{escape(clip.clip_id or "", quote=True)}">{self._shown(clip, small=True)}'
            f'<span class="read label">{state}</span><span class="prompt">{escape(clip.caption or "no caption")}</span>'
            "</button>"
        )

    def _large(self, clip: Clip | None) -> str:
        if clip is None:
            return '<div class="stage"><span>Press a clip to caption and label it.</span></div>'
        return (f'<div class="stage">{self._shown(clip)}</div><p class="hint">{escape(clip.path.name)}'
                f"{f' · {escape(clip.problem)}' if clip.problem else ''}</p>")  # fmt: skip

    def _shown(self, clip: Clip, small: bool = False) -> str:
        """The clip, from a copy whose name does not tell where it lies."""
        if not clip.path.is_file():
            return "<span>the file is gone</span>"
        name = f"data_{fingerprint_bytes(str(clip.path).encode())[:16]}{clip.path.suffix.lower()}"
        file = self.engine.served / name
        if not file.is_file() or file.stat().st_mtime < clip.path.stat().st_mtime:
            file = self.engine.serve(clip.path, name)
        if clip.still:
            return f'<img src="{file_url(file)}" alt="" loading="lazy">'
        span = f"#t={clip.start:.2f},{clip.end:.2f}" if clip.end is not None and clip.start is not None else "#t=0.01"
        how = 'preload="metadata"' if small else "autoplay loop controls"
        return f'<video src="{file_url(file)}{span}" muted playsinline {how}></video>'


def _problems(rows: list[Clip]) -> str:
    """How many clips are ready and how many of each label; every row that is not ready, with why."""
    if not rows:
        return ""
    ready = [clip for clip in rows if not clip.problem]
    counts = Counter(clip.label for clip in ready)
    listed = ", ".join(f"{counts[name]} {name}" for name in MIKELS if counts[name])
    cells = "".join(
        f'<tr data-number="{escape(clip.clip_id or "", quote=True)}"><td>{escape(clip.path.name)}</td>'
        f"<td>{escape(clip.problem)}</td></tr>"
        for clip in rows
        if clip.problem
    )
    table = f'<table class="problems"><tr><th>clip</th><th>problem</th></tr>{cells}</table>' if cells else ""
    return f"<p><b>{len(ready)} of {len(rows)} clips are ready</b>{f': {listed}' if listed else ''}</p>{table}"


def build_data(engine: Engine, tab: Any) -> Any:
    """Put the tab's inside into the `gr.Blocks` that is open.

    Args:
        tab: it; what lies in the folder is looked at when it is opened.

    Returns:
        The component that holds where a set has been written.
    """
    actions = DataActions(engine, Work(engine.folder / "work", "data"))
    with gr.Row(elem_classes="room split", equal_height=False):
        with gr.Column(elem_classes="first"):
            drop = gr.File(label="Drop clips here, and .txt captions of the same names", file_count="multiple",
                           elem_id="drop", height=130)  # fmt: skip
            with gr.Row(elem_classes="numbers"):
                folder = gr.Textbox(str(engine.folder / "data"), label="Folder of the data set", scale=3, min_width=180,
                                    max_lines=1, elem_id="data-folder")  # fmt: skip
                domain = gr.Dropdown(["sticker", "animation", "movie"], value="sticker", label="Domain", min_width=110,
                                     allow_custom_value=True, elem_id="data-domain")  # fmt: skip
                cut = gr.Checkbox(False, label="Cut films at shots", min_width=130, elem_id="data-cut")
            with gr.Row(elem_classes="numbers"):
                look = gr.Button("Read the clips", min_width=110, elem_id="data-read")
                write = gr.Button("Write the data set", variant="primary", min_width=130, elem_id="data-write")
            notice = gr.HTML(elem_id="data-notice")
        with gr.Column(elem_classes="side"):
            large = gr.HTML(elem_id="data-clip")
            caption = gr.Textbox("", label="Caption", lines=2, elem_id="data-caption",
                                 info="What the clip shows, without emotion words.")  # fmt: skip
            names = {name: COLOURS[name] for name in MIKELS} | {NONE: COLOURS["neutral"], UNSURE: "transparent"}
            assert set(names) == {*ANSWERS, UNSURE}
            buttons = emotion_buttons(names, elem_id="data-labels", shown=_NAMES)
            problems = gr.HTML(js_on_load=SELECT_SCRIPT, elem_id="data-problems")
        with gr.Column(elem_classes="rest"):
            gallery = gr.HTML(js_on_load=SELECT_SCRIPT, elem_id="data-gallery")
            page = gr.Number(1, label="Page", precision=0, minimum=1, elem_id="data-page", min_width=80)
    chosen = gr.State(None)
    shown = [chosen, gallery, problems, large, caption, buttons]
    written = gr.State("")
    setting = [folder, domain, cut]
    drop.upload(actions.add, [drop, *setting], [notice, *shown], **QUIET).then(lambda: None, None, drop, **QUIET)
    look.click(actions.read, setting, [notice, *shown], **QUIET)
    write.click(actions.write, setting, [notice, *shown, written], **QUIET)
    for one in (gallery, problems):
        one.select(actions.pick, [folder, page], shown, **QUIET)
    caption.blur(actions.caption, [folder, chosen, caption], notice, **QUIET)
    buttons.input(actions.label, [folder, chosen, page, caption, buttons], [notice, *shown], **QUIET)
    gr.on([tab.select, folder.change, page.change], actions.show, [folder, chosen, page], shown, **QUIET)
    return written
