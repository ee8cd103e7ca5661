"""A stage over rows of which some kill, hang or refuse: each costs its own row alone, and nothing is done twice."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import poison

from emogen.curation import runner
from emogen.curation.runner import How, run_stage
from emogen.curation.stage import Stage
from emogen.curation.store import Parts, Result

HOW = How(workers=2, quiet=True)


def stage(add=0, timeout=2.0):
    return Stage("poison", 1, poison.work, {"add": add}, timeout=timeout)


def begun(folder):
    return {path.name: len(path.read_text()) for path in (folder / "begun").iterdir()}


def test_a_bad_row_costs_itself_alone(tmp_path):
    hows = ["fine", "refuse", "die", "fine", "die once", "hang", "raise", "fine"]
    rows = [{"clip_id": f"c{number}", "how": how} for number, how in enumerate(hows)]
    count = run_stage(stage(), rows, tmp_path, HOW)
    assert count.done == 4 and set(count.failed) == {"c1", "c2", "c5", "c6"}
    found = Parts(tmp_path, stage()).read()
    assert len(found) == len(rows)
    assert found["c1"].error == "it has no picture"
    assert "exit status 9, 2 times" in found["c2"].error and found["c2"].tries == 2
    assert "longer than 2 s, 2 times" in found["c5"].error
    assert found["c6"].error == "ZeroDivisionError: by zero"
    assert found["c4"].rows == [{"clip_id": "c4", "value": 1}] and found["c4"].tries == 2
    before = begun(tmp_path)
    assert before["c0"] == 1 and before["c1"] == 1 and before["c2"] == 2
    again = run_stage(stage(), rows, tmp_path, HOW)
    assert (again.done, again.failed, again.before) == (0, {}, 4) and begun(tmp_path) == before
    retried = run_stage(stage(), rows[:2], tmp_path, How(workers=1, quiet=True, retry_failed=True))
    assert set(retried.failed) == {"c1"} and begun(tmp_path)["c1"] == 2 and begun(tmp_path)["c0"] == 1


def test_of_a_batch_only_the_guilty_row_is_lost(tmp_path):
    batched = replace(stage(), batch=4, many=poison.many, timeout=5.0)
    hows = ["fine", "refuse", "fine", "fine", "fine", "die", "fine", "fine", "fine"]
    rows = [{"clip_id": f"c{number}", "how": how} for number, how in enumerate(hows)]
    count = run_stage(batched, rows, tmp_path, HOW)
    assert count.done == 7 and set(count.failed) == {"c1", "c5"}
    found = Parts(tmp_path, batched).read()
    assert found["c1"].tries == 1 and found["c5"].error.endswith("exit status 9, 2 times")
    assert begun(tmp_path)["c0"] == 1 and found["c6"].rows[0]["value"] == 1


def test_a_worker_is_replaced_after_its_share(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "RENEWED", 3)
    one = replace(stage(timeout=30.0), work=poison.whose)
    rows = [{"clip_id": f"c{number}", "how": "fine"} for number in range(8)]
    assert run_stage(one, rows, tmp_path, How(workers=1, quiet=True)).done == 8
    by = [Parts(tmp_path, one).read()[row["clip_id"]].rows[0]["process"] for row in rows]
    assert [by.count(process) for process in dict.fromkeys(by)] == [3, 3, 2]


def test_other_settings_are_other_work(tmp_path):
    rows = [{"clip_id": "a", "how": "fine"}]
    assert run_stage(stage(0), rows, tmp_path, How(workers=0, quiet=True)).done == 1
    assert run_stage(stage(5), rows, tmp_path, How(workers=0, quiet=True)).done == 1
    assert Parts(tmp_path, stage(5)).read()["a"].rows[0]["value"] == 6


def test_shards_share_the_work_and_leave_nothing_out(tmp_path):
    rows = [{"clip_id": f"{number:08x}", "how": "fine"} for number in range(60)]
    done = [run_stage(stage(), rows, tmp_path, How(workers=0, quiet=True, shard=(i, 3))).done for i in (1, 2, 3)]
    assert sum(done) == 60 and min(done) > 5
    assert set(begun(tmp_path).values()) == {1}


def test_a_torn_last_line_counts_as_not_done(tmp_path):
    parts = Parts(tmp_path, stage())
    parts.append(Result("a", [{"clip_id": "a", "text": "one\u2028line"}]))
    parts.append(Result("b", [], "no"))
    parts.append(Result("b", [{"clip_id": "b"}]))
    parts.close()
    file = next(parts.folder.glob("*.jsonl"))
    file.write_bytes(file.read_bytes() + json.dumps({"key": "c", "rows": []}).encode()[:-4])
    found = parts.read()
    assert set(found) == {"a", "b"} and found["b"].error is None
    assert found["a"].rows[0]["text"] == "one\u2028line" and found["a"].by and found["a"].when > 1e9


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_driver_is_taken_up_where_it_was(tmp_path, kill):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "import slow_rows\n"
        "if __name__ == '__main__': slow_rows.main(sys.argv[1])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)],
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while len(_done(tmp_path)) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, kill)
    process.wait(30)
    import slow_rows

    done = set(_done(tmp_path))
    assert 5 <= len(done) < 40
    count = run_stage(slow_rows.STAGE, slow_rows.ROWS, tmp_path, HOW)
    assert count.before == len(done) and count.done == 40 - len(done)
    repeated = {key for key, times in begun(tmp_path).items() if times > 1}
    assert not repeated & done


def _done(folder):
    import slow_rows

    return {key for key, result in Parts(folder, slow_rows.STAGE).read().items() if result.error is None}
