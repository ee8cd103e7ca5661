"""For all tests: what one changes for the whole process does not reach the next."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side; threads that wait for each other slow all

import pytest

LONG = ("walks/", "test_notebooks.py", "training/", "recipe/", "eval/", "studio/", "pipelines/", "curation/")
"""What begins first: a worker takes a whole file, and others would wait for one that has just begun a long one."""


def pytest_collection_modifyitems(items):
    """Long files first, else as found. A file's own order stays."""

    def rank(item):
        name = item.path.as_posix().rpartition("/tests/")[2]
        return next((place for place, start in enumerate(LONG) if name.startswith(start)), len(LONG))

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def _attention_backend_of_the_process():
    """diffusers' `set_attention_backend` on one model also changes the default of every other."""
    yield
    if "diffusers.models.attention_dispatch" in sys.modules:
        from diffusers.models.attention_dispatch import AttentionBackendName

        from emogen.models.compat import set_active_attention_backend

        set_active_attention_backend(AttentionBackendName.NATIVE)


@pytest.fixture(autouse=True)
def _fresh_accelerate_state():
    """An `Accelerator` leaves its precision and device to all that come after it in a process."""
    yield
    state = sys.modules.get("accelerate.state")
    if state is not None:
        state.AcceleratorState._reset_state(True)


@pytest.fixture(autouse=True)
def _fresh_compiler():
    """torch compiles a function for eight models of a process and then refuses; tests compile many small ones."""
    yield
    if "torch._dynamo" in sys.modules:
        sys.modules["torch._dynamo"].reset()
