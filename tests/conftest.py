"""For all tests: what one changes for the whole process does not reach the next."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side; threads that wait for each other slow all

import pytest


@pytest.fixture(autouse=True)
def _attention_backend_of_the_process():
    """diffusers' `set_attention_backend` on one model also changes the default of every other."""
    yield
    dispatch = sys.modules.get("diffusers.models.attention_dispatch")
    if dispatch is not None:
        dispatch._AttentionBackendRegistry.set_active_backend(dispatch.AttentionBackendName.NATIVE)
