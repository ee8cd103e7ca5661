"""A command in a process of its own: started, watched, stopped, and found again by a studio that is started later."""

import sys

import pytest

from emogen.studio.notices import share_of
from emogen.studio.process import DONE, FAILED, NEVER, REFUSED, STOPPED, Work, WorkError, now_doing, plain_end

LONG = 60.0


def script(text):
    """A command that runs `text` in Python, with the file for its status as `status`."""
    return lambda status: [sys.executable, "-c", f"status = {str(status)!r}\n{text}"]


def test_a_real_command_says_what_it_says_and_how_it_ended(tmp_path):
    work = Work(tmp_path, "one")
    assert work.state().how == NEVER
    work.start(["--version"], {"folder": "here"})
    state = work.wait(LONG)
    assert (state.how, state.about) == (DONE, {"folder": "here"}) and state.said.startswith("emogen ")
    work.start(["nothing"])
    state = work.wait(LONG)
    assert state.how == REFUSED and "no command 'nothing'" in state.said
    work.start(["studio", "--port", "x"])
    assert work.wait(LONG).how == REFUSED


@pytest.mark.parametrize(("text", "how"), [
    ("open(status, 'w').write('0')", DONE), ("open(status, 'w').write('3')", DONE),
    ("open(status, 'w').write('1')", FAILED), ("import os; os._exit(9)", FAILED),
])  # fmt: skip
def test_how_it_ended(tmp_path, text, how):
    work = Work(tmp_path, "one", script(text))
    work.start([])
    assert work.wait(LONG).how == how


def test_it_is_stopped_gently_and_the_second_time_at_once(tmp_path):
    gentle = "import signal, time\nsignal.signal(15, lambda *_: (print('saved'), exit()))\nprint('on', flush=True)\n"
    stubborn = "import signal, time\nsignal.signal(15, lambda *_: print('no', flush=True))\nprint('on', flush=True)\n"
    for name, text, times in (("gentle", gentle, 1), ("stubborn", stubborn, 2)):
        work = Work(tmp_path, name, script(text + "while True: time.sleep(0.02)"))
        work.start([])
        wait_for(work, "on")
        with pytest.raises(WorkError, match="running already"):
            work.start([])
        for turn in range(times):
            assert work.state().running
            work.stop()
            if turn == 0 and times == 2:
                wait_for(work, "no")
        state = work.wait(LONG)
        assert state.how == STOPPED and ("saved" in state.said) == (name == "gentle")
        with pytest.raises(WorkError, match="nothing is running"):
            work.stop()


def test_a_studio_that_is_started_again_finds_it(tmp_path):
    text = "import time\nprint('on', flush=True)\nwhile True: time.sleep(0.02)"
    first = Work(tmp_path, "one", script(text))
    first.start([], {"folder": "here"})
    wait_for(first, "on")
    again = Work(tmp_path, "one")
    assert again.state().running and again.state().about == {"folder": "here"}
    with pytest.raises(WorkError, match="running already"):
        again.start([])
    again.stop()
    assert first.wait(LONG).how == STOPPED and again.wait(LONG).how == STOPPED


def test_a_number_that_another_process_has_now_is_not_it(tmp_path):
    import json
    import os

    known = {"pid": os.getpid(), "created": 1.0, "began": 2.0, "about": {}, "stopped": False}
    (tmp_path / "one.json").write_text(json.dumps(known))
    work = Work(tmp_path, "one")
    assert not work.state().running
    with pytest.raises(WorkError, match="nothing is running"):
        work.stop()
    (tmp_path / "one.json").write_text("[torn")
    assert work.state().how == NEVER


def test_what_is_said_is_shown_as_a_terminal_would(tmp_path):
    work = Work(tmp_path, "one")
    work.folder.mkdir(exist_ok=True)
    (tmp_path / "one.json").write_text('{"pid": 1, "created": 1, "began": 2, "about": {}, "stopped": false}')
    work.log.write_bytes(b"[transformers] noise\nstart\n 10%\r 20%\r 90%\nline\r\n\nend")
    assert work.state().said == "start\n 90%\nline\n\nend"
    assert plain_end(work.state().said, 2) == "line\nend"
    work.log.write_bytes(b"x" * 50_000 + b"\nend")
    assert len(work.state().said) < 13_000


def wait_for(work, text):
    import time

    end = time.monotonic() + LONG
    while text not in work.state().said:
        assert time.monotonic() < end and work.state().running, work.state()
        time.sleep(0.02)


def test_what_is_being_done_is_no_warning():
    said = "reading\na.py:3: UserWarning: old\n  return rms_norm(x)\n\n"
    assert now_doing(said) == "reading" and now_doing("  x\n") == "beginning"


def test_a_terminal_s_progress_bar_is_a_share():
    assert share_of("emogen:  50%|#####     | 8/16 [01:57<01:57]") == 0.5
    assert share_of("reading 100 % of it") == share_of("") == pytest.approx(1 / 3)
