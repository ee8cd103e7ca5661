"""How every command says that it failed."""

from __future__ import annotations

import re
import sys

_LONGEST_WORD, _LONGEST_LINE = 300, 1200
_LONG_WORD = re.compile(rf"\S{{{_LONGEST_WORD + 1},}}")


def fail(error: object, status: int) -> int:
    """Print an error to stderr, readable whatever was given to the command, and return the exit status."""
    print(f"error: {readable(str(error))}", file=sys.stderr)
    return status


def readable(message: str) -> str:
    """A message without the thousands of characters that somebody else's library repeats from what it was given."""
    message = _LONG_WORD.sub(lambda word: f"{word[0][:80]}... ({len(word[0])} characters)", message)
    return "\n".join(
        line if len(line) <= _LONGEST_LINE else f"{line[:900]} ... {line[-200:]}" for line in message.split("\n")
    )
