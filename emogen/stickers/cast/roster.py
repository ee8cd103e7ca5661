"""The whole cast by name."""

from __future__ import annotations

from emogen.stickers.cast.animals import ANIMALS
from emogen.stickers.cast.beings import BEINGS
from emogen.stickers.cast.character import Character
from emogen.stickers.cast.things import THINGS

CHARACTERS: dict[str, Character] = {**ANIMALS, **BEINGS, **THINGS}
"""Every character, by the name in a spec."""
