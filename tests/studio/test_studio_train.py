"""The Train tab's logic: the command it starts, and what it reads of a run; its actions over real commands."""

import contextlib
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from emogen.emotion import MIKELS
from emogen.media.writer import write_video
from emogen.studio.charts import HEIGHT, lines_svg, thinned
from emogen.studio.train_run import TrainRequest, base_of, charts_html, configurations, memory_html, progress_of

TINY = Path(__file__).parents[2] / "configs" / "embedded_t2v.yaml"


def test_the_command_that_is_started(tmp_path):
    request = TrainRequest(str(TINY), " out ", "my data", "6", "--rank 4 --report_to 'tensor board'")
    assert request.words() == ["train", "--config", str(TINY), "--output_dir", "out", "--dataset_name", "my data",
                               "--max_train_steps", "6", "--rank", "4", "--report_to", "tensor board"]  # fmt: skip
    assert TrainRequest(str(TINY), "out").words(dry_run=True) == ["train", "--config", str(TINY), "--output_dir", "out",
                                                                  "--dry_run"]  # fmt: skip
    assert "latest" in TrainRequest(str(TINY), "out").words(resume=True)


@pytest.mark.parametrize(("request_", "message"), [
    (TrainRequest("", "out"), "choose a configuration"),
    (TrainRequest("/no/such.yaml", "out"), "no configuration /no/such.yaml"),
    (TrainRequest(str(TINY), " "), "say where the run goes"),
    (TrainRequest(str(TINY), "out", steps="many"), "steps is 'many'"),
    (TrainRequest(str(TINY), "out", more="--rank '4"), "close the quotation"),
])  # fmt: skip
def test_what_cannot_be_started_is_named(request_, message):
    with pytest.raises(ValueError, match=message):
        request_.words()


def test_configurations_of_the_checkout_are_offered():
    names = [Path(name).name for name in configurations()]
    assert "embedded_t2v.yaml" in names and len(names) == len(set(names)) and "tiny.yaml" not in names
    assert all(Path(name).is_file() for name in configurations())


@pytest.fixture
def run(tmp_path):
    """A run's folder after 4 of 10 steps."""
    folder = tmp_path / "run"
    (folder / "checkpoint-4").mkdir(parents=True)
    (folder / "training_config.yaml").write_text(
        "run: {max_train_steps: 10}\nmodel: {pretrained_model_name_or_path: embedded}\n")  # fmt: skip
    lines = [{"step": s, "loss": 1 / s, "loss/fear": 2 / s, "seconds_per_step": 3.0} for s in range(1, 5)]
    lines.append({"step": 4, "val/loss": 0.3, "val/loss/fear": 0.4, "val/loss/neutral": 0.2, "val/EA-8": 0.5})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 5, "lo')
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A card\n")
    for step in (2, 4):
        write_video(folder / f"samples/step-{step:06d}.webp", np.zeros((2, 16, 16, 3), np.uint8), 8)
    return folder


def test_what_a_run_s_folder_tells(run, tmp_path):
    found = progress_of(run)
    assert (found.step, found.steps, found.share, found.left) == (4, 10, 0.4, "about 18 s left")
    assert [path.name for path in found.previews] == ["step-000004.webp", "step-000002.webp"]
    assert found.card.strip() == "# A card" and found.checkpoint and not found.exported
    assert base_of(run) == "embedded" and base_of(tmp_path) is None
    assert progress_of(tmp_path / "nothing").step == 0 and charts_html(progress_of(tmp_path / "nothing")) == ""
    (run / "training_config.yaml").write_text("run: [")
    assert progress_of(run).steps is None


def test_charts_show_the_loss_and_every_emotion(run):
    html = charts_html(progress_of(run))
    assert html.count("<figure") == 3 and "Held-out loss by emotion" in html and "Samples read as asked" in html
    names = re.findall(r'class="name"[^>]*>([^<]+)<', html)
    assert names == ["training", "held out", "fear", "neutral", "EA-8"]
    log = (run / "log.jsonl").read_text().split('{"step": 4, "val')[0]
    (run / "log.jsonl").write_text(log)
    assert "Training loss by emotion" in charts_html(progress_of(run))


def test_the_forecast_of_memory_is_a_table(tmp_path):
    from emogen.training.config import load_config
    from emogen.training.run import dry_run

    said = io.StringIO()
    words = ["--output_dir", str(tmp_path / "out"), "--num_stickers", "18", "--cache_dir", str(tmp_path / "cache")]
    with contextlib.redirect_stdout(said):
        dry_run(load_config(str(TINY), words))
    html = memory_html(said.getvalue())
    rows = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td>", html)
    assert [name for name, _ in rows][:2] == ["frozen weights", "cast copies of weights"] and rows[-1][0] == "total"
    assert len(rows) >= 10 and all(re.fullmatch(r"[\d.,]+ [KMG]iB", size) for _, size in rows)
    assert memory_html("nothing of it") == ""


def test_a_chart_is_true_and_its_names_stand_apart():
    lines = {name: ([1, 2, 3], [0.5, 0.5, 0.5 + i * 1e-4]) for i, name in enumerate(MIKELS)}
    svg = lines_svg('"<Loss>', lines, {})
    tree = ElementTree.fromstring(svg.split("</figcaption>")[1].removesuffix("</figure>"))
    places = sorted(float(text.get("y")) for text in tree.iter("text") if text.get("class") == "name")
    assert min(np.diff(places)) >= 12.9 and places[-1] < HEIGHT and len(places) == 8
    line = [tuple(map(float, p.split(","))) for p in next(tree.iter("polyline")).get("points").split()]
    assert line[0][0] < line[1][0] < line[2][0]
    rising = lines_svg("a", {"a": ([1, 2], [0, 1])}, {})
    (first, last) = re.search(r'points="([^"]+)"', rising)[1].split()
    assert float(first.split(",")[1]) > float(last.split(",")[1]), "up is more"
    assert lines_svg("a", {}, {}) == "" and "<circle" in lines_svg("a", {"a": ([5], [2.0])}, {})
    places, heights = thinned((list(range(1000)), list(range(1000))), 200)
    assert len(places) <= 201 and places[-1] == heights[-1] == 999


class TestTab:
    @pytest.fixture
    def actions(self, engine):
        pytest.importorskip("gradio", reason="gradio is not installed (the studio extra)")
        from emogen.studio.process import Work
        from emogen.studio.train_tab import TrainActions

        home = engine.folder / "work"
        made = TrainActions(engine, Work(home, "train"), Work(home, "trial"))
        yield made
        for work in (made.work, made.trial):
            if work.state().running:
                work.stop()
                work.stop()
                work.wait(30)

    def test_nothing_is_shown_before_there_is_a_run(self, actions):
        import gradio as gr

        assert all(isinstance(value, type(gr.skip())) for value in actions.look(None))

    def test_what_cannot_be_started_is_said(self, actions, run):
        values = [str(TINY), str(run), "", "", ""]
        assert "holds a run; Resume continues it" in actions.start(*values)
        assert "no checkpoint to resume from" in actions.resume(str(TINY), str(run / "empty"), "", "", "")
        assert "choose a configuration" in actions.start("", *values[1:])
        assert "nothing is running" in actions.stop()
        assert "no run has exported there yet" in actions.open_in_make(str(run))[0]

    def test_a_dry_run_that_is_refused_says_why(self, actions, run):
        told = list(actions.dry_run(str(TINY), str(run / "new"), "", "", "--no_such_flag 3"))
        assert "looking at data" in told[0][0] and "would not run" in told[-1][0] and "no_such_flag" in told[-1][0]

    def test_a_run_is_looked_at_and_opened_in_make(self, actions, run, engine, model_folder):
        import sys

        actions.work._command = lambda status: [sys.executable, "-c", f"open({str(status)!r}, 'w').write('0')"]
        actions.work.start([], {"folder": str(run)})
        actions.work.wait(60)
        known = json.loads((actions.work.folder / "train.json").read_text())
        for name, way in (("checkpoint-4", "Resume continues it"), ("renamed", "Start begins anew")):
            (actions.work.folder / "train.json").write_text(json.dumps(known | {"stopped": True}))
            next(run.glob("checkpoint-*")).rename(run / name)
            assert way in actions.look(None)[1]
        (run / "renamed").rename(run / "checkpoint-4")
        (actions.work.folder / "train.json").write_text(json.dumps(known))
        seen, status, charts, previews, card, log = actions.look(None)
        assert "Finished" in status and "step 4 of 10" in status and charts.count("<svg") == 3
        assert "# A card" in card and "<pre>" in log
        assert previews.count("<img") == 2 and "run_step-000004.webp" in {p.name for p in engine.served.iterdir()}
        assert len(actions.look(seen)) == 6 and not isinstance(actions.look(seen)[0], tuple)
        (run / "emotion_adapter.safetensors").touch()
        (run / "training_config.yaml").write_text(f"model: {{pretrained_model_name_or_path: {model_folder}}}\n")
        said, tabs = actions.open_in_make(str(run))
        assert "Open in Make" in said and tabs.selected == "make"
        assert (engine.sources["text"].model, engine.sources["text"].adapter) == (model_folder, str(run.resolve()))
