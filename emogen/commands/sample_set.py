"""A sticker set from `sample.py`: which clips it takes, and what is written beside them."""

from __future__ import annotations

import os
import re
import zlib
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from emogen.commands.sample_request import ALL, Job, RequestError, ending, read_job, short_name
from emogen.data.safe_names import safe_name
from emogen.emotion import MIKELS
from emogen.stickers.sticker_set import Sticker, check_count, file_stem, finish_set, short_word
from emogen.text_files import TextError, read_text

PLACE = "{character}"
"""Where in --prompt and --text a line of --characters goes."""
_BETWEEN = re.compile(r"\s*,\s*(?=[A-Za-z]|[\d.]+\s*:)")
"""A comma between two emotions, not the one in "va:0.8,0.3"."""
_MOST_CHARACTERS = 1000


def emotions_of(text: str) -> list[str]:
    """The emotions of a set: "all" is the eight, else they are separated by commas."""
    if text.strip().lower() == ALL:
        return list(MIKELS)
    return [part for part in _BETWEEN.split(text.strip()) if part]


def is_set(args: Namespace) -> bool:
    """Whether a set is asked for: several emotions with a folder for them, or a list of characters."""
    return args.characters is not None or (args.output_dir is not None and len(emotions_of(args.emotion)) > 1)


def set_jobs(args: Namespace) -> list[Job]:
    """The clips of a set, checked; all of one character share a seed.

    Raises:
        RequestError: something asked for cannot be made.
    """
    if args.output is not None:
        raise RequestError("--output is for one clip; a set goes into --output_dir")
    if args.output_dir is None:
        raise RequestError("--characters makes a sticker set; say with --output_dir where it goes")
    emotions = emotions_of(args.emotion)
    characters = _characters(args)
    try:
        check_count(len(emotions) * len(characters), args.platform)
    except ValueError as error:
        raise RequestError(f"--platform: {error}") from error
    names = _names([short_name(emotion) for emotion in emotions])
    jobs = []
    for line, prompt, character in characters:
        seed = _seed(args, prompt)
        for emotion, name in zip(emotions, names, strict=True):
            stem = file_stem(len(jobs) + 1, character, name, args.platform)
            one = Namespace(**{**vars(args), "prompt": prompt, "emotion": emotion, "seed": seed})
            one.text = None if args.text is None else args.text.replace(PLACE, line)
            one.output = str(safe_name(f"{stem}{ending(args)}", args.output_dir))
            jobs.append(read_job(one, "" if args.characters is None else f"--characters {line}", character or "set"))
    return jobs


def finish(args: Namespace, jobs: Sequence[Job]) -> None:
    """Write what lies beside the stickers, and say how alike they are.

    Raises:
        OSError, ValueError: a sticker cannot be read, or a file cannot be written.
    """
    several = args.characters is not None
    stickers = [Sticker(Path(job.options.output), job.options.emotion, job.group if several else "") for job in jobs]
    done = finish_set(args.output_dir, stickers, args.platform)
    for character, alike in done.alike.items():
        if alike is not None:
            who = f"{character}: " if character else ""
            odd = f"; {done.odd[character]} differs most" if character in done.odd else ""
            print(f"{who}the stickers are {alike:.2f} alike (1 is the same colours in the same places{odd})")
    print(f"{done.sheet} shows them, {done.archive} holds them")


def _characters(args: Namespace) -> list[tuple[str, str, str]]:
    """For each character its line, its prompt and its name in files."""
    if args.characters is None:
        for name in ("prompt", "text"):
            if PLACE in (getattr(args, name) or ""):
                raise RequestError(f"--{name} has {PLACE}, which --characters FILE would fill in")
        return [("", args.prompt, "")]
    if not os.path.isfile(args.characters):
        raise RequestError(f"--characters: no file {str(args.characters)[:300]}")
    try:
        lines = [" ".join(line.split()) for line in read_text(args.characters).splitlines()]
    except TextError as error:
        raise RequestError(f"--characters: {error}") from error
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise RequestError(f"--characters {args.characters}: holds no line; write a character a line")
    if len(lines) > _MOST_CHARACTERS:
        raise RequestError(f"--characters {args.characters}: {len(lines)} lines; give at most {_MOST_CHARACTERS}")
    if twice := [line for line, number in Counter(lines).items() if number > 1]:
        raise RequestError(f"--characters {args.characters}: {twice[0]!r} stands there twice; leave one out")
    if args.prompt is not None and PLACE not in args.prompt:
        raise RequestError(f'--prompt needs {PLACE} where a line of --characters goes, such as "a sticker of {PLACE}"')
    prompts = [line if args.prompt is None else args.prompt.replace(PLACE, line) for line in lines]
    return list(zip(lines, prompts, _names([short_word(line) for line in lines]), strict=True))


def _names(words: Sequence[str]) -> list[str]:
    """The words, those that come again with a number."""
    found: list[str] = []
    for word in words:
        tried = (word if number == 1 else f"{word}_{number}" for number in count(1))
        found.append(next(name for name in tried if name not in found))
    return found


def _seed(args: Namespace, prompt: str | None) -> int:
    """One for all emotions of a character, and the same again where none is given, so that a set can be resumed."""
    if args.seed == -1:
        return int.from_bytes(os.urandom(4), "little") % 2**31
    return args.seed if args.seed is not None else zlib.crc32((prompt or "").encode("utf-8", "replace")) % 2**31
