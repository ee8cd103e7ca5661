"""The Evaluate tab: the configuration that it writes, and the report that it shows."""

import sys
from pathlib import Path

import pytest
import yaml

from emogen.eval.benchmark.config import load_eval_config
from emogen.studio.evaluation import OWN, EvalRequest, benchmarks

TINY = Path(__file__).parents[2] / "configs" / "eval" / "tiny.yaml"


@pytest.fixture
def run(tmp_path, model_folder):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "emotion_adapter.safetensors").touch()
    (folder / "training_config.yaml").write_text("model: {pretrained_model_name_or_path: embedded}\n")
    return folder


def test_weights_of_one_s_own_stand_beside_the_others(run, tmp_path):
    words = EvalRequest(str(TINY), " out ", str(run), "2").words(tmp_path)
    assert words[:2] == ["eval", "--config"] and words[3:] == ["--output_dir", "out"]
    config = load_eval_config(words[2])
    own = next(system for system in config.systems if system.name == OWN)
    assert (own.model, own.adapter) == ("embedded", str(run)) and len(config.systems) == 7
    assert yaml.safe_load(Path(words[2]).read_text())["num_prompts"] == {"rendered": 2, "real": 2}
    plain = EvalRequest(str(TINY), "out").words(tmp_path)
    assert yaml.safe_load(Path(plain[2]).read_text()) == yaml.safe_load(TINY.read_text())


@pytest.mark.parametrize(("changes", "message"), [
    ({"config": ""}, "choose a configuration"),
    ({"config": "/no/such.yaml"}, "no configuration /no/such.yaml"),
    ({"config": __file__}, "test_studio_evaluate"),
    ({"config": "BAD"}, "systems is missing"),
    ({"output_dir": " "}, "say where the evaluation goes"),
    ({"adapter": "/nowhere"}, "/nowhere: holds no trained adapter"),
    ({"prompts": "few"}, "prompts of a kind is 'few'"),
])  # fmt: skip
def test_what_cannot_be_measured_is_named(tmp_path, changes, message):
    (tmp_path / "bad.yaml").write_text("name: a")
    values = {"config": str(TINY), "output_dir": "out"} | changes
    values["config"] = values["config"].replace("BAD", str(tmp_path / "bad.yaml"))
    with pytest.raises(ValueError, match=message):
        EvalRequest(**values).words(tmp_path)


def test_the_quickest_benchmark_comes_first():
    names = [Path(name).name for name in benchmarks()]
    assert names[0] == "tiny.yaml" and "controls.yaml" not in names and "embedded.yaml" in names


def test_benchmarks_of_the_folder_that_it_was_started_in_come_before_the_checkout_s(tmp_path, monkeypatch):
    (tmp_path / "configs/eval").mkdir(parents=True)
    (tmp_path / "configs/eval/tiny.yaml").write_text(TINY.read_text())
    monkeypatch.chdir(tmp_path)
    first, second = benchmarks()[:2]
    assert first == "configs/eval/tiny.yaml" and Path(second) == TINY


def test_the_report_is_shown_once_it_is_there(engine, tmp_path):
    gr = pytest.importorskip("gradio", reason="gradio is not installed (the studio extra)")
    from emogen.studio.evaluate_tab import EvaluateActions
    from emogen.studio.process import Work

    out, ending = tmp_path / "out", "import time; time.sleep(0.2); open({0!r}, 'w').write({1!r})"
    out.mkdir()
    for status, said in (("0", "Finished"), ("1", "The evaluation failed")):
        work = Work(engine.folder / "work", f"evaluate{status}",
                    lambda file, status=status: [sys.executable, "-c", ending.format(str(file), status)])  # fmt: skip
        actions = EvaluateActions(engine, work)
        assert all(isinstance(value, type(gr.skip())) for value in actions.look(None))
        (out / "report.html").write_text("<h1>what came of it</h1>")
        assert "Started" in actions.start(str(TINY), str(out), "", "")
        assert "working" in actions.look(None)[1] or not work.state().running
        work.wait(60)
        seen, status_html, report = actions.look(None)
        assert said in status_html
        if status == "0":
            assert 'sandbox=""' in report and (engine.served / "out_report.html").read_text().startswith("<h1>what")
        assert all(isinstance(value, type(gr.skip())) for value in actions.look(seen))
    assert "nothing is running" in actions.stop()
    assert "choose a configuration" in actions.start("", "out", "", "")
