"""The options of `sample.py`, in groups. Nothing here loads model code, so that `--help` is quick."""

from __future__ import annotations

import argparse

from emogen.emotion import NEUTRAL
from emogen.finite import float_text, whole_text
from emogen.pipelines.composition import add_lora_arguments
from emogen.pipelines.speed_options import add_speed_arguments

ENLARGE_TO = 384
DTYPES = ("float32", "bfloat16", "float16")
EXAMPLES = """examples:
  python sample.py --emotion joy --prompt "a round yellow face"
  python sample.py --emotion "sadness:0.5" --prompt "a heart-shaped pink face on a white background" --output sad.gif
  python sample.py --emotion "0:fear 0.6:fear 1:amusement" --prompt "a square blue face" --output arc.webp
  python sample.py --image character.png --emotion fear --prompt "a round green face"
  python sample.py --emotion all --prompt "a 3d emoji of a yellow cat face" --seed 7 --output all.webp
  python sample.py --emotion awe --prompt "a star-shaped red face" --transparent --loop --platform telegram
  python sample.py --batch faces.csv --output_dir stickers
  python sample.py --from stickers/0001_joy.webp --output again.webp
  python sample.py --emotion awe --prompt "a lighthouse" --model Wan-AI/Wan2.1-T2V-1.3B-Diffusers --adapter FOLDER
"""


def build_parser() -> argparse.ArgumentParser:
    """The options of `sample.py`."""
    parser = argparse.ArgumentParser(
        prog="sample.py", description="Make a clip that shows an emotion.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)  # fmt: skip
    what = parser.add_argument_group("what to make")
    what.add_argument("--prompt", help="what the clip shows, best without emotion words")
    what.add_argument("--image", metavar="FILE", help="the picture that the clip begins with (image to video)")
    what.add_argument(
        "--max_picture_pixels", type=whole_text, metavar="N", help="largest --image in pixels (default: 100 million)"
    )
    what.add_argument(
        "--emotion",
        default=NEUTRAL,
        metavar="TEXT",
        help='a word (joy, fear, calm ...), "sadness:0.6", "joy:0.7+awe:0.3", "va:0.8,0.3", an arc '
        '"0:fear 1:amusement", or "all" for a labelled grid of neutral and the eight',
    )
    what.add_argument("--avoid", metavar="TEXT", help="an emotion to steer away from, in the same forms")
    what.add_argument("--emotion_scale", type=float_text, default=1.0, help="factor on the adapter; 0 is the base")
    what.add_argument("--negative_prompt", help="what the clip should not show")
    what.add_argument("--seed", type=whole_text, help="same seed, same clip (default: a random one, which is printed)")
    size = parser.add_argument_group("size and sampling (defaults: the model's own)")
    size.add_argument("--num_frames", type=whole_text, help="4k+1: 13, 17, ... 81")
    size.add_argument("--height", type=whole_text, help="pixels")
    size.add_argument("--width", type=whole_text, help="pixels")
    size.add_argument("--num_inference_steps", type=whole_text)
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
        help="folder or hub id of a Wan2.1 text-to-video model, with --image of an "
        "image-to-video one (default: the embedded ones)",
    )
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
    out.add_argument("--transparent", action="store_true", help="take a flat background away")
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
        default="outputs",
        help="where --batch puts its clips; what lies there already is not made again",
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
