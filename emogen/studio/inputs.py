"""The page's left side: what to show, with which emotion, and the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from emogen.emotion import MIKELS, NEUTRAL
from emogen.studio.emotion_input import ARC, MIXTURE, PLANE, WORDS, arc_rows
from emogen.studio.models import IMAGE, TEXT, Defaults
from emogen.studio.plane import plane

ARCS = {
    "fear, then laughter": "0:fear@hold 0.6:fear 1:amusement",
    "sadness grows": "0:neutral 0.3:sadness:0.4@ease 1:sadness",
    "a fit of anger": "0:contentment 0.4:contentment@ease 0.55:anger 0.8:anger@ease 1:sadness",
    "wonder": "0:neutral 0.5:awe@ease 1:excitement",
}
EXAMPLES = ("a flat sticker of a round yellow face", "a heart-shaped pink face", "a 3d emoji of a yellow cat face",
            "a square blue face with a hat")  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """The components that say what to make, in the order in which `generate` takes them."""

    kind: Any
    prompt: Any
    image: Any
    source: Any
    point: Any
    sliders: list[Any]
    rows: Any
    words: Any
    intensity: Any
    numbers: list[Any]

    @property
    def emotion(self) -> list[Any]:
        """Those of the emotion alone."""
        return [self.source, self.point, *self.sliders, self.rows, self.words, self.intensity]

    @property
    def all(self) -> list[Any]:
        """All of them."""
        return [self.kind, self.prompt, self.image, *self.emotion, *self.numbers]


@dataclass(frozen=True)
class Tabs:
    """The tabs that choose the kind and the emotion's input, by what they choose."""

    kinds: dict[str, Any]
    sources: dict[str, Any]
    status: dict[str, Any]
    arc_choice: Any
    asked: Any


def build_inputs(defaults: Defaults, status: Mapping[str, str]) -> tuple[Inputs, Tabs]:
    """Put the left side into the `gr.Blocks` that is open; `status` says of each kind whether it can be used."""
    kind, source = gr.State(TEXT), gr.State(PLANE)
    prompt = gr.Textbox(EXAMPLES[0], label="Prompt", lines=2, max_lines=4, elem_id="prompt",
                        info="What the clip shows, best without emotion words.")  # fmt: skip
    with gr.Tabs(elem_id="kinds"):
        with gr.Tab("From text", id=TEXT) as from_text:
            text_status = gr.HTML(status[TEXT])
            gr.Examples([[text] for text in EXAMPLES], prompt, label="To try with the embedded model")
        with gr.Tab("From a picture", id=IMAGE) as from_image:
            image_status = gr.HTML(status[IMAGE])
            image = gr.Image(type="filepath", sources=["upload", "clipboard"], image_mode=None, height=230,
                             label="The picture that the clip begins with", elem_id="picture", buttons=[])  # fmt: skip
    with gr.Tabs(elem_id="sources"):
        with gr.Tab("Plane", id=PLANE) as on_plane:
            point = plane("0.75,0.4")
        with gr.Tab("Mixture", id=MIXTURE) as on_mixture:
            gr.HTML('<p class="hint">How strong each is; together they make the intensity.</p>')
            sliders = _sliders()
        with gr.Tab("Arc", id=ARC) as on_arc:
            arc = gr.Dropdown(list(ARCS), label="Start from", elem_id="arcs")
            rows = gr.Dataframe(
                arc_rows(next(iter(ARCS.values()))), headers=["time 0-1", "emotion", "linear, hold or ease"],
                datatype=["str", "str", "str"], type="array", interactive=True, column_count=3, elem_id="rows",
                label="Keyframes (right-click a row for more)", buttons=[],
            )  # fmt: skip
        with gr.Tab("Words", id=WORDS) as in_words:
            words = gr.Textbox(
                "",
                label="Emotion",
                elem_id="words",
                placeholder="joy, sadness:0.6, joy:0.7+awe:0.3",
                info='A word, a strength, a mixture, "va:0.8,0.3", or an arc such as "0:fear 1:joy".',
            )
    asked = gr.HTML(elem_id="asked")
    intensity, numbers = _numbers(defaults)
    tabs = Tabs({TEXT: from_text, IMAGE: from_image},
                {PLANE: on_plane, MIXTURE: on_mixture, ARC: on_arc, WORDS: in_words},
                {TEXT: text_status, IMAGE: image_status}, arc, asked)  # fmt: skip
    return Inputs(kind, prompt, image, source, point, sliders, rows, words, intensity, numbers), tabs


def _sliders() -> list[Any]:
    made = []
    for pair in zip(MIKELS.positive, MIKELS.negative, strict=True):
        with gr.Row(elem_id="sliders"):
            made += [(name, gr.Slider(0, 1, 0, step=0.05, label=name, elem_id=f"amount_{name}", min_width=140,
                                      buttons=[])) for name in pair]  # fmt: skip
    by_name = dict(made)
    return [by_name[name] for name in MIKELS]


def _numbers(defaults: Defaults) -> tuple[Any, list[Any]]:
    intensity = gr.Slider(-1, 2, 1, step=0.05, label="Intensity", elem_id="intensity",
                          info="0 is neutral, 1 as learned; more exaggerates, less than 0 points away.")  # fmt: skip
    with gr.Row():
        steps = gr.Number(defaults.steps, label="Steps", precision=0, minimum=1, min_width=110, elem_id="steps")
        seed = gr.Textbox("", label="Seed", min_width=110, elem_id="seed", placeholder="random", max_lines=1)
        frames = gr.Number(defaults.num_frames, label="Frames (4k+1)", precision=0, minimum=1, min_width=110)
    with gr.Accordion("Guidance", open=False):
        with gr.Row():
            scale = gr.Slider(0, 3, 1, step=0.05, label="Emotion scale", min_width=140,
                              info="Factor on what the adapter adds; 0 is the base model.")  # fmt: skip
            guidance = gr.Slider(1, 15, defaults.guidance_scale, step=0.1, label="Guidance scale", min_width=140,
                                 info="How closely to follow prompt and emotion.")  # fmt: skip
        with gr.Row():
            apart = gr.Textbox("", label="Emotion guidance scale", min_width=140, max_lines=1,
                               placeholder="as guidance scale",
                               info="The emotion's apart from the text's; costs a third pass a step.")  # fmt: skip
            avoid = gr.Dropdown([NEUTRAL, *MIKELS], value=NEUTRAL, allow_custom_value=True, min_width=140,
                                label="Avoid", info="An emotion to steer away from.")  # fmt: skip
    return intensity, [scale, guidance, apart, avoid, steps, seed, frames]


def build_looks() -> tuple[Any, Any]:
    """The two check boxes of a download; hidden where this installation cannot do what they ask."""
    key = gr.Checkbox(False, label="Transparent background", min_width=120)
    return key, gr.Checkbox(False, label="Seamless loop", min_width=120)
