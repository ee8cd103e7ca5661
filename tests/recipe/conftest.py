"""The recipe is no part of the installed package: its tests import it from the checkout's root."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def tiny():
    from recipe.config import load

    return load(ROOT / "recipe/tiny.yaml")
