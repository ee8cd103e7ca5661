"""Damaged inputs at every door: each is read or refused with a sentence (`benchmarks/bad_inputs.py` runs more)."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import bad_inputs

COUNT = 30


@pytest.mark.parametrize("door", bad_inputs.doors())
def test_every_input_is_read_or_refused(door, tmp_path):
    doors = bad_inputs.Doors(tmp_path)
    found = [bad_inputs.go_through(door, seed, tmp_path, doors) for seed in range(COUNT)]
    faults = [f"{seed}: {one}" for seed, one in enumerate(found) if one.kind not in ("read", "refused")]
    assert not faults, "\n".join(faults)
    assert {one.kind for one in found} == {"read", "refused"}, "the inputs are all good or all bad: no test"


def test_a_fault_is_seen(tmp_path):
    """A check of the check."""

    class Broken(bad_inputs.Doors):
        def crash(self, rng, here):
            raise KeyError("x")

        def mute(self, rng, here):
            raise ValueError("no")

        def outside(self, rng, here):
            (here.parent / "left").touch()

    doors = Broken(tmp_path)
    kinds = [bad_inputs.go_through(door, 0, tmp_path, doors).kind for door in ("crash", "mute", "outside")]
    assert kinds == ["crashed", "mute", "outside"]
