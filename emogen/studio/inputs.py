"""The inputs of the Make tab: what to show, with which emotion, how many clips, and the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from emogen.emotion import MIKELS, NEUTRAL
from emogen.pipelines.speed_options import OFFLOADS
from emogen.stickers.platforms import PLATFORMS
from emogen.studio.arc_editor import arc_editor
from emogen.studio.colours import COLOURS
from emogen.studio.emotion_input import ARC, MIXTURE, PLANE, SOURCES, WORDS, arc_points
from emogen.studio.models import Defaults
from emogen.studio.plane import plane
from emogen.studio.pressed import emotion_buttons, suggestions
from emogen.studio.request import EMOTION_FIELDS, FIELDS, ONE, WHAT

ARCS = {
    "fear, then laughter": "0:fear@hold 0.6:fear 1:amusement",
    "sadness grows": "0:neutral 0.3:sadness:0.4@ease 1:sadness",
    "a fit of anger": "0:contentment 0.4:contentment@ease 0.55:anger 0.8:anger@ease 1:sadness",
    "wonder": "0:neutral 0.5:awe@ease 1:excitement",
}
EXAMPLES = ("a flat sticker of a round yellow face", "a heart-shaped pink face", "a 3d emoji of a yellow cat face",
            "a square blue face with a hat")  # fmt: skip
FIRST = "amusement"
CACHES = ("none", "first_block", "taylorseer")  # magcache needs the model's own ratios


@dataclass(frozen=True)
class Inputs:
    """The components by their names in `request.FIELDS`, and those beside them that set others."""

    fields: Mapping[str, Any]
    buttons: Any
    examples: Any
    arc: Any
    arc_choice: Any
    tabs: Any
    sources: Mapping[str, Any]
    asked: Any
    picture: Any

    @property
    def emotion(self) -> list[Any]:
        """Those of the emotion alone."""
        return [self.fields[name] for name in EMOTION_FIELDS]

    @property
    def all(self) -> list[Any]:
        """All of them."""
        return [self.fields[name] for name in FIELDS]


def build_first(kept: dict[str, Any]) -> tuple[Any, Any]:
    """What stands at the top: prompt, the eight buttons, and how many clips. Returns buttons and examples."""
    kept["prompt"] = gr.Textbox(EXAMPLES[0], label="Prompt", lines=2, max_lines=4, elem_id="prompt",
                                placeholder="What the clip shows, best without emotion words")  # fmt: skip
    examples = suggestions(EXAMPLES)
    buttons = emotion_buttons({name: COLOURS[name] for name in MIKELS}, FIRST)
    with gr.Row(elem_id="many"):
        kept["what"] = gr.Radio(list(WHAT), value=ONE, show_label=False, container=False, elem_id="what", scale=3,
                                min_width=200)  # fmt: skip
        kept["platform"] = gr.Dropdown(list(PLATFORMS), value="telegram", label="Platform", visible=False,
                                       elem_id="platform", min_width=120)  # fmt: skip
    return buttons, examples


def build_rest(kept: dict[str, Any], defaults: Defaults, image_status: str, first: tuple[Any, Any]) -> Inputs:
    """The four emotion inputs, the picture and the numbers, into the `gr.Blocks` that is open."""
    kept["source"] = gr.State(PLANE)
    sources = {}
    start = next(iter(ARCS.values()))
    with gr.Tabs(elem_id="sources") as tabs:
        with gr.Tab("Plane", id=PLANE) as sources[PLANE]:
            kept["point"] = plane(FIRST)
        with gr.Tab("Mixture", id=MIXTURE) as sources[MIXTURE]:
            gr.HTML('<p class="hint">How strong each is; together they make the intensity.</p>')
            kept.update(_sliders())
        with gr.Tab("Arc", id=ARC) as sources[ARC]:
            gr.HTML('<p class="hint">Drag a point in time and strength, or press where there is none to add one.</p>')
            editor = arc_editor(arc_points(start))
            with gr.Row():
                choice = gr.Dropdown(list(ARCS), label="Start from", elem_id="arcs", min_width=150)
                kept["arc"] = gr.Textbox(start, label="As text", elem_id="arc-text", max_lines=1, min_width=200)
        with gr.Tab("Words", id=WORDS) as sources[WORDS]:
            kept["words"] = gr.Textbox("", label="Emotion", elem_id="words",
                                       placeholder="joy, sadness:0.6, joy:0.7+awe:0.3",
                                       info='A word, a strength, a mixture, "va:0.8,0.3", or an arc.')  # fmt: skip
    asked = gr.HTML(elem_id="asked")
    kept["strength"] = gr.Slider(-1, 2, 1, step=0.05, label="Strength", elem_id="strength", buttons=[],
                                 info="Factor: 0 is neutral, 1 as chosen, less than 0 points away.")  # fmt: skip
    with gr.Row(elem_classes="numbers"):
        kept["seed"] = gr.Textbox("", label="Seed", min_width=90, elem_id="seed", placeholder="random", max_lines=1)
        kept["best_of"] = gr.Dropdown([1, 2, 4, 8], value=1, label="Best of", min_width=90, elem_id="best_of")
        kept["steps"] = gr.Number(defaults.steps, label="Steps", precision=0, minimum=1, min_width=90, elem_id="steps")
        kept["num_frames"] = gr.Number(defaults.num_frames, label="Frames", precision=0, minimum=1, min_width=90)
    gr.HTML('<p class="hint">Best of N makes N clips of as many seeds and keeps the one that the judge reads best.</p>')
    with gr.Accordion("Begin with a picture", open=False, elem_id="begin-picture"):
        picture = gr.HTML(image_status)
        kept["image"] = gr.Image(
            type="filepath", sources=["upload", "clipboard"], image_mode=None, height=230, buttons=[],
            label="The picture that the clip begins with", elem_id="picture")  # fmt: skip
    _guidance(kept, defaults)
    _opening(kept)
    assert set(kept) == set(FIELDS) and set(sources) == set(SOURCES)
    return Inputs(kept, *first, editor, choice, tabs, sources, asked, picture)


def _sliders() -> dict[str, Any]:
    made = {}
    for pair in zip(MIKELS.positive, MIKELS.negative, strict=True):
        with gr.Row(elem_classes="sliders"):
            for name in pair:
                made[f"amount_{name}"] = gr.Slider(0, 1, 0, step=0.05, label=name, elem_id=f"amount_{name}",
                                                   min_width=140, buttons=[])  # fmt: skip
    return made


def _guidance(kept: dict[str, Any], defaults: Defaults) -> None:
    with gr.Accordion("Guidance, size, what to avoid", open=False, elem_id="guidance"):
        kept["negative_prompt"] = gr.Textbox("", label="Negative prompt", placeholder="what the clip should not show",
                                             elem_id="negative_prompt")  # fmt: skip
        with gr.Row():
            kept["avoid"] = gr.Dropdown([NEUTRAL, *MIKELS], value=NEUTRAL, allow_custom_value=True, min_width=140,
                                        label="Avoid", info="An emotion to steer away from.")  # fmt: skip
            kept["emotion_scale"] = gr.Slider(0, 3, 1, step=0.05, label="Emotion scale", min_width=140, buttons=[],
                                              info="Factor on what the adapter adds; 0 is the base model.")  # fmt: skip
        with gr.Row():
            kept["guidance_scale"] = gr.Slider(1, 15, defaults.guidance_scale, step=0.1, label="Guidance scale",
                                               min_width=140, buttons=[],
                                               info="How closely to follow prompt and emotion.")  # fmt: skip
            kept["emotion_guidance_scale"] = gr.Textbox(
                "", label="Emotion guidance scale", min_width=140, max_lines=1, placeholder="as guidance scale",
                info="The emotion's apart from the text's; costs a third pass a step.")  # fmt: skip
        with gr.Row():
            kept["guidance_interval"] = gr.Textbox("", label="Guidance interval", max_lines=1, min_width=140,
                                                   placeholder="all steps; or such as 0 to 0.6",
                                                   info="Steps in which the emotion's own scale holds.")  # fmt: skip
            size = {"max_lines": 1, "min_width": 90, "placeholder": "model's own"}
            kept["width"] = gr.Textbox("", label="Width", **size)
            kept["height"] = gr.Textbox("", label="Height", **size)


def _opening(kept: dict[str, Any]) -> None:
    with gr.Accordion("LoRAs, speed and memory", open=False, elem_id="opening"):
        kept["loras"] = gr.Textbox("", label="LoRAs", lines=2, elem_id="loras", placeholder="style.safetensors:0.8",
                                   info="A file, folder or hub id a line, with its weight after a colon.")  # fmt: skip
        with gr.Row():
            kept["cache"] = gr.Dropdown(list(CACHES), value="none", label="Cache", min_width=120,
                                        info="Reuses earlier steps: faster, less exact.")  # fmt: skip
            kept["offload"] = gr.Dropdown([name for name in OFFLOADS if name != "group_disk"], value="none",
                                          label="Offload", min_width=120,
                                          info="Keeps weights off the GPU while unused.")  # fmt: skip
        with gr.Row():
            kept["fp8"] = gr.Checkbox(False, label="8-bit weights", min_width=110)
            kept["compile"] = gr.Checkbox(False, label="Compile", min_width=110)
            kept["vae_tiling"] = gr.Checkbox(False, label="Decode in tiles", min_width=110)
        gr.HTML('<p class="hint">A change here loads the model again.</p>')


def build_looks() -> tuple[Any, Any]:
    """The two check boxes of a download."""
    key = gr.Checkbox(False, label="Transparent", min_width=90)
    return key, gr.Checkbox(False, label="Loop", min_width=90)
