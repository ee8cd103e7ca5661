"""No search for garbage while a command loads what stays."""

import gc

import pytest

from emogen.collecting import not_collecting


class Cycle:
    def __init__(self):
        self.own = self


def test_what_is_made_within_is_left_alone_and_afterwards_all_is_as_before():
    gc.unfreeze()
    try:
        with not_collecting():
            assert not gc.isenabled()
            with not_collecting():
                kept = Cycle()
            assert not gc.isenabled() and gc.get_freeze_count() == 0  # the outer block ends it
        assert gc.isenabled() and gc.get_freeze_count() > 0
        assert not any(one is kept for one in gc.get_objects())
        with pytest.raises(KeyError), not_collecting():
            raise KeyError
        assert gc.isenabled()
        gc.disable()
        with not_collecting():
            pass
        assert not gc.isenabled()
    finally:
        gc.unfreeze()
        gc.enable()
