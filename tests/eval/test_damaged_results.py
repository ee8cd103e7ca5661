"""`--report` of results that were cut, edited or come from a stranger: a page or a sentence."""

import json

import numpy as np
import pytest
from mutations import damaged
from test_controls import RAW, Numbers, Reader

from emogen.eval.__main__ import main as evaluate
from emogen.eval.benchmark.config import eval_config
from emogen.eval.benchmark.run import run_benchmark
from emogen.eval.controls import run as controls_run
from emogen.eval.controls.__main__ import main as measure_controls
from emogen.eval.controls.config import controls_config
from emogen.media.writer import write_video


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    """The results of a small evaluation of two systems."""
    out = tmp_path_factory.mktemp("evaluation")
    config = eval_config({
        "name": "test", "systems": {"drawn": {"clips": "stickers"}, "same": {"clips": "stickers"}}, "baseline": "drawn",
        "emotions": ["fear", "awe"], "num_prompts": {"rendered": 2},
    })  # fmt: skip
    run_benchmark(config, out, quiet=True)
    return json.loads((out / "results.json").read_text())


@pytest.fixture(scope="module")
def controls(tmp_path_factory):
    """The results of a small measurement of the controls."""
    out = tmp_path_factory.mktemp("controls")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controls_run, "load_system", lambda system: Numbers())
        patch.setattr(controls_run, "load_judges", lambda specs: {"reader": Reader()})
        controls_run.run_controls(controls_config(RAW), out, quiet=True)
    return json.loads((out / "results.json").read_text())


def attempt(main, out, text, what, capsys):
    """The exit status and what was said; a failure if anything but a page or a sentence came."""
    (out / "results.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        status = main(["--report", str(out)])
    except Exception as error:
        pytest.fail(f"{what}: {type(error).__name__}: {error}")
    said = capsys.readouterr().err
    assert status == 0 or (status == 2 and "results.json" in said and said.startswith("error: ")), what
    return status, said


KINDS = {"evaluation": evaluate, "controls": measure_controls}


@pytest.mark.parametrize("kind", KINDS)
def test_every_damage_is_a_page_or_a_sentence(kind, request, tmp_path, capsys):
    whole, main = request.getfixturevalue(kind), KINDS[kind]
    assert attempt(main, tmp_path, json.dumps(whole), "whole", capsys)[0] == 0
    refused = 0
    for deep in (2, 4, 99):
        for what, raw in damaged(whole, 70, seed=deep, deep=deep):
            refused += attempt(main, tmp_path, json.dumps(raw), what, capsys)[0] == 2
    assert refused > 60


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_results_file_is_said(kind, request, tmp_path, capsys):
    whole, main = json.dumps(request.getfixturevalue(kind)), KINDS[kind]
    for text in (
        "",
        "{",
        "[]",
        "null",
        "3",
        whole[: len(whole) // 2],
        "[" * 20_000,
        b"\xff\xfe\x00\x00",
        '{"rows": 1e999}',
    ):
        assert attempt(main, tmp_path, text, text[:20], capsys)[0] == 2
    (tmp_path / "results.json").unlink()
    assert main(["--report", str(tmp_path)]) == 2 and "no such file" in capsys.readouterr().err


def test_the_key_is_named(evaluation, tmp_path, capsys):
    for damage, message in (
        (lambda r: r["rows"][1]["judges"]["embedded"].pop("read"), "rows[1].judges.embedded.read is missing"),
        (lambda r: r["rows"][0].update(emotion="joy"), "rows[0].emotion must be 'amusement'"),
        (lambda r: r["rows"][0].update(system="x"), "rows[0] is of the system 'x', which config.systems does not name"),
        (lambda r: r["config"].update(systems={}), "config.systems must be a valid list, not {}"),
        (lambda r: r["summary"]["systems"]["same"]["EA-8"].update(value="0.5"), "summary.systems.same.EA-8.value"),
        (lambda r: r["summary"]["systems"]["same"].update(temporal_flickering=5), "systems.same holds 'temporal_"),
        (lambda r: r["summary"].update(judge="other"), "lacks a reading by the judge 'other'"),
        (lambda r: r["summary"]["systems"]["same"]["recall"].pop("awe"), "summary.systems.same.recall lacks awe"),
    ):  # fmt: skip
        made = json.loads(json.dumps(evaluation))
        damage(made)
        status, said = attempt(evaluate, tmp_path, json.dumps(made), message, capsys)
        assert status == 2 and message in said, said


def test_nothing_outside_the_results_is_drawn(evaluation, tmp_path, capsys):
    made, out, frames = json.loads(json.dumps(evaluation)), tmp_path / "out", np.zeros((2, 16, 16, 3), np.uint8)
    write_video(tmp_path / "secret.png", frames, 8)
    write_video(out / "clips/mine.png", frames, 8)
    (out / "clips/link.png").symlink_to(tmp_path / "secret.png")
    for file, shown in (("clips/mine.png", True), ("../secret.png", False), (str(tmp_path / "secret.png"), False),
                        ("clips/link.png", False)):  # fmt: skip
        made["rows"] = [{**row, "file": file, "prompt": "<b>"} for row in evaluation["rows"]]
        assert attempt(evaluate, out, json.dumps(made), file, capsys)[0] == 0
        page = (out / "report.html").read_text()
        assert ("data:image/webp" in page) == shown and "&lt;b&gt;" in page and ", <b>" not in page


def test_a_measurement_goes_on_beside_damaged_results(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(controls_run, "load_system", lambda system: Numbers())
    monkeypatch.setattr(controls_run, "load_judges", lambda specs: {"reader": Reader()})
    for text in ("[]", "{", "\udcff", '{"config": 3, "rows": 5}'):
        (tmp_path / "results.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        results = controls_run.run_controls(controls_config(RAW), tmp_path, ["plane"], quiet=True)
        assert "measured anew" in capsys.readouterr().err and set(results["studies"]["reader"]) == {"plane"}
