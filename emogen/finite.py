"""Numbers at the door: what a command line, a page or a call gives is a finite number of sane length, or refused."""

from __future__ import annotations

import argparse
import math
from typing import Any

LONGEST = 40
"""Characters of a number; no setting needs more, and reading digits takes time that grows with their square."""


def whole_text(text: str) -> int:
    """A whole number from the command line (a type for argparse)."""
    try:
        if len(text) <= LONGEST:
            return int(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{_shown(text)} is not a whole number")


def float_text(text: str) -> float:
    """A finite number from the command line (a type for argparse)."""
    try:
        if len(text) <= LONGEST and math.isfinite(value := float(text)):
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{_shown(text)} is not a finite number")


def finite(value: Any, name: str, limit: float = 1000.0) -> float:
    """A number that a call is given.

    Args:
        name: of the argument, for the error.
        limit: how large it may be, of either sign.

    Raises:
        ValueError: something else, nan, infinity, or larger.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, str) or not abs(number) <= limit:
        raise ValueError(f"{name} is {_shown(value)}; it must be a finite number of at most {limit:g} in size")
    return number


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
