"""What is asked of `sample.py`: options checked before any model is loaded, from a command line or a clip."""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emogen.emotion import EmotionArc, EmotionState, parse_emotion_or_arc
from emogen.media.limits import VideoError
from emogen.media.metadata import read_metadata
from emogen.media.writer import check_writable

ALL = "all"
_POSITIVE = ("num_frames", "height", "width", "num_inference_steps", "fps", "max_kb")
OF_THE_RUN = ("output", "output_dir", "batch", "source", "quiet", "device")


class RequestError(ValueError):
    """Something asked for cannot be made; the message names the option, or the file and row."""


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line; with `--from`, those of the clip where the line does not say otherwise.

    Raises:
        RequestError: the clip was not made here, or its picture has changed since.
    """
    args = parser.parse_args(argv)
    if args.source is None:
        return args
    made = read_metadata(args.source) if Path(args.source).is_file() else None
    if not made or "prompt" not in made:
        raise RequestError(f"--from {args.source}: no clip that says what made it (sample.py writes such)")
    known = {action.dest for action in parser._actions} - set(OF_THE_RUN)
    before = {name: value for name, value in made.items() if name in known}
    if args.image is None:
        _same_picture(made, args.source)
    parser.set_defaults(**before)
    args = parser.parse_args(argv)
    args.made_with = {name: made[name] for name in ("emogen", "diffusers", "torch") if name in made}
    return args


def _same_picture(made: Mapping[str, Any], source: str) -> None:
    if made.get("image") is None:
        return
    path = Path(made["image"])
    if not path.is_file():
        raise RequestError(f"--from {source}: its picture {path} is not there any more; give --image")
    if made.get("image_sha256") not in (None, fingerprint(path)):
        raise RequestError(f"--from {source}: its picture {path} has changed since; --image uses it all the same")


def fingerprint(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot work.

    Raises:
        RequestError: naming the option.
    """
    if args.prompt is None or not args.prompt.strip():
        raise RequestError("--prompt is empty; say what the clip shows")
    for name in _POSITIVE:
        value = getattr(args, name)
        if value is not None and value <= 0:
            raise RequestError(f"--{name} is {value:g}; it must be positive")
    if args.num_frames is not None and args.num_frames % 4 != 1:
        low = max(1, args.num_frames - (args.num_frames - 1) % 4)
        raise RequestError(f"--num_frames is {args.num_frames}; Wan makes 4k+1 frames: {low} or {low + 4}")
    if args.image is not None and not Path(args.image).is_file():
        raise RequestError(f"--image: no file {args.image}")
    if args.guidance_interval is not None and args.emotion_guidance_scale is None:
        raise RequestError("--guidance_interval says when --emotion_guidance_scale holds; give that too")
    if args.emotion.strip().lower() == ALL and (args.platform or args.transparent or args.loop):
        raise RequestError("--emotion all makes a labelled grid; --platform, --transparent and --loop are for one clip")
    for option in ("emotion", "avoid"):
        text = getattr(args, option)
        if text is not None and not (option == "emotion" and text.strip().lower() == ALL):
            read_emotion(text, option)
    if args.output:
        try:
            if not args.platform:
                check_writable(args.output)
            _make_room(Path(args.output))
        except ValueError as error:
            raise RequestError(f"--output: {error}") from error


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


def read_emotion(text: str, option: str = "emotion") -> EmotionState | EmotionArc:
    """An emotion or an arc from its text.

    Raises:
        RequestError: it is none.
    """
    try:
        return parse_emotion_or_arc(text)
    except ValueError as error:
        raise RequestError(f"--{option}: {error}") from error


def short_name(emotion: str) -> str:
    """A file name's part for an emotion's text."""
    text = emotion.strip().lower()
    if EmotionArc.looks_like_arc(text):
        return "arc"
    single = text[:1].isalpha() and "+" not in text and not text.startswith(("va:", "state:"))
    return text.split(":")[0] if single else "mix"


def ending(args: argparse.Namespace) -> str:
    """The ending of a clip that is given no name."""
    if args.platform:
        from emogen.stickers.platforms import PLATFORMS

        return PLATFORMS[args.platform].endings[0]
    return ".webp" if args.transparent else ".mp4"


def description(args: argparse.Namespace) -> dict[str, Any]:
    """What a clip keeps of the options that made it: all that matter for its looks."""
    values = {
        name: value
        for name, value in vars(args).items()
        if name not in (*OF_THE_RUN, "made_with") and value not in (None, False, [])
    }
    if args.image is not None:
        values["image_sha256"] = fingerprint(args.image)
    return values
