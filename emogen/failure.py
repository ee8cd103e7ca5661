"""How every command says that it failed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time

_LONGEST_WORD, _LONGEST_LINE = 300, 1200
_LONG_WORD = re.compile(rf"\S{{{_LONGEST_WORD + 1},}}")


def fail(error: object, status: int, said: bool = False) -> int:
    """Print an error to stderr, readable whatever was given to the command, and return the exit status.

    Of the processes that torchrun or `accelerate launch` started, the first one prints it, and each leaves it where the
    launcher looks, so that its own report, which comes last, ends in the sentence, even where the launcher ends the
    first process before it has printed.

    Args:
        said: another process prints it.
    """
    message = f"error: {readable(str(error))}"
    report = os.environ.get("TORCHELASTIC_ERROR_FILE")
    first = os.environ.get("RANK", "0") == "0"
    if report:
        about = {"message": message, "extraInfo": {"timestamp": str(int(time.time()))}}
        with contextlib.suppress(OSError), open(report, "w", encoding="utf-8") as file:
            json.dump({"message": about}, file)
    if not said and (first or not report):
        print(message, file=sys.stderr)
    return status


def readable(message: str) -> str:
    """A message without the thousands of characters that somebody else's library repeats from what it was given."""
    message = _LONG_WORD.sub(lambda word: f"{word[0][:80]}... ({len(word[0])} characters)", message)
    return "\n".join(
        line if len(line) <= _LONGEST_LINE else f"{line[:900]} ... {line[-200:]}" for line in message.split("\n")
    )
