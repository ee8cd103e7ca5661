"""Metadata files for the tests of this folder."""

from functools import partial

import pytest
from parts import write_metadata


@pytest.fixture
def write(tmp_path):
    """Writes rows, mappings or raw lines, as `metadata.jsonl`; returns its folder."""
    return partial(write_metadata, tmp_path)
