"""The Evaluate tab: run a benchmark in a process of its own, and show its report."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from emogen.studio import notices
from emogen.studio.cards import file_url
from emogen.studio.engine import Engine
from emogen.studio.evaluation import REPORT, EvalRequest, benchmarks
from emogen.studio.notices import QUIET
from emogen.studio.process import DONE, NEVER, STOPPED, Work, WorkError, now_doing, plain_end

_EVERY = 2.0

# The report is a page of its own: it is fetched and put into a frame that can do nothing to this page.
_SHOW = """
const load = async () => {
  const frame = element.querySelector('iframe');
  if (!frame) return;
  const answer = await fetch(frame.dataset.src);
  frame.srcdoc = answer.ok ? await answer.text() : '<p>The report cannot be fetched: ' + answer.status + '</p>';
};
watch('value', load);
load();
"""


class EvaluateActions:
    """The tab's actions.

    Args:
        engine: whose served folder the report is shown from.
        work: the evaluation.
    """

    def __init__(self, engine: Engine, work: Work):
        self.engine, self.work = engine, work

    def start(self, *values: Any) -> str:
        """Begin; what an interrupted evaluation has made is not made again."""
        try:
            request = EvalRequest(*values)
            self.work.start(request.words(self.work.folder), {"folder": str(Path(request.output_dir).resolve())})
        except (ValueError, WorkError, OSError) as error:
            return notices.error_html("Cannot start", error)
        return notices.said_html("Started", "It goes on when this page is closed.")

    def stop(self) -> str:
        """End it; Start goes on from what is made."""
        try:
            self.work.stop()
        except WorkError as error:
            return notices.error_html("Cannot stop", error)
        return notices.said_html("Stopped", "Start goes on from what is made.")

    def look(self, seen: Any) -> tuple[Any, ...]:
        """What was seen, status, and the report once it is there. Nothing where nothing has changed."""
        state = self.work.state()
        if state.how == NEVER:
            return (gr.skip(),) * 3
        folder = Path(str(state.about.get("folder", ".")))
        now = (state.how, state.said[-200:])
        if state.running:
            doing = now_doing(state.said)
            return now, notices.progress_html(notices.share_of(doing), doing, state.seconds), gr.skip()
        if seen == now:
            return (gr.skip(),) * 3
        if state.how != DONE:
            title, kind = ("Stopped", "good") if state.how == STOPPED else ("The evaluation failed", "bad")
            why = "" if kind == "good" else f"<p>{escape(plain_end(state.said, 4))}</p>"
            return now, f'<div class="notice {kind}"><b>{title}</b>{why}</div>', gr.skip()
        said = (f'<div class="notice good"><b>Finished</b><p>in {state.seconds:.0f} s; the report is '
                f"{escape(str(folder / REPORT))}</p></div>")  # fmt: skip
        return now, said, self.report(folder)

    def report(self, folder: Path) -> str:
        """The report in a frame; nothing where there is none."""
        if not (folder / REPORT).is_file():
            return ""
        file = self.engine.serve(folder / REPORT, f"{folder.name}_{REPORT}")
        return (f'<p class="hint"><a href="{file_url(file)}" download="{escape(file.name, quote=True)}">Save the report'
                f'</a></p><iframe class="report" sandbox="" title="the report" data-src="{file_url(file)}"></iframe>'
                )  # fmt: skip


def build_evaluate(engine: Engine) -> Any:
    """Put the tab into the `gr.Blocks` that is open. Returns the field of the adapter."""
    actions = EvaluateActions(engine, Work(engine.folder / "work", "evaluate"))
    known = benchmarks()
    with gr.Row(elem_classes="numbers"):
        config = gr.Dropdown(known, value=known[0] if known else "", label="Benchmark", allow_custom_value=True,
                             elem_id="eval-config", min_width=180)  # fmt: skip
        adapter = gr.Textbox("", label="Weights of yours", placeholder="a run's output folder; empty: none",
                             elem_id="eval-adapter", max_lines=1, min_width=180)  # fmt: skip
        output = gr.Textbox("runs/evaluation", label="Output folder", elem_id="eval-output", max_lines=1, min_width=150)
        prompts = gr.Textbox("", label="Prompts of a kind", min_width=110, placeholder="its own", max_lines=1,
                             elem_id="eval-prompts")  # fmt: skip
    with gr.Row(elem_classes="numbers"):
        start = gr.Button("Start", variant="primary", elem_id="eval-start", min_width=90)
        stop = gr.Button("Stop", elem_id="eval-stop", min_width=90)
    notice = gr.HTML(elem_id="eval-notice")
    status = gr.HTML('<div class="empty">An evaluation compares ways of asking for an emotion; its report shows here.'
                     "</div>", elem_id="eval-status")  # fmt: skip
    report = gr.HTML(js_on_load=_SHOW, elem_id="eval-report")
    seen = gr.State(None)
    gr.Timer(_EVERY).tick(actions.look, seen, [seen, status, report], **QUIET)
    start.click(actions.start, [config, output, adapter, prompts], notice, **QUIET)
    stop.click(actions.stop, None, notice, queue=False, **QUIET)
    return adapter
