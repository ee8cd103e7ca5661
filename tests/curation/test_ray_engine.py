"""The same rows under Ray as locally, poison among them; what is done is done once."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import poison
import slow_rows

from emogen.curation.ray_engine import run_with_ray
from emogen.curation.runner import How, run_stage
from emogen.curation.stage import Stage
from emogen.curation.store import Parts

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")


@pytest.fixture(scope="module", autouse=True)
def ended():
    yield
    ray.shutdown()


def stage():
    return Stage("poison", 1, poison.work, {"add": 0}, timeout=10.0)


def begun(folder):
    return {path.name: len(path.read_text()) for path in (folder / "begun").iterdir()}


def test_rows_are_those_of_the_local_engine(tmp_path):
    hows = ["fine", "refuse", "die", "die once", "raise", *["fine"] * 15]
    rows = [{"clip_id": f"c{number:02}", "how": how} for number, how in enumerate(hows)]
    here, there = tmp_path / "local", tmp_path / "ray"
    for folder in (here, there):
        folder.mkdir()
        assert run_stage(stage(), rows[8:12], folder, How(workers=1, quiet=True)).done == 4
    local = run_stage(stage(), rows, here, How(workers=2, quiet=True))
    under = run_with_ray(stage(), rows, there, How(quiet=True))
    assert (under.done, under.failed, under.before) == (local.done, local.failed, 4)
    assert (under.done, set(under.failed)) == (13, {"c01", "c02", "c04"})
    found = [{key: (one.rows, one.error, one.tries) for key, one in sorted(Parts(folder, stage()).read().items())}
             for folder in (here, there)]  # fmt: skip
    assert found[0] == found[1]
    before = begun(there)
    assert before == begun(here) and set(before.values()) == {1, 2}
    again = run_with_ray(stage(), rows, there, How(quiet=True))
    assert (again.done, again.failed, again.before) == (0, {}, 17) and begun(there) == before


def test_a_killed_driver_is_taken_up_where_it_was(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "import slow_rows\n"
        "from emogen.curation.ray_engine import run_with_ray\n"
        "if __name__ == '__main__': run_with_ray(slow_rows.STAGE, slow_rows.ROWS, sys.argv[1])"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    parts = Parts(tmp_path, slow_rows.STAGE)
    deadline = time.monotonic() + 120
    while len(parts.read()) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait(30)
    done = set(parts.read())
    assert len(done) >= 5
    count = run_with_ray(slow_rows.STAGE, slow_rows.ROWS, tmp_path, How(quiet=True))
    assert count.before >= len(done) and not count.failed and len(parts.read()) == 40
    assert not {key for key, times in begun(tmp_path).items() if times > 1} & done
