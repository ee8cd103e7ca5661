"""What the buttons of the Make tab do. Every method takes values of components and returns values for components."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from emogen.emotion import EmotionArc
from emogen.studio import cards, notices
from emogen.studio.again import settings_of
from emogen.studio.arc_editor import editor_value
from emogen.studio.downloads import size_text, write_download
from emogen.studio.drawing import emotion_html
from emogen.studio.emotion_input import WORDS, arc_points, named, plain_text, points_text, read, read_avoid
from emogen.studio.engine import Busy, Engine, Stopped
from emogen.studio.job import Job
from emogen.studio.models import IMAGE, TEXT, Defaults, ModelMissing, Source, defaults_of
from emogen.studio.pressed import NOBODY
from emogen.studio.request import AMOUNTS, EMOTION_FIELDS, FIELDS, Request, read_emotion, read_request
from emogen.studio.result import Result
from emogen.studio.work import watch

NO_FILE = "No file yet"
_EXPECTED = (ValueError, TypeError, OSError, RuntimeError)
SHOWN = 7
"""Components that `show` gives values for."""


def status_html(engine: Engine, kind: str) -> str:
    """Whether a kind's model can be used, what is missing if not, and whether it takes emotions from an adapter."""
    source = engine.sources[kind]
    if missing := source.status():
        return f'<div class="notice bad"><b>Not available.</b> {escape(missing)}</div>'
    if source.resolve()[1] is None:
        return (f'<div class="notice bad">{escape(source.name())}, without an emotion adapter: an emotion becomes a '
                "sentence of the prompt; arcs and avoid need an adapter.</div>")  # fmt: skip
    own = source.adapter is None
    adapter = "its emotion adapter" if own else f"the emotion adapter of {escape(str(source.adapter))}"
    return f'<p class="hint">Made by {escape(source.name())}, with {adapter}.</p>'


class Actions:
    """The tab's actions over an engine.

    Args:
        own: whether the page is for this machine's own people. Others may not name LoRAs, which are files of this
            machine or downloads of theirs.
    """

    def __init__(self, engine: Engine, own: bool = True):
        self.engine, self.own = engine, own

    def preview(self, *values: Any) -> tuple[str, str]:
        """What the emotion's inputs say, as a picture, or what is wrong with them; and the emotion's name if it is one
        of the eight. `values` are those of `EMOTION_FIELDS`."""
        try:
            emotion = read_emotion(dict(zip(EMOTION_FIELDS, values, strict=True)))
        except _EXPECTED as error:
            return f'<div class="asked"><div class="notice bad">{escape(str(error))}</div></div>', NOBODY
        name = NOBODY if isinstance(emotion, EmotionArc) else named(emotion) or NOBODY
        return emotion_html(emotion, plain_text(emotion)), name

    @staticmethod
    def dragged(points: str) -> Any:
        """The arc's text of points that were dragged; nothing changes where they are none."""
        import json

        try:
            return points_text(json.loads(points))
        except _EXPECTED:
            return gr.skip()

    @staticmethod
    def written(text: str) -> Any:
        """The points of an arc's text; nothing changes while it is none."""
        try:
            return editor_value(arc_points(text))
        except _EXPECTED:
            return gr.skip()

    def generate(self, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The Generate button: notice and `show`'s values, again and again. The clip that is shown stays until there
        is another. `values` are those of `FIELDS`."""
        nothing = (gr.skip(),) * SHOWN
        made: tuple[Result, ...] = ()
        yield notices.progress_html(0, "beginning", 0), *nothing
        try:
            request = read_request(dict(zip(FIELDS, values, strict=True)))
            if request.jobs[0].opening.loras and not self.own:
                raise ValueError("LoRAs can be chosen on the studio's own machine alone; leave the field empty")
            work = lambda progress: self.engine.make(request.jobs, request.best_of, progress)  # noqa: E731
            for step in watch(work):
                shown = self._shown(step.found, step.found[-1].number) if len(step.found) > len(made) else nothing
                made = step.found
                yield notices.progress_html(step.share, step.text, step.seconds), *shown
            yield self._end(request, made), *self._shown(made, made[-1].number)
        except Stopped:
            kept = f"{len(made)} clips were finished before." if made else ""
            yield notices.said_html("Stopped", kept), *nothing
        except Busy as error:
            yield notices.error_html("Busy", error), *nothing
        except ModelMissing as error:
            yield notices.error_html("Not available", error), *nothing
        except _EXPECTED as error:
            yield notices.error_html("Cannot make this", error), *nothing

    def _end(self, request: Request, made: tuple[Result, ...]) -> str:
        """What is said at the end; a sticker set is written then."""
        if request.platform is None:
            seconds = sum(result.seconds or 0 for result in made)
            return notices.said_html("Done" if len(made) == 1 else f"{len(made)} clips", f"in {seconds:.0f} s")
        from emogen.studio.sets import write_set

        done = write_set(made, request.platform, self.engine.folder / "sets")
        zipped = self.engine.serve(done.archive, f"{done.folder.name}.zip")
        return cards.set_html(done, zipped, self.engine.serve(done.sheet, f"{done.folder.name}.png"))

    def make(self, prompt: str, emotion: str = "neutral", intensity: float = 1.0, emotion_scale: float = 1.0,
             guidance_scale: float | None = None, emotion_guidance_scale: float | None = None,
             avoid: str | None = None, steps: int | None = None, seed: int | None = None,
             num_frames: int | None = None) -> dict[str, Any]:  # fmt: skip
        """The same for programs (`gradio_client`), from text alone: the clip's file on the studio's machine, its
        metadata and its reading. A picture's path would let whoever calls read files here, so none is taken."""
        try:
            job = Job(prompt, read(WORDS, words=emotion, strength=intensity), None, read_avoid(avoid), emotion_scale,
                      guidance_scale, emotion_guidance_scale, steps, num_frames, seed)  # fmt: skip
            result = self.engine.generate(job)
        except (Stopped, *_EXPECTED) as error:
            raise gr.Error(escape(str(error)), print_exception=False) from error
        # "served" can be fetched from the page; gradio takes a key "path" for a file of its own
        return {"clip": str(result.path), "served": str(result.shown), "number": result.number, **result.metadata}

    def show(self, number: int | None) -> tuple[Any, ...]:
        """Number, clip, reading, gallery, download group, link and note with the result of that number chosen."""
        result = self.engine.result(number)
        return self._shown((result,) if result else (), result and result.number)

    def _shown(self, results: tuple[Result, ...], number: int | None) -> tuple[Any, ...]:
        result = self.engine.result(number)
        stage = cards.clip_html(result) if len(results) < 2 else cards.several_html(results)
        return (number, stage, cards.reading_html(result), cards.gallery_html(self.engine.results, number),
                gr.Group(visible=result is not None), gr.DownloadButton(NO_FILE, value=None, interactive=False),
                "")  # fmt: skip

    def latest(self) -> tuple[Any, ...]:
        """`show` for the newest result: what a page that is opened again begins with."""
        return self.show(max((result.number for result in self.engine.results), default=None))

    def pick(self, event: gr.EventData) -> tuple[Any, ...]:
        """A card of the gallery was pressed."""
        return self.show(int(event.number))

    def again(self, number: int | None) -> tuple[Any, ...]:
        """ "Use these settings": notice, the open tab, and values for every input, in the order of `FIELDS`."""
        result = self.engine.result(number)
        if result is None:
            return notices.error_html("No clip", "Choose a clip first."), gr.skip(), *(gr.skip() for _ in FIELDS)
        settings = settings_of(result)
        emotion, numbers = settings.emotion, settings.numbers
        source = self.engine.sources[IMAGE if settings.image else TEXT]
        own = defaults_of(source)
        picture = settings.image and str(self.engine.serve(Path(settings.image)))
        values = self._usual(own) | {
            "prompt": settings.prompt, "image": picture, "seed": str(settings.seed), "source": emotion.source,
            "point": emotion.point, **dict(zip(AMOUNTS, emotion.amounts, strict=True)), "words": emotion.words,
            "strength": emotion.strength, **({"arc": emotion.arc} if emotion.arc else {"arc": gr.skip()}),
        }  # fmt: skip
        renamed = {"num_inference_steps": "steps", "lora": "loras"}
        for name, value in numbers.items():
            values[renamed.get(name, name)] = _as_input(name, value)
        return (
            self._said_of(result, source),
            gr.Tabs(selected=emotion.source),
            *(values.get(name, gr.skip()) for name in FIELDS),
        )

    @staticmethod
    def _said_of(result: Result, source: Source) -> str:
        """Whether Generate would make the same clip, or with another model."""
        with_ = {name: result.metadata.get(name) for name in ("model", "adapter")}
        if with_ == {"model": source.model, "adapter": source.adapter}:
            return notices.said_html("Settings are back", "Generate makes the same clip, seed included.")
        named = " and ".join(f"{name} {value or 'of the package'}" for name, value in with_.items())
        return notices.said_html("Settings are back", f"The clip was made with {named}; this page uses another.")

    @staticmethod
    def _usual(own: Defaults) -> dict[str, Any]:
        """What inputs stand at that a clip does not name."""
        return {
            "what": "one clip", "best_of": 1, "emotion_scale": 1, "guidance_scale": own.guidance_scale,
            "emotion_guidance_scale": "", "guidance_interval": "", "avoid": "neutral", "negative_prompt": "",
            "steps": own.steps, "num_frames": own.num_frames, "height": "", "width": "", "loras": "", "cache": "none",
            "offload": "none", "fp8": False, "compile": False, "vae_tiling": False,
        }  # fmt: skip

    def save(self, number: int | None, form: str, transparent: bool, loop: bool) -> tuple[Any, str]:
        """Write the chosen clip in another form: the link that gives it away, and what was done to the clip."""
        result = self.engine.result(number)
        if result is None:
            return gr.skip(), notices.error_html("No clip", "There is no clip to download yet.")
        try:
            made = write_download(result, form, self.engine.folder / "downloads", transparent=transparent, loop=loop)
        except _EXPECTED as error:
            return gr.skip(), notices.error_html("Cannot write this", error)
        label = f"{made.path.suffix[1:].upper()}, {size_text(made.path)}"
        link = gr.DownloadButton(label, value=str(self.engine.serve(made.path)), interactive=True)
        return link, f'<p class="hint">{escape("; ".join(made.changes))}</p>' if made.changes else ""


def _as_input(name: str, value: Any) -> Any:
    """A clip's value as its input takes it."""
    if name == "lora":
        return "\n".join(str(one) for one in value)
    if name == "guidance_interval":
        return " to ".join(f"{share:g}" for share in value)
    if name in ("emotion_guidance_scale", "height", "width"):
        return f"{value:g}"
    return value
