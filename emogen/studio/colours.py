"""A colour for each of the eight: warm for pleasant and stirred, cool for unpleasant and still."""

from __future__ import annotations

from emogen.emotion import MIKELS, NEUTRAL

COLOURS: dict[str, str] = dict(
    zip(MIKELS, ("#e8a400", "#8f6bff", "#22a37a", "#f0569a", "#d9362b", "#7f9a1c", "#6a3fa0", "#2f7cc4"), strict=True)
) | {NEUTRAL: "#8a8f98"}
"""Name -> colour. No two things on the page differ by colour alone: names stand beside them."""
