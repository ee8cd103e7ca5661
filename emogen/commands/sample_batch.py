"""`sample.py --batch`: a table with a clip a row."""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emogen.commands.sample_request import ALL, RequestError, check, ending, short_name
from emogen.data.safe_names import TakenNames, safe_name
from emogen.data.tables import Columns, RecordError, good_rows, typed
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

_COLUMNS = Columns(needs=("prompt", "emotion", "image", "output", "seed"))


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
    found: list[argparse.Namespace] = []
    names = TakenNames()
    for where, number, row in _rows(path):
        base = _row(path, where, number, row, args)
        several = [NEUTRAL, *MIKELS] if base.emotion.strip().lower() == ALL else [base.emotion]
        for emotion in several:
            one = argparse.Namespace(**{**vars(base), "emotion": emotion})
            if one.output is None or len(several) > 1:
                one.output = str(Path(args.output_dir) / f"{number:04d}_{short_name(emotion)}{ending(one)}")
            try:
                names.add(one.output, where.removeprefix(str(path)).strip().replace(":", "line "))
                check(one)
            except ValueError as error:
                raise RequestError(f"{where}: {error}") from error
            found.append(one)
    return found


def _row(path: Path, where: str, number: int, row: Mapping[str, Any], args: argparse.Namespace) -> argparse.Namespace:
    values = vars(args)
    unknown = [name for name in row if name not in values or name in _NO_COLUMNS]
    if unknown:
        raise RequestError(f"{where}: no option {unknown[0]!r}; rows take prompt, emotion, image, seed ...")
    fixed = [name for name in row if name in _OF_ALL_ROWS]
    if fixed:
        raise RequestError(f"{where}: {fixed[0]} holds for all rows; give --{fixed[0]}")
    try:
        read = {name: _value(name, value, values) for name, value in row.items()}
        read = {name: value for name, value in read.items() if value is not None}
        if "image" in read:
            read["image"] = str(path.parent / read["image"])
        if "output" in read:
            read["output"] = str(safe_name(read["output"], args.output_dir))
    except ValueError as error:
        raise RequestError(f"{where}: {error}") from error
    merged = {**values, **read}
    if merged["seed"] is None:
        merged["seed"] = zlib.crc32(json.dumps([number, dict(row)], sort_keys=True, default=str).encode()) % 2**31
    return argparse.Namespace(**merged)


def _value(name: str, value: Any, options: Mapping[str, Any]) -> Any:
    if name == "guidance_interval":
        parts = value if isinstance(value, list) else str(value).split()
        if len(parts) != 2:
            raise ValueError(f"{name!r} must be two numbers, begin and end, not {value!r}")
        return [typed(name, part, float) for part in parts]
    return typed(name, value, _NUMBERS.get(name, bool if isinstance(options[name], bool) else str))


def _rows(path: Path) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """The place of a row, its number among the clips (of a `.jsonl` the line), and the values that are given.

    Types are left to `_value`: a seed that is not given depends on the row as it is written.
    """
    lines = path.suffix.lower() == ".jsonl"
    try:
        for count, (where, number, row) in enumerate(good_rows(path, _COLUMNS), start=1):
            yield where, number if lines else count, row
    except RecordError as error:
        raise RequestError(f"--batch {error}") from error
