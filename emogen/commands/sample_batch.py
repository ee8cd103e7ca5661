"""`sample.py --batch`: a table with a clip a row."""

from __future__ import annotations

import argparse
import csv
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from emogen.commands.sample_request import ALL, RequestError, check, ending, short_name
from emogen.emotion import MIKELS, NEUTRAL

_OF_ALL_ROWS = (
    "model", "adapter", "no_lora", "dtype", "device", "lora", "emotion_lora_weight", "attention_backend", "cache",
    "cache_threshold", "cache_interval", "cache_order", "cache_warmup", "cache_max_skip", "mag_ratios", "compile",
    "offload", "offload_folder", "fp8", "vae_tiling", "vae_slicing", "ulysses", "ring",
)  # fmt: skip
_NO_COLUMNS = ("batch", "source", "output_dir", "quiet")
_NUMBERS = {
    **dict.fromkeys(("seed", "num_frames", "height", "width", "num_inference_steps", "max_kb"), int),
    **dict.fromkeys(("emotion_scale", "guidance_scale", "emotion_guidance_scale", "fps"), float),
}


def read_batch(path: str | Path, args: argparse.Namespace) -> list[argparse.Namespace]:
    """The rows of a table as options each, checked; the command line's hold where a row has none.

    A row without a seed gets one that depends on its own text and place, so that the same file makes the same clips.
    Emotion "all" becomes a row for neutral and each of the eight.

    Raises:
        RequestError: the file, or a row of it, is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise RequestError(f"--batch: no file {path}")
    rows = list(_rows(path))
    if not rows:
        raise RequestError(f"--batch {path}: holds no rows")
    found: list[argparse.Namespace] = []
    names: dict[str, int] = {}
    for number, row in rows:
        base = _row(path, number, row, args)
        several = [NEUTRAL, *MIKELS] if base.emotion.strip().lower() == ALL else [base.emotion]
        for emotion in several:
            one = argparse.Namespace(**{**vars(base), "emotion": emotion})
            if one.output is None or len(several) > 1:
                one.output = str(Path(args.output_dir) / f"{number:04d}_{short_name(emotion)}{ending(one)}")
            try:
                check(one)
            except RequestError as error:
                raise RequestError(f"{path}:{number}: {error}") from error
            if names.setdefault(one.output, number) != number:
                raise RequestError(f"{path}:{number}: output {one.output} is row {names[one.output]}'s too")
            found.append(one)
    return found


def _row(path: Path, number: int, row: Mapping[str, Any], args: argparse.Namespace) -> argparse.Namespace:
    values = vars(args)
    unknown = [name for name in row if name not in values or name in _NO_COLUMNS]
    if unknown:
        raise RequestError(f"{path}:{number}: no option {unknown[0]!r}; rows take prompt, emotion, image, seed ...")
    fixed = [name for name in row if name in _OF_ALL_ROWS]
    if fixed:
        raise RequestError(f"{path}:{number}: {fixed[0]} holds for all rows; give --{fixed[0]}")
    types = {name: type(value) for name, value in values.items()}
    read = {}
    for name, value in row.items():
        try:
            read[name] = _value(name, value, types)
        except ValueError as error:
            raise RequestError(f"{path}:{number}: {name} is {value!r}: {error}") from error
    for name in ("image", "output"):
        if read.get(name) and not Path(read[name]).is_absolute():
            folder = path.parent if name == "image" else Path(args.output_dir)
            read[name] = str(folder / read[name])
    merged = {**values, **read}
    if merged["seed"] is None:
        merged["seed"] = zlib.crc32(json.dumps([number, dict(row)], sort_keys=True, default=str).encode()) % 2**31
    return argparse.Namespace(**merged)


def _value(name: str, value: Any, types: Mapping[str, type]) -> Any:
    if name in _NUMBERS:
        return _NUMBERS[name](value)
    if types[name] is bool:
        if str(value).lower() not in ("true", "false", "1", "0"):
            raise ValueError("it takes true or false")
        return str(value).lower() in ("true", "1")
    if name == "guidance_interval":
        start, end = value if isinstance(value, list) else str(value).split()
        return [float(start), float(end)]
    return str(value)


def _rows(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    """Row number (from 1; a CSV's header is not counted) and the values that are given."""
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() == ".csv":
        for number, row in enumerate(csv.DictReader(text.splitlines()), start=1):
            if None in row:
                raise RequestError(f"{path}:{number}: more values than the header has columns; quote commas")
            yield number, {name: value for name, value in row.items() if value not in (None, "")}
        return
    if path.suffix.lower() != ".jsonl":
        raise RequestError(f"--batch {path}: takes .csv and .jsonl")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise RequestError(f"{path}:{number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise RequestError(f"{path}:{number}: expected an object, not {line[:40]!r}")
        yield number, {name: value for name, value in row.items() if value is not None}
