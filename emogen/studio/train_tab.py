"""The Train tab: choose, look at what it will take, start, watch, stop, resume, and open what came of it."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from emogen.studio import notices
from emogen.studio.cards import file_url
from emogen.studio.engine import Busy, Engine
from emogen.studio.models import IMAGE, TEXT, ModelMissing, Source
from emogen.studio.notices import QUIET
from emogen.studio.process import DONE, FAILED, REFUSED, STOPPED, State, Work, WorkError, now_doing, plain_end
from emogen.studio.train_run import TrainRequest, base_of, charts_html, configurations, memory_html, progress_of

_EVERY = 2.0  # seconds between two looks at a run
_ENDED = {DONE: ("good", "Finished"), STOPPED: ("good", "Stopped"),
          FAILED: ("bad", "The run failed"), REFUSED: ("bad", "Refused")}  # fmt: skip


class TrainActions:
    """The tab's actions.

    Args:
        engine: whose served folder previews are shown from, and which uses the result.
        work: the training. trial: the dry run.
    """

    def __init__(self, engine: Engine, work: Work, trial: Work):
        self.engine, self.work, self.trial = engine, work, trial

    def dry_run(self, *values: Any) -> Any:
        """Look at what it will take, without encoding or training: said again and again until it has ended."""
        try:
            self.trial.start(TrainRequest(*values).words(dry_run=True))
        except (ValueError, WorkError) as error:
            yield notices.error_html("Cannot look at this", error), gr.skip()
            return
        state = self.trial.wait(0)
        while True:  # said at once: what is refused early ends before the first half second
            yield notices.progress_html(0.3, "looking at data, model and memory", state.seconds), gr.skip()
            if not (state := self.trial.wait(0.5)).running:
                break
        if state.how == DONE:
            yield (
                notices.said_html("This would run", "Start begins it."),
                (f"{memory_html(state.said)}<pre>{escape(state.said.strip())}</pre>"),
            )
        else:
            yield notices.error_html("This would not run", plain_end(state.said)), gr.skip()

    def start(self, *values: Any) -> str:
        """Begin the run."""
        return self._begin(TrainRequest(*values), resume=False)

    def resume(self, *values: Any) -> str:
        """Continue it from its newest checkpoint."""
        return self._begin(TrainRequest(*values), resume=True)

    def _begin(self, request: TrainRequest, resume: bool) -> str:
        try:
            words = request.words(resume=resume)
            found = progress_of(Path(request.output_dir))
            if resume and not found.checkpoint:
                raise ValueError(f"{request.output_dir} has no checkpoint to resume from; Start begins a run")
            if not resume and (found.checkpoint or found.exported):
                raise ValueError(f"{request.output_dir} holds a run; Resume continues it, or choose another folder")
            self.work.start(words, {"folder": str(Path(request.output_dir).resolve())})
        except (ValueError, WorkError) as error:
            return notices.error_html("Cannot start", error)
        return notices.said_html("Started", "It runs in a process of its own and goes on when this page is closed.")

    def stop(self) -> str:
        """Ask the run to save and end."""
        try:
            self.work.stop()
        except WorkError as error:
            return notices.error_html("Cannot stop", error)
        return notices.said_html("Asked to stop", "It saves a checkpoint and ends; once more ends it at once.")

    def look(self, seen: Any) -> tuple[Any, ...]:
        """What a look at the run shows: what was seen, status, charts, previews, card, the end of the log. Nothing
        where nothing has changed."""
        state = self.work.state()
        folder = state.about.get("folder")
        if folder is None:
            return (gr.skip(),) * 6
        progress = progress_of(Path(folder))
        now = (state.how, progress.step, len(state.said), len(progress.previews), len(progress.card))
        if seen == now and not state.running:
            return (gr.skip(),) * 6
        if seen == now:
            return now, self._status(state, folder), *(gr.skip(),) * 4
        return now, self._status(state, folder), charts_html(progress), self._previews(folder), progress.card, (
            f"<pre>{escape(plain_end(state.said, 30))}</pre>")  # fmt: skip

    @staticmethod
    def _status(state: State, folder: str) -> str:
        progress = progress_of(Path(folder))
        if state.running:
            text = (f"step {progress.step} of {progress.steps}" if progress.step and progress.steps else
                    now_doing(state.said))  # fmt: skip
            left = f", {progress.left}" if progress.left else ""
            return notices.progress_html(progress.share, f"{folder}: {text}{left}", state.seconds)
        kind, title = _ENDED.get(state.how, ("bad", state.how))
        if state.how == STOPPED:
            title += "; Resume continues it" if progress.checkpoint else " before the first step; Start begins anew"
        why = "" if kind == "good" else f"<p>{escape(plain_end(state.said, 4))}</p>"
        return (f'<div class="notice {kind}"><b>{title}</b><p>{escape(folder)}: step {progress.step}'
                f"{f' of {progress.steps}' if progress.steps else ''}</p>{why}</div>")  # fmt: skip

    def _previews(self, folder: str) -> str:
        shown = [(path.stem, self.engine.serve(path, f"{Path(folder).name}_{path.name}"))
                 for path in progress_of(Path(folder)).previews]  # fmt: skip
        cells = "".join(f'<figure><img src="{file_url(file)}" alt=""><figcaption>{escape(name)}</figcaption></figure>'
                        for name, file in shown)  # fmt: skip
        return f'<div class="previews">{cells}</div>' if cells else ""

    def open_in_make(self, output_dir: str) -> tuple[str, Any]:
        """Make further clips with what a run has exported: notice, and the tab to look at."""
        folder = Path(output_dir.strip() or ".").resolve()
        base = base_of(folder)
        if base is None or not progress_of(folder).exported:
            return notices.error_html("Nothing to open", f"{output_dir}: no run has exported there yet."), gr.skip()
        kind = IMAGE if base == "embedded_i2v" else TEXT
        model = None if base in ("embedded", "embedded_i2v") else base
        try:
            self.engine.use(Source(kind, model, str(folder)))
        except (Busy, ModelMissing) as error:
            return notices.error_html("Cannot open this", error), gr.skip()
        return notices.said_html("Open in Make", f"Clips are made with {output_dir} now."), gr.Tabs(selected="make")


def build_train(engine: Engine, rooms: Any) -> tuple[Any, Any, Any]:
    """Put the tab's inside into the `gr.Blocks` that is open.

    Args:
        rooms: the page's tabs, to go from one to another.

    Returns:
        The field of the data, that of the output folder, and the event after which clips are made with the result.
    """
    home = engine.folder / "work"
    actions = TrainActions(engine, Work(home, "train"), Work(home, "train_dry_run"))
    known = configurations()
    first = next((name for name in known if "embedded_t2v" in name), known[0] if known else "")
    with gr.Row(elem_classes="room", equal_height=False):
        with gr.Column(scale=4, min_width=300):
            config = gr.Dropdown(known, value=first, label="Configuration", allow_custom_value=True, elem_id="config",
                                 info="A file of configs/, or the path of your own.")  # fmt: skip
            data_field = gr.Textbox("", label="Data", elem_id="train-data", max_lines=1,
                                    placeholder="the configuration's own; or a folder of the Data tab")  # fmt: skip
            output = gr.Textbox("runs/studio", label="Output folder", elem_id="train-output", max_lines=1)
            with gr.Row(elem_classes="numbers"):
                steps = gr.Textbox("", label="Steps", min_width=90, elem_id="train-steps", placeholder="its own",
                                   max_lines=1)  # fmt: skip
                more = gr.Textbox("", label="More options", placeholder="--rank 16 --preview_steps 100", scale=3,
                                  min_width=180, max_lines=1, elem_id="train-more")  # fmt: skip
            with gr.Row(elem_classes="numbers"):
                dry = gr.Button("Dry run", min_width=80, elem_id="train-dry")
                start = gr.Button("Start", variant="primary", min_width=80, elem_id="train-start")
                stop = gr.Button("Stop", min_width=80, elem_id="train-stop")
                resume = gr.Button("Resume", min_width=80, elem_id="train-resume")
            notice = gr.HTML(elem_id="train-notice")
            table = gr.HTML(elem_id="train-table")
        with gr.Column(scale=6, min_width=320):
            status = gr.HTML('<div class="empty">A run shows here how far it is.</div>', elem_id="train-status")
            charts = gr.HTML(elem_id="train-charts")
            previews = gr.HTML(elem_id="train-previews")
            opened = gr.Button("Open the result in Make", elem_id="train-open", size="sm")
            with gr.Accordion("Model card", open=False):
                card = gr.Markdown(elem_id="train-card")
            with gr.Accordion("What the run says", open=False):
                log = gr.HTML(elem_id="train-log")
    seen = gr.State(None)
    asked = [config, output, data_field, steps, more]
    looked = [seen, status, charts, previews, card, log]
    timer = gr.Timer(_EVERY)
    timer.tick(actions.look, seen, looked, **QUIET)
    dry.click(actions.dry_run, asked, [notice, table], **QUIET)
    for button, action in ((start, actions.start), (resume, actions.resume)):
        button.click(action, asked, notice, **QUIET)
    stop.click(actions.stop, None, notice, queue=False, **QUIET)
    pressed = opened.click(actions.open_in_make, output, [notice, rooms], **QUIET)
    return data_field, output, pressed
