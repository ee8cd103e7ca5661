"""Metadata files for the tests of this folder."""

import json

import pytest


@pytest.fixture
def write(tmp_path):
    """Writes rows, mappings or raw lines, as `metadata.jsonl`; returns its folder."""

    def write(*rows):
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        (tmp_path / "metadata.jsonl").write_text("\n".join(lines) + "\n")
        return tmp_path

    return write
