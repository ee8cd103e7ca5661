"""`emogen studio`: options and messages."""

import os
import sys

import pytest

from emogen import cli
from emogen.commands import studio


def test_help_needs_no_gradio(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(SystemExit) as exit_:
        cli.main(["studio", "--help"])
    assert exit_.value.code == 0
    assert "--host" in (text := capsys.readouterr().out) and "127.0.0.1" not in text and "--share" not in text


def test_without_gradio_it_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in ("page", "actions", "inputs"):
        monkeypatch.delitem(sys.modules, f"emogen.studio.{name}", raising=False)
    assert cli.main(["studio"]) == 2
    assert 'pip install -e ".[studio]"' in capsys.readouterr().err


@pytest.mark.parametrize(("argv", "message"), [
    (["--judge", "/nowhere"], "--judge /nowhere: no judge there"),
    (["--model", "./nowhere"], "--model ./nowhere: no model"),
    (["--image_model", "./nowhere"], "--image_model ./nowhere: no model"),
])  # fmt: skip
def test_what_is_not_there_is_said_before_the_page_opens(argv, message, capsys):
    assert cli.main(["studio", *argv]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "70000", "x"])
def test_bad_port(port, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["studio", "--port", port])
    assert exit_.value.code == 2 and "--port" in capsys.readouterr().err


def test_browser_is_opened_only_where_there_is_a_screen(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    args = studio.build_parser().parse_args([])
    assert args.host == "127.0.0.1" and not studio._can_open(args)
    monkeypatch.setenv("DISPLAY", ":0")
    assert studio._can_open(args)
    assert not studio._can_open(studio.build_parser().parse_args(["--no_browser"]))


def test_it_listens_here_unless_told_and_then_wants_a_password(monkeypatch, capsys, tmp_path):
    pytest.importorskip("gradio", reason="gradio is not installed (the studio extra)")
    import emogen.studio.page as page

    asked, workshops = [], []

    class Page:
        def block_thread(self):
            asked.append("waited")

    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    monkeypatch.setattr(page, "build_page", lambda engine, workshop: workshops.append(workshop) or Page())
    monkeypatch.setattr(page, "launch", lambda _, engine, **how: asked.append(how) or "http://there")
    assert cli.main(["studio", "--output_dir", str(tmp_path), "--no_browser"]) == 0
    here = {"host": "127.0.0.1", "port": 7860, "browser": False, "password": None}
    assert asked[0] == here and asked[1] == "waited"
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    out = capsys.readouterr()
    assert "http://there" in out.out and "warning" not in out.err
    outside = ["studio", "--output_dir", str(tmp_path), "--host", "0.0.0.0"]
    for given, message in ((None, "needs a password: set EMOGEN_STUDIO_PASSWORD"), ("short", "at least 8")):
        monkeypatch.delenv(studio.PASSWORD, raising=False)
        if given:
            monkeypatch.setenv(studio.PASSWORD, given)
        before = len(asked)
        assert cli.main(outside) == 2 and len(asked) == before
        assert message in capsys.readouterr().err
    monkeypatch.setenv(studio.PASSWORD, "long enough")
    assert cli.main(outside) == 0 and asked[-2]["password"] == "long enough"
    assert cli.main([*outside, "--all_tabs"]) == 0 and workshops == [True, False, True]
    monkeypatch.setattr(page, "launch", lambda *_, **__: (_ for _ in ()).throw(OSError("taken")))
    assert cli.main(["studio", "--output_dir", str(tmp_path), "--port", "81"]) == 2
    assert "--port 81" in capsys.readouterr().err
