"""No search for garbage while a command loads what stays."""

import gc
import subprocess
import sys
import weakref

import pytest

from emogen.collecting import not_collecting


class Cycle:
    def __init__(self):
        self.own = self


def test_it_is_held_back_within_and_afterwards_all_is_as_before():
    with not_collecting():
        assert not gc.isenabled()
        with not_collecting():
            seen = weakref.ref(Cycle())
        assert not gc.isenabled() and seen() is not None  # the outer block ends it
    assert gc.isenabled()
    gc.collect()
    assert seen() is None  # a model of a first command is not kept by a second one
    with pytest.raises(KeyError), not_collecting():
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with not_collecting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_nothing_is_looked_through_at_the_exit():
    script = (
        "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 0))\n"
        "from emogen.collecting import not_collecting\nwith not_collecting(): pass\n"
    )
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert made.stdout == "True\n"
