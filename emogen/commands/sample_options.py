"""The options of `sample.py`, in groups. Nothing here loads model code, so that `--help` is quick."""

from __future__ import annotations

import argparse

from emogen.emotion import NEUTRAL
from emogen.finite import float_text, whole_text
from emogen.pipelines.composition import add_lora_arguments
from emogen.pipelines.model_files import add_model_arguments
from emogen.pipelines.presets import PRESETS
from emogen.pipelines.speed_options import add_speed_arguments

ENLARGE_TO = 384
DTYPES = ("float32", "bfloat16", "float16")
SHORT = (
    "prompt", "image", "emotion", "avoid", "negative_prompt", "seed", "num_frames", "height", "width",
    "num_inference_steps", "model", "adapter", "output", "transparent", "effects", "loop", "platform", "text",
    "best_of", "batch", "output_dir", "characters", "source",
)  # fmt: skip
"""Options that `--help` shows; `--help_all` shows every one."""
EXAMPLES = """examples:
  python sample.py --emotion joy --prompt "a round yellow face"
  python sample.py --emotion "sadness:0.5" --prompt "a heart-shaped pink face on a white background" --output sad.gif
  python sample.py --emotion "0:fear 0.6:fear 1:amusement" --prompt "a square blue face" --output arc.webp
  python sample.py --image character.png --emotion fear --prompt "a round green face"
  python sample.py --emotion all --prompt "a 3d emoji of a yellow cat face" --seed 7 --output all.webp
  python sample.py --emotion awe --prompt "a star-shaped red face" --transparent --loop --platform telegram
  python sample.py --emotion all --platform telegram --transparent --prompt "a round red face" --output_dir set
  python sample.py --emotion awe --prompt "a round red face" --best_of 4
  python sample.py --batch examples/faces.csv --output_dir stickers
  python sample.py --from stickers/0001_joy.webp --output again.webp
  python sample.py --emotion awe --prompt "a lighthouse" --model Wan-AI/Wan2.1-T2V-1.3B-Diffusers --adapter FOLDER
"""


def build_parser() -> argparse.ArgumentParser:
    """The options of `sample.py`."""
    parser = argparse.ArgumentParser(
        prog="sample.py", description="Make a clip that shows an emotion.", epilog=EXAMPLES, add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)  # fmt: skip
    parser.add_argument("-h", "--help", action=_Help, short=True, help="show the common options")
    parser.add_argument("--help_all", action=_Help, short=False, help="show all options")
    what = parser.add_argument_group("what to make")
    what.add_argument("--prompt", metavar="TEXT", help="what the clip shows, best without emotion words")
    what.add_argument("--image", metavar="FILE", help="the picture that the clip begins with (image to video)")
    what.add_argument(
        "--max_picture_pixels", type=whole_text, metavar="N", help="largest --image in pixels (default: 100 million)"
    )
    what.add_argument(
        "--emotion",
        default=NEUTRAL,
        metavar="TEXT",
        help='a word (joy, fear, calm ...), "sadness:0.6", "joy:0.7+awe:0.3", "va:0.8,0.3", an arc '
        '"0:fear 1:amusement", or "all" for a labelled grid of neutral and the eight; with --output_dir "all", or '
        'a list such as "joy, fear", is a sticker set',
    )
    what.add_argument("--avoid", metavar="TEXT", help="an emotion to steer away from, in the same forms")
    what.add_argument("--emotion_scale", type=float_text, default=1.0, help="factor on the adapter; 0 is the base")
    what.add_argument("--enrich", metavar="FILE", help="say the emotion's look in the prompt, of the "
                      "emogen_priors.json of `emogen analyze` (for models without an adapter)")  # fmt: skip
    what.add_argument("--negative_prompt", "--negative", metavar="TEXT", help="what the clip should not show")
    what.add_argument(
        "--seed",
        type=whole_text,
        metavar="N",
        help="same seed, same clip; -1 or left out: a random one, which is printed",
    )
    what.add_argument(
        "--best_of",
        type=whole_text,
        default=1,
        metavar="N",
        help="make N clips, of the seeds from --seed on, and keep the one in which a judge reads the emotion best",
    )
    what.add_argument(
        "--judge",
        default="embedded",
        metavar="SPEC",
        help="the judge of --best_of, as of `emogen judge` (default: embedded, which knows stickers)",
    )
    size = parser.add_argument_group("size and sampling (defaults: the model's own)")
    size.add_argument("--num_frames", type=whole_text, metavar="N", help="4k+1: 13, 17, ... 81")
    size.add_argument("--height", type=whole_text, metavar="N", help="pixels")
    size.add_argument("--width", type=whole_text, metavar="N", help="pixels")
    size.add_argument(
        "--preset", choices=tuple(PRESETS), help="fast: few steps without guidance, for step-distilled models and LoRAs"
    )
    size.add_argument("--num_inference_steps", "--steps", type=whole_text, metavar="N", help="more is finer and slower")
    size.add_argument("--guidance_scale", type=float_text)
    size.add_argument(
        "--emotion_guidance_scale",
        type=float_text,
        help="guidance of the emotion apart from the text's, at a third pass a step",
    )
    size.add_argument(
        "--guidance_interval",
        type=float_text,
        nargs=2,
        metavar=("START", "END"),
        help="shares of the steps in which --emotion_guidance_scale holds, such as 0 0.6",
    )
    size.add_argument("--fps", type=float_text, help="frames a second of the file")
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        help="a Wan text-to-video model, with --image an image-to-video one: a folder or hub id in diffusers' format, "
        "or a file or folder as Wan and ComfyUI have it (docs/compatibility.md; default: the embedded ones)",
    )
    add_model_arguments(model)
    model.add_argument(
        "--adapter",
        help='folder or hub id of an emotion adapter, or "none" (default: the embedded '
        "one with the embedded model, else none: the emotion goes into the prompt)",
    )
    model.add_argument("--no_lora", action="store_true", help="load the adapter without its LoRA")
    model.add_argument("--device", help="cuda, mps, cpu (default: the best there is)")
    model.add_argument("--dtype", choices=DTYPES, help="default: bfloat16, float32 on cpu")
    add_lora_arguments(parser)
    add_speed_arguments(parser)
    _add_output(parser)
    return parser


class _Help(argparse.Action):
    """Prints the help: with `short`, what most people need."""

    def __init__(self, option_strings: list[str], dest: str, short: bool, help: str):
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)
        self.short = short

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(short_help(parser) if self.short else parser.format_help(), end="")
        parser.exit()


def short_help(parser: argparse.ArgumentParser) -> str:
    """The help without the options that few people need."""
    text = parser.formatter_class(prog=parser.prog)
    text.add_text(f"usage: {parser.prog} --prompt TEXT [--emotion TEXT] [--output FILE] [options]")
    text.add_text(parser.description)
    left_out = 0
    for group in parser._action_groups:
        shown = [action for action in group._group_actions if action.dest in SHORT]
        left_out += sum(action.dest not in (*SHORT, argparse.SUPPRESS) for action in group._group_actions)
        if shown:
            text.start_section(group.title)
            text.add_arguments(shown)
            text.end_section()
    text.add_text(f"{left_out} more options (guidance, LoRAs, speed, memory, file size ...): --help_all")
    text.add_text(parser.epilog)
    return text.format_help()


def _add_output(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument_group("output")
    out.add_argument(
        "--output",
        metavar="FILE",
        help=".mp4, .gif, .webp, .apng or .png (animated); default: "
        "outputs/EMOTION_SEED with .mp4, or what the options ask for",
    )
    out.add_argument(
        "--no_enlarge",
        action="store_true",
        help=f"keep small clips small (else the shorter side becomes at least {ENLARGE_TO} pixels)",
    )
    out.add_argument(
        "--transparent",
        action="store_true",
        help="take a plain background away; where the prompt names none, it is given one of a colour that the subject "
        "lacks",
    )
    out.add_argument(
        "--effects",
        choices=("keep", "drop"),
        default="keep",
        help="with --transparent: what becomes of steam, sparkles and rays beside the body (default: keep)",
    )
    out.add_argument(
        "--text", metavar="TEXT", help="write this on the clip; {emotion} and {character} stand for their names"
    )
    out.add_argument("--font", metavar="FILE", help="a .ttf or .otf for --text (default: a plain one, for English)")
    out.add_argument("--loop", action="store_true", help="let the end run into the beginning")
    out.add_argument("--max_kb", type=whole_text, metavar="N", help="make the file no larger than N kilobytes")
    out.add_argument(
        "--platform", choices=PLATFORMS, help="a sticker as this platform takes it: size, length, format and file size"
    )
    out.add_argument("--quiet", action="store_true", help="no progress bar")
    many = parser.add_argument_group("many clips, and the same again")
    many.add_argument(
        "--batch",
        metavar="FILE",
        help="a .csv or .jsonl with a clip a row: prompt, emotion and other "
        'options by their names ("all" as emotion: a clip for each)',
    )
    many.add_argument(
        "--output_dir",
        metavar="DIR",
        help="where --batch (default: outputs) and sets put their clips; what lies there already is not made again",
    )
    many.add_argument(
        "--characters",
        metavar="FILE",
        help="a text file with a character a line, each in every emotion of the set; --prompt may say where: "
        '"a flat sticker of {character}"',
    )
    many.add_argument(
        "--from",
        dest="source",
        metavar="CLIP",
        help="take the options from a clip made here: the same clip again, or with the options given beside it",
    )
    many.add_argument(
        "--trust", action="store_true", help="with --from: take the files, folders and models that the clip names, too"
    )


PLATFORMS = ("telegram", "whatsapp", "discord", "slack")
