"""`sample.py` and `emogen sample`: a prompt and an emotion in, a clip out."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emogen.data.video import VideoError, check_writable
from emogen.emotion import MIKELS, NEUTRAL, EmotionArc, parse_emotion

ENLARGE_TO = 384
EXAMPLES = """examples:
  python sample.py --emotion joy --prompt "a round yellow face"
  python sample.py --emotion "sadness:0.5" --prompt "a heart-shaped pink face on a white background" --output sad.gif
  python sample.py --emotion all --prompt "a 3d emoji of a yellow cat face" --seed 7 --output all.webp
  python sample.py --emotion awe --prompt "a lighthouse" --model Wan-AI/Wan2.1-T2V-1.3B-Diffusers --adapter FOLDER
"""


def build_parser() -> argparse.ArgumentParser:
    """The options of `sample.py`."""
    parser = argparse.ArgumentParser(
        prog="sample.py", description="Make a clip that shows an emotion.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    what = parser.add_argument_group("what to make")
    what.add_argument("--prompt", required=True, help="what the clip shows, best without emotion words")
    what.add_argument("--emotion", default=NEUTRAL, metavar="TEXT",
                      help='a word (joy, fear, calm ...), "sadness:0.6", "joy:0.7+awe:0.3", "va:0.8,0.3", an arc '
                           '"0:fear 1:amusement", or "all" for a labelled grid of neutral and the eight')
    what.add_argument("--emotion_scale", type=float, default=1.0, help="factor on the adapter's effect; 0 is the base")
    what.add_argument("--negative_prompt", help="what the clip should not show")
    what.add_argument("--seed", type=int, help="same seed, same clip (default: a random one, which is printed)")
    size = parser.add_argument_group("size and sampling (defaults: the model's own)")
    size.add_argument("--num_frames", type=int, help="4k+1: 13, 17, ... 81")
    size.add_argument("--height", type=int, help="pixels")
    size.add_argument("--width", type=int, help="pixels")
    size.add_argument("--num_inference_steps", type=int)
    size.add_argument("--guidance_scale", type=float)
    size.add_argument("--fps", type=float, help="frames a second of the file")
    model = parser.add_argument_group("model")
    model.add_argument("--model", help="folder or hub id of a Wan2.1 text-to-video model (default: the embedded one)")
    model.add_argument("--adapter", help='folder or hub id of an emotion adapter, or "none" (default: the embedded '
                                         "one with the embedded model, else none: the emotion goes into the prompt)")
    model.add_argument("--no_lora", action="store_true", help="load the adapter without its LoRA")
    model.add_argument("--device", help="cuda, mps, cpu (default: the best there is)")
    model.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], help="default: bfloat16, float32 on cpu")
    out = parser.add_argument_group("output")
    out.add_argument("--output", metavar="FILE", help=".mp4, .gif, .webp, .apng or .png (animated); default: "
                                                      "outputs/EMOTION_SEED.mp4")
    out.add_argument("--no_enlarge", action="store_true",
                     help=f"keep small clips small (else the shorter side becomes at least {ENLARGE_TO} pixels)")
    out.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _checked(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Any:
    """Refuse what cannot work before any model is loaded; returns the emotion (None for "all")."""
    if not args.prompt.strip():
        parser.error("--prompt is empty; say what the clip shows")
    for name in ("num_frames", "height", "width", "num_inference_steps", "fps"):
        value = getattr(args, name)
        if value is not None and value <= 0:
            parser.error(f"--{name} is {value:g}; it must be positive")
    if args.num_frames is not None and args.num_frames % 4 != 1:
        low = max(1, args.num_frames - (args.num_frames - 1) % 4)
        parser.error(f"--num_frames is {args.num_frames}; Wan makes 4k+1 frames: {low} or {low + 4}")
    try:
        if args.output:
            check_writable(args.output)
        _make_room(Path(args.output or "outputs/clip.mp4"))
        if args.emotion.strip().lower() == "all":
            return None
        if EmotionArc.looks_like_arc(args.emotion):
            return EmotionArc.parse(args.emotion)
        return parse_emotion(args.emotion)
    except VideoError as error:
        parser.error(f"--output: {error}")
    except ValueError as error:
        parser.error(f"--emotion: {error}")


def _make_room(path: Path) -> None:
    """Make the output's folder and see that it can be written: better now than after the sampling."""
    if path.is_dir():
        raise VideoError(f"{path} is a folder; give a file name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VideoError(f"{path}: its folder cannot be made ({error.strerror})") from error
    if not os.access(path.parent, os.W_OK):
        raise VideoError(f"{path}: its folder cannot be written to")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status (2 for bad input)."""
    start = time.time()
    parser = build_parser()
    args = parser.parse_args(argv)
    args.emotion = args.emotion.strip()
    emotion = _checked(parser, args)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\..*")
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        return _run(args, emotion, start)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(args: argparse.Namespace, emotion: Any, start: float) -> int:
    import numpy as np
    import torch

    pipe = _load(args)
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4), "little") % 2**31
    states = [NEUTRAL, *MIKELS] if emotion is None else [emotion]
    call = {name: getattr(args, name) for name in ("num_frames", "height", "width", "num_inference_steps",
                                                  "guidance_scale", "negative_prompt")}
    call = {name: value for name, value in call.items() if value is not None}
    if "negative_prompt" in call:
        call["negative_prompt"] = [call["negative_prompt"]] * len(states)
    clips = pipe([args.prompt] * len(states), emotion=states, emotion_scale=args.emotion_scale, output_type="np",
                 generator=[torch.Generator().manual_seed(seed) for _ in states], **call).frames
    clips = (np.asarray(clips, dtype=np.float32).clip(0, 1) * 255).round().astype(np.uint8)
    from emogen.data.grid import label_grid
    from emogen.data.video import enlarge, write_video

    if emotion is None:
        shown = [clip if args.no_enlarge else enlarge(clip, ENLARGE_TO // 2) for clip in clips]
        frames, name = label_grid(shown, states, columns=3), "all"
    else:
        frames = clips[0] if args.no_enlarge else enlarge(clips[0], ENLARGE_TO)
        name = args.emotion.split(":")[0].strip().lower() if args.emotion[0].isalpha() else "arc"
    path = Path(args.output or Path("outputs") / f"{name}_{seed}.mp4")
    write_video(path, frames, args.fps or pipe.fps, metadata=_metadata(args, seed, pipe))
    print(f"{path}  (emotion {args.emotion}, seed {seed}, {len(frames)} frames of {frames.shape[2]}x{frames.shape[1]}, "
          f"{time.time() - start:.1f} s)")
    return 0


def _metadata(args: argparse.Namespace, seed: int, pipe: Any) -> dict[str, Any]:
    import diffusers

    from emogen import __version__

    keep = {name: value for name, value in vars(args).items()
            if value is not None and name not in ("output", "quiet", "device", "no_enlarge")}
    return keep | {"seed": seed, "emogen": __version__, "diffusers": diffusers.__version__}


def _load(args: argparse.Namespace) -> Any:
    import torch
    from diffusers.utils import logging
    from transformers.utils import logging as transformers_logging

    from emogen.embedded import embedded_adapter, embedded_model
    from emogen.pipelines import EmotionWanPipeline

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = args.device or best
    dtype = getattr(torch, args.dtype or ("float32" if device == "cpu" else "bfloat16"))
    pipe = EmotionWanPipeline.from_pretrained(args.model or embedded_model(), dtype=dtype)
    adapter = args.adapter or (embedded_adapter() if args.model is None else "none")
    if adapter.lower() != "none":
        pipe.load_emotion_adapter(adapter, load_lora=not args.no_lora)
    pipe.to(device)
    pipe.set_progress_bar_config(disable=args.quiet, desc="sampling")
    return pipe
