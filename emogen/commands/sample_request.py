"""What is asked of `sample.py`, read and checked once, before any model is loaded: from a command line, from a clip
(`--from`), or from the rows of a table (`--batch`)."""

from __future__ import annotations

import argparse
import json
import math
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emogen.data.safe_names import TakenNames, safe_name
from emogen.data.tables import Columns, RecordError, good_rows, typed
from emogen.emotion import MIKELS, NEUTRAL, EmotionArc, EmotionState, parse_emotion_or_arc
from emogen.emotion.look import Look, enrich, read_look
from emogen.files import fingerprint_file
from emogen.finite import float_text, whole_text
from emogen.media.limits import DEFAULT_LIMITS, Limits
from emogen.media.pictures import read_picture
from emogen.media.reader import read_metadata
from emogen.pipelines.model_files import FLAGS
from emogen.stickers.ground import on_ground

ALL = "all"
OF_THE_RUN = (
    "output", "output_dir", "batch", "characters", "source", "trust", "quiet", "device", "max_picture_pixels",
)  # fmt: skip
"""Options that do not change what a clip looks like."""
CHOOSING = ("best_of", "judge")
"""Options that choose the seed: a clip keeps the seed, and under "chosen" why it was taken."""
OF_ALL_ROWS = (
    "model", "model_2", "vae", "text_encoder", "image_encoder", "base", "adapter", "no_lora",
    "preset", "dtype", "device", "lora", "emotion_lora_weight", "attention_backend", "cache",
    "cache_threshold", "cache_interval", "cache_order", "cache_warmup", "cache_max_skip", "mag_ratios", "compile",
    "offload", "offload_folder", "fp8", "vae_tiling", "vae_slicing", "ulysses", "ring", "judge",
)  # fmt: skip
"""Options that decide how the pipeline is opened: a row cannot set them."""
_NO_COLUMNS = ("batch", "characters", "source", "trust", "output_dir", "quiet", "help", "max_picture_pixels")
_TRUSTED = ("enrich", "model", *FLAGS, "adapter", "lora", "offload_folder", "mag_ratios", "attention_backend", "font")
"""What a stranger's clip may not choose by itself: it names files and folders here, or code on the hub."""
_RANGES = {  # option -> what it may be, both ends included
    "num_frames": (1, 10_000), "height": (1, 16_384), "width": (1, 16_384), "num_inference_steps": (1, 10_000),
    "max_kb": (1, 10_000_000), "fps": (0.01, 1000), "seed": (-1, 2**63 - 1), "emotion_scale": (-1000, 1000),
    "guidance_scale": (0, 1000), "emotion_guidance_scale": (0, 1000), "emotion_lora_weight": (-1000, 1000),
    "max_picture_pixels": (1, 10**9), "best_of": (1, 1000),
}  # fmt: skip
_MAX_INTENSITY = 100
_LEAST_SIDE, _MOST_ASPECT = 16, 16
_JSON_TYPES = {bool: (bool,), str: (str,), int: (int, float), float: (int, float)}
_TEXTS = ("prompt", "negative_prompt", "text")
_SHORT_COLUMNS = {"steps": "num_inference_steps", "negative": "negative_prompt"}


class RequestError(ValueError):
    """Something asked for cannot be made; the message names the option, or the file and row."""


@dataclass(frozen=True)
class Job:
    """One clip, or one grid of all emotions.

    Attributes:
        options: of the command line, with what the row says.
        emotion: None for all of them.
        avoid: what to steer away from.
        where: the row it comes from, "" for the command line.
        group: jobs of one group are one character: they share their noise.
    """

    options: argparse.Namespace
    emotion: EmotionState | EmotionArc | None
    avoid: EmotionState | EmotionArc | None = None
    where: str = ""
    group: str = ""

    @property
    def kind(self) -> str:
        """ "image" or "text" (to video)."""
        return "image" if self.options.image is not None else "text"


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line; with `--from`, those of the clip where the line does not say otherwise.

    Raises:
        RequestError: the clip was not made here, holds what is no option's value, or its picture has changed since.
    """
    args = parser.parse_args(argv)
    if args.source is None:
        return args
    made = read_metadata(args.source) if os.path.isfile(args.source) else None
    if not made or "prompt" not in made:
        raise RequestError(f"--from {args.source[:300]}: no clip that says what made it (sample.py writes such)")
    actions = {action.dest: action for action in parser._actions if action.dest not in (*OF_THE_RUN, *CHOOSING)}
    before = {name: _value_of(actions[name], value, args.source) for name, value in made.items() if name in actions}
    named = {name: before.pop(name) for name in _TRUSTED if before.get(name)}
    if args.trust:
        before |= named
    elif missing := {name: value for name, value in named.items() if not getattr(args, name)}:
        shown = " ".join(f"--{name} {value!r}" for name, value in missing.items())
        raise RequestError(
            f"--from {args.source}: it was made with {shown}; --trust takes these from the file, or give your own"
        )
    if args.image is None and before.get("image") is not None:
        _same_picture(made, args.source)
    parser.set_defaults(**before)
    args = parser.parse_args(argv)
    args.made_with = {name: str(made[name]) for name in ("emogen", "diffusers", "torch") if name in made}
    if made.get("seed") == args.seed and args.best_of == 1:  # the same clip, chosen by the same judge
        args.chosen = made.get("chosen")
    return args


def _value_of(action: argparse.Action, value: Any, source: str) -> Any:
    """A value of a clip's metadata as the option takes it."""
    several = bool(action.nargs) or isinstance(action, argparse._AppendAction)
    kind = bool if action.nargs == 0 else {whole_text: int, float_text: float}.get(action.type, str)
    values = value if several and isinstance(value, list) else [value]
    try:
        if several != isinstance(value, list) or len(values) > 100 or len(values) != (action.nargs or len(values)):
            raise ValueError
        if any(isinstance(one, bool) is not (kind is bool) or not isinstance(one, _JSON_TYPES[kind]) for one in values):
            raise ValueError
        if kind in (int, float) and not all(math.isfinite(one) and kind(one) == one for one in values):
            raise ValueError
        if action.choices is not None and value not in action.choices:
            raise ValueError
        values = [kind(one) for one in values]
    except (ValueError, OverflowError):
        raise RequestError(
            f"--from {source}: its {action.dest} is {str(value)[:60]!r}, which is no value of that option"
        ) from None
    return values if several else values[0]


def _same_picture(made: Mapping[str, Any], source: str) -> None:
    path = Path(str(made["image"]))
    if not os.path.isfile(path):
        raise RequestError(f"--from {source}: its picture {path} is not there any more; give --image")
    if made.get("image_sha256") != fingerprint_file(path):
        raise RequestError(f"--from {source}: its picture {path} has changed since; --image uses it all the same")


def read_job(args: argparse.Namespace, where: str = "", group: str = "") -> Job:
    """Check options and read what they say, once; `where` and `group` are the job's.

    Raises:
        RequestError: naming the option.
    """
    if args.prompt is None or not args.prompt.strip():
        what = "missing" if args.prompt is None else "empty"
        raise RequestError(f'--prompt is {what}; say what the clip shows, such as "a round yellow face"')
    for name in _TEXTS:
        _check_text(name, getattr(args, name))
    for name, (low, high) in _RANGES.items():
        value = getattr(args, name)
        if value is not None and not low <= value <= high:  # not a number is in no range
            why = "it must be positive" if value <= 0 < low and name != "seed" else f"it must be {low:g} to {high:g}"
            raise RequestError(f"--{name} is {value:g}; {why}")
    if args.num_frames is not None and args.num_frames % 4 != 1:
        low = max(1, args.num_frames - (args.num_frames - 1) % 4)
        raise RequestError(f"--num_frames is {args.num_frames}; Wan makes 4k+1 frames: {low} or {low + 4}")
    if args.guidance_interval is not None and args.emotion_guidance_scale is None:
        raise RequestError("--guidance_interval says when --emotion_guidance_scale holds; give that too")
    everything = args.emotion.strip().lower() == ALL
    if everything and (args.platform or args.transparent or args.loop or args.text):
        raise RequestError(
            "--emotion all makes a labelled grid; --platform, --transparent, --loop and --text are for one clip. "
            "With --output_dir it makes a sticker set"
        )
    emotion = None if everything else read_emotion(args.emotion)
    avoid = None if args.avoid is None else read_emotion(args.avoid, "avoid")
    if args.image is not None:
        _check_picture(args.image, picture_limits(args))
    _check_output(args)
    if args.text is not None:
        _check_lettering(args)
    if args.enrich is not None:
        _read_look(args)
    return Job(args, emotion, avoid, where, group)


def read_emotion(text: str, option: str = "emotion") -> EmotionState | EmotionArc:
    """An emotion or an arc from its text.

    Raises:
        RequestError: it is none, or stronger than any model can show.
    """
    try:
        emotion = parse_emotion_or_arc(text)
    except ValueError as error:
        raise RequestError(f"--{option}: {error}") from error
    states = [k.state for k in emotion.keyframes] if isinstance(emotion, EmotionArc) else [emotion]
    for state in states:
        if abs(state.intensity) > _MAX_INTENSITY:
            raise RequestError(
                f"--{option}: the intensity is {state.intensity:g}; give at most {_MAX_INTENSITY} (1 is the emotion as "
                "it was learned)"
            )
    return emotion


def _check_text(name: str, text: str | None) -> None:
    try:
        (text or "").encode("utf-8")
    except UnicodeEncodeError as error:
        raise RequestError(f"--{name}: character {error.start + 1} is no character; give text in UTF-8") from None
    if text is not None and "\0" in text:
        raise RequestError(f"--{name} holds a zero byte; leave it out")


def picture_limits(args: argparse.Namespace) -> Limits:
    """How large a picture may be."""
    return replace(DEFAULT_LIMITS, max_picture_pixels=args.max_picture_pixels or DEFAULT_LIMITS.max_picture_pixels)


def _check_picture(path: str, limits: Limits) -> None:
    if not os.path.isfile(path):
        raise RequestError(f"--image: no file {path[:300]}")
    try:
        picture = read_picture(path, limits)
    except (OSError, ValueError) as error:
        raise RequestError(f"--image: {error}") from error
    short, long = sorted(picture.size)
    if short < _LEAST_SIDE or long > _MOST_ASPECT * short:
        raise RequestError(
            f"--image: {path} has {picture.width}x{picture.height} pixels; give a picture of at least {_LEAST_SIDE} "
            f"pixels a side, not longer than {_MOST_ASPECT} times its width"
        )


def _check_output(args: argparse.Namespace) -> None:
    from emogen.stickers.output import check_output

    enlarged = args.height is None or args.width is None or not args.no_enlarge
    size = {} if enlarged else {"height": args.height, "width": args.width}
    path = args.output or Path("outputs") / f"clip{ending(args)}"
    try:
        check_output(
            path,
            platform=args.platform,
            max_kb=args.max_kb,
            transparent=args.transparent,
            num_frames=args.num_frames,
            fps=args.fps,
            **size,
        )
    except ValueError as error:
        raise RequestError(f"--output: {error}") from error


def _check_lettering(args: argparse.Namespace) -> None:
    from emogen.stickers.lettering import check_text

    try:
        check_text(args.text, args.font)
    except (OSError, ValueError) as error:
        raise RequestError(f"--text: {error}") from error


def _read_look(args: argparse.Namespace) -> Look:
    try:
        return read_look(args.enrich)
    except ValueError as error:
        raise RequestError(f"--enrich {error}") from error


def prompt_of(args: argparse.Namespace, emotion: EmotionState | EmotionArc) -> str:
    """The prompt as the model is given it: with a ground to be cut away where `--transparent` needs one, and with the
    look of the emotion where `--enrich` asks for it."""
    prompt = on_ground(args.prompt) if args.transparent and args.image is None else args.prompt
    return prompt if args.enrich is None else enrich(prompt, emotion, _read_look(args))


def read_batch(path: str | Path, args: argparse.Namespace) -> list[Job]:
    """The rows of a table as jobs, all of them checked; the command line's options hold where a row has none.

    A row without a seed gets one that depends on its own text and place, so that the same file makes the same clips.
    Emotion "all" becomes a row for neutral and each of the eight.

    Raises:
        RequestError: the file, or a row of it, is wrong.
    """
    path, taken = Path(path), TakenNames()
    if not os.path.isfile(path):
        raise RequestError(f"--batch: no file {str(path)[:300]}")
    columns = Columns(needs=tuple(name for name in (*vars(args), *_SHORT_COLUMNS) if name not in _NO_COLUMNS))
    lines = path.suffix.lower() in (".jsonl", ".ndjson")
    found: list[Job] = []
    try:
        for count, (where, number, row) in enumerate(good_rows(path, columns), start=1):
            number = number if lines else count
            try:
                found += _jobs_of_row(where, number, row, path, args, taken)
            except ValueError as error:
                raise RequestError(f"{where}: {error}") from error
    except RecordError as error:
        raise RequestError(f"--batch {error}") from error
    return found


def _jobs_of_row(where: str, number: int, row: Mapping[str, Any], path: Path, args: argparse.Namespace,
                 taken: TakenNames) -> Iterable[Job]:  # fmt: skip
    base = _options_of_row(number, row, args)
    if base.image is not None and not Path(base.image).is_absolute():
        base.image = str(path.parent / base.image)
    several = [NEUTRAL, *MIKELS] if base.emotion.strip().lower() == ALL else [base.emotion]
    for emotion in several:
        one = argparse.Namespace(**{**vars(base), "emotion": emotion})
        if one.output is None or len(several) > 1:
            one.output = f"{number:04d}_{short_name(emotion)}{ending(one)}"
        one.output = str(safe_name(one.output, args.output_dir))
        taken.add(one.output, where.removeprefix(str(path)).strip().replace(":", "line "))
        yield read_job(one, where)


def _options_of_row(number: int, row: Mapping[str, Any], args: argparse.Namespace) -> argparse.Namespace:
    values = vars(args)
    row = {_SHORT_COLUMNS.get(name, name): value for name, value in row.items()}
    for name in row:
        if name not in values or name in _NO_COLUMNS:
            raise RequestError(f"no option {str(name)[:60]!r}; rows take prompt, emotion, image, seed ...")
        if name in OF_ALL_ROWS:
            raise RequestError(f"{name} holds for all rows; give --{name}")
    read = {name: _cell(name, value, values[name]) for name, value in row.items()}
    merged = {**values, **{name: value for name, value in read.items() if value is not None}}
    if merged["seed"] is None:
        merged["seed"] = zlib.crc32(json.dumps([number, dict(row)], sort_keys=True, default=str).encode()) % 2**31
    return argparse.Namespace(**merged)


_CELLS = {
    **dict.fromkeys(("seed", "num_frames", "height", "width", "num_inference_steps", "max_kb", "best_of"), int),
    **dict.fromkeys(("emotion_scale", "guidance_scale", "emotion_guidance_scale", "fps"), float),
}


def _cell(name: str, value: Any, default: Any) -> Any:
    if name == "guidance_interval":
        parts = value if isinstance(value, list) else str(value).split()
        if len(parts) != 2:
            raise RequestError(f"guidance_interval is {str(value)[:60]!r}; it takes two numbers such as 0 0.6")
        return [typed(name, part, float) for part in parts]
    return typed(name, value, bool if isinstance(default, bool) else _CELLS.get(name, str))


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
        name: value for name, value in options(args).items() if value not in (None, False, []) and name not in CHOOSING
    }
    if args.image is not None:
        values["image_sha256"] = fingerprint_file(args.image)
    return values


def options(args: argparse.Namespace) -> dict[str, Any]:
    """Every option that matters for a clip's looks, defaults included."""
    return {name: value for name, value in vars(args).items() if name not in (*OF_THE_RUN, "made_with", "chosen")}
