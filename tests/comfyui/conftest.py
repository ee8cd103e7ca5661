"""The node pack as ComfyUI loads it: by the path of its folder, under a name of its own."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def pack():
    spec = spec_from_file_location("emogen_nodes", ROOT / "comfyui" / "__init__.py")
    sys.modules["emogen_nodes"] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
