"""What the page's buttons do. Every method takes values of components and returns values for components."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from emogen.studio import cards
from emogen.studio.downloads import size_text, write_download
from emogen.studio.drawing import emotion_html
from emogen.studio.emotion_input import WORDS, Emotion, in_words, number_or_none, plain_text, read, read_avoid
from emogen.studio.engine import Busy, Engine, Job, Progress, Stopped
from emogen.studio.models import IMAGE, ModelMissing

NO_FILE = "No file yet"
_EXPECTED = (ValueError, TypeError, OSError, RuntimeError)


def status_html(engine: Engine, kind: str) -> str:
    """Whether a kind's model can be used, what is missing if not, and whether it takes emotions from an adapter."""
    source = engine.sources[kind]
    if missing := source.status():
        return f'<div class="notice bad"><b>Not available.</b> {escape(missing)}</div>'
    if source.resolve()[1] is None:
        return (f'<div class="notice bad">{escape(source.name())}, without an emotion adapter: an emotion becomes a '
                "sentence of the prompt; arcs and avoid need an adapter.</div>")  # fmt: skip
    return f'<div class="notice good">Ready: {escape(source.name())}, with its emotion adapter.</div>'


class Actions:
    """The page's actions over an engine."""

    def __init__(self, engine: Engine):
        self.engine = engine

    def preview(self, source: str, point: str, *rest: Any) -> str:
        """What the emotion's inputs say, as a picture, or what is wrong with them."""
        try:
            emotion = self._emotion(source, point, *rest)
        except _EXPECTED as error:
            return f'<div class="asked"><div class="notice bad">{escape(str(error))}</div></div>'
        return emotion_html(emotion, plain_text(emotion), in_words(emotion))

    @staticmethod
    def _emotion(source: str, point: str, *rest: Any) -> Emotion:
        *amounts, rows, words, intensity = rest
        return read(source, point=point, amounts=amounts, rows=rows, words=words, intensity=intensity)

    def generate(self, progress=gr.Progress(), *values: Any):  # noqa: B008, the default is how gradio hands it in
        """The Generate button: one clip, shown with its reading. `values` are those of `Inputs.all`, in its order."""
        kind, prompt, image, *emotion, scale, guidance, emotion_guidance, avoid, steps, seed, frames = values

        def job() -> Job:
            if kind == IMAGE and (missing := self.engine.sources[IMAGE].status()):
                raise ModelMissing(missing)
            if kind == IMAGE and not image:
                raise ValueError('give the picture that the clip begins with, or choose "From text"')
            return Job(prompt, self._emotion(*emotion), image if kind == IMAGE else None, read_avoid(avoid), scale,
                       guidance, number_or_none(emotion_guidance, "emotion guidance scale"), steps, frames,
                       number_or_none(seed, "seed", whole=True))  # fmt: skip

        result = self._run(job, lambda share, text: progress(share, text))
        return self.show(result.number)

    def make(self, prompt: str, emotion: str = "neutral", intensity: float = 1.0, emotion_scale: float = 1.0,
             guidance_scale: float | None = None, emotion_guidance_scale: float | None = None,
             avoid: str | None = None, steps: int | None = None, seed: int | None = None,
             num_frames: int | None = None) -> dict[str, Any]:  # fmt: skip
        """The same for programs (`gradio_client`), from text alone: the clip's file on the studio's machine, its
        metadata and its reading. A picture's path would let whoever calls read files here, so none is taken."""

        def job() -> Job:
            return Job(prompt, read(WORDS, words=emotion, intensity=intensity), None, read_avoid(avoid), emotion_scale,
                       guidance_scale, emotion_guidance_scale, steps, num_frames, seed)  # fmt: skip

        result = self._run(job, lambda share, text: None)
        # "served" can be fetched from the page; gradio takes a key "path" for a file of its own
        return {"clip": str(result.path), "served": str(result.shown), "number": result.number, **result.metadata}

    def _run(self, job: Callable[[], Job], progress: Progress) -> Any:
        try:
            return self.engine.generate(job(), progress)
        except Stopped:
            raise gr.Error("The clip was stopped.", title="Stopped", duration=4, print_exception=False) from None
        except Busy as error:
            raise gr.Error(str(error), title="Busy", print_exception=False) from None
        except ModelMissing as error:
            raise gr.Error(escape(str(error)), title="Not available", duration=None, print_exception=False) from None
        except _EXPECTED as error:
            text = escape(str(error))
            raise gr.Error(text, title="Cannot make this", duration=None, print_exception=False) from error

    def show(self, number: int | None) -> tuple[Any, ...]:
        """Number, clip, reading, gallery, download group, link and note with the result of that number chosen."""
        result = self.engine.result(number)
        return (result and result.number, cards.clip_html(result), cards.reading_html(result),
                cards.gallery_html(self.engine.results, result and result.number), gr.Group(visible=result is not None),
                gr.DownloadButton(NO_FILE, value=None, interactive=False), "")  # fmt: skip

    def latest(self) -> tuple[Any, ...]:
        """`show` for the newest result: what a page that is opened again begins with."""
        return self.show(len(self.engine.results))

    def pick(self, event: gr.EventData) -> tuple[Any, ...]:
        """A card of the gallery was pressed."""
        return self.show(int(event.number))

    def save(self, number: int | None, form: str, transparent: bool, loop: bool) -> tuple[Any, str]:
        """Write the chosen clip in another form: the link that gives it away, and what was done to the clip."""
        result = self.engine.result(number)
        if result is None:
            raise gr.Error("There is no clip to download yet.", print_exception=False)
        try:
            made = write_download(result, form, self.engine.folder / "downloads", transparent=transparent, loop=loop)
        except _EXPECTED as error:
            raise gr.Error(escape(str(error)), title="Cannot write this", print_exception=False) from error
        label = f"{made.path.suffix[1:].upper()}, {size_text(made.path)}"
        link = gr.DownloadButton(label, value=str(self.engine.serve(made.path)), interactive=True)
        return link, f'<p class="hint">{escape("; ".join(made.changes))}</p>' if made.changes else ""
