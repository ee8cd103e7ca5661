import json
import sys

import numpy as np
import pytest

from emogen.training.outputs.curves import _spread, curves_figure, draw_curves, read_log, running_mean

EMOTIONS = ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness", "neutral")


def whole_run(steps=60):
    """The lines of a run that logs everything."""
    lines = []
    for step in range(1, steps + 1):
        lines.append({"step": step, "loss": 1 / step, "loss/joy": 9.0, "loss/quantile/0.1": 9.0, "lr_lora": 1e-4})
        if step % 20 == 0:
            held = {"val/loss": 0.4, "val/loss_neutral": 0.5, "val/loss_swapped": 0.6}
            held |= {f"val/loss/{name}": 0.4 + 0.001 * index for index, name in enumerate(EMOTIONS)}
            held |= {"val/quantile/0.9": 0.01, "val/quantile/0.1": 2.0}
            lines.append({"step": step, **held})
        if step % 30 == 0:
            read = {"val/EA-8": 0.5, "val/EA-8_low": 0.3, "val/EA-8_high": 0.7, "val/EA-8_n": 32.0, "val/EA-8/awe": 0.1}
            lines.append({"step": step, **read, "val/EA-2": 0.75, "val/EA-2_low": 0.6, "val/EA-2_high": 0.8})
    return lines


@pytest.fixture
def write(tmp_path):
    def log(lines, name="log.jsonl"):
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return log


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_log_as_series(write):
    bad = {"step": 30, "loss": float("nan")}
    log = write([{"step": 10, "loss": 3.0}, {"step": 20, "loss": 2.0, "val/loss": 5}, bad])
    series = read_log(log)
    assert series["loss"][0].tolist() == [10, 20] and series["loss"][1].tolist() == [3.0, 2.0]
    assert series["val/loss"][1].tolist() == [5.0] and "step" not in series


def test_a_resumed_run_counts_once(write):
    log = write([{"step": step, "loss": loss} for step, loss in ((1, 1.0), (2, 8.0), (3, 9.0), (2, 2.0))])
    steps, values = read_log(log)["loss"]
    assert steps.tolist() == [1, 2, 3] and values.tolist() == [1.0, 2.0, 9.0]


def test_a_killed_run_leaves_half_a_line(write):
    log = write([{"step": 1, "loss": 1.0}])
    log.write_text(log.read_text() + '{"step": 2, "lo')
    assert read_log(log)["loss"][0].tolist() == [1]


@pytest.mark.parametrize(("line", "message"), [
    ('{"step": 2, "lo', "line 2: not JSON"),  # not the last line, so not the end of a killed run
    ('{"loss": 1.0}', 'line 2: not an object with a whole number as "step"'),
    ('{"step": "two", "loss": 1.0}', "line 2: not an object"),
    ("[1, 2]", "line 2: not an object"),
])  # fmt: skip
def test_wrong_lines_are_named(write, line, message):
    log = write([{"step": 1, "loss": 1.0}, line, {"step": 3, "loss": 1.0}])
    with pytest.raises(ValueError, match=rf"log\.jsonl, {message}"):
        read_log(log)


def test_no_log(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl: no such log"):
        draw_curves(tmp_path / "none.jsonl", tmp_path / "curves.png")


def test_nothing_to_draw(write, tmp_path):
    with pytest.raises(ValueError, match="nothing to draw"):
        draw_curves(write([{"step": 1, "lr_lora": 0.1}]), tmp_path / "curves.png")
    with pytest.raises(ValueError, match=r"curves\.pdf: curves are written as \.png"):
        draw_curves(write([{"step": 1, "loss": 0.1}]), tmp_path / "curves.pdf")


def test_without_matplotlib(write, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install -e \"\.\[plot\]\""):
        draw_curves(write(whole_run()), tmp_path / "curves.png")


def test_a_picture_is_written(write, tmp_path):
    pytest.importorskip("matplotlib")
    from PIL import Image

    pictures = tmp_path / "pictures"
    path = draw_curves(write(whole_run()), pictures / "curves.png", "a run")
    assert [p.name for p in pictures.iterdir()] == ["curves.png"]
    with Image.open(path) as image:
        assert image.format == "PNG" and image.width > 1000
        assert len(set(np.asarray(image.convert("RGB")).reshape(-1, 3)[::97].view("u1,u1,u1").ravel().tolist())) > 5


def test_the_five_panels(write):
    pytest.importorskip("matplotlib")
    figure = curves_figure(read_log(write(whole_run())), "a run")
    train, held_out, emotions, levels, read = figure.axes
    assert "a run" in [text.get_text() for text in figure.texts]
    raw, smooth = train.lines
    assert raw.get_xydata()[:, 1] == pytest.approx([1 / step for step in range(1, 61)])
    assert smooth.get_xydata()[30, 1] == pytest.approx(np.mean([1 / step for step in range(29, 34)]))
    assert texts(held_out) == ["with the emotion", "without it", "another clip's"]
    assert [line.get_ydata()[-1] for line in held_out.lines] == [0.4, 0.5, 0.6]
    assert sorted(texts(emotions)) == sorted(EMOTIONS)
    for line, text in zip(emotions.lines, emotions.texts, strict=True):  # a label is its line's by colour
        assert line.get_color() == text.get_color()
        assert line.get_ydata()[0] == 0.4 + 0.001 * EMOTIONS.index(text.get_text())
    assert len({line.get_color() for line in emotions.lines}) == 9
    assert texts(levels) == ["0.1", "0.9"] and levels.get_yscale() == "log"
    assert [line.get_ydata()[-1] for line in levels.lines] == [2.0, 0.01]
    assert texts(read) == ["EA-8\nn = 32", "EA-2"]
    heights = {round(float(line.get_ydata()[0]), 1) for line in read.lines}
    assert {12.5, 50.0, 75.0} <= heights  # chance of one in eight and one in two, and what was read
    bands = [band.get_paths()[0].vertices[:, 1] for band in read.collections]
    assert [(band.min(), band.max()) for band in bands] == [pytest.approx((30, 70)), pytest.approx((60, 80))]
    assert {axes.get_xlim() for axes in figure.axes} == {(0, 1.02 * 60)}


def test_labels_do_not_overlap_and_stay_inside(write):
    pytest.importorskip("matplotlib")
    emotions = curves_figure(read_log(write(whole_run()))).axes[2]
    heights = sorted(text.get_position()[1] for text in emotions.texts)
    assert np.diff(heights).min() > 0.05 and heights[0] >= 0 and heights[-1] <= 1


def test_a_panel_only_for_what_was_logged(write):
    pytest.importorskip("matplotlib")
    figure = curves_figure(read_log(write([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}])))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Training loss"]
    assert len(figure.axes[0].lines) == 1  # two points are not smoothed
    lines = [{"step": 5, "val/loss": 1.0}, {"step": 5, "val/EA-8": 0.5, "val/EA-8_low": 0.2, "val/EA-8_high": 0.8}]
    titles = [axes.get_title(loc="left") for axes in curves_figure(read_log(write(lines))).axes]
    assert titles == ["Held-out loss", "Emotion read as asked, 95 % interval, chance dotted"]


def test_many_labels_of_any_name(write):
    pytest.importorskip("matplotlib")
    line = {f"val/loss/label{index}": 0.1 for index in range(14)}
    figure = curves_figure(read_log(write([{"step": 1, **line}])))
    assert len(figure.axes[0].texts) == 14


def test_running_mean():
    values = np.array([1.0, 5.0, 3.0, 7.0, 4.0])
    assert running_mean(values, 3).tolist() == [3.0, 3.0, 5.0, 14 / 3, 5.5]
    assert running_mean(values, 1).tolist() == values.tolist()


def test_spread():
    assert _spread(np.array([0.9, 0.1, 0.5]), 0.1) == pytest.approx([0.9, 0.1, 0.5])
    assert _spread(np.array([0.5, 0.5]), 0.1) == pytest.approx([0.45, 0.55])
    assert _spread(np.array([0.52, 0.5, 0.9]), 0.1) == pytest.approx([0.56, 0.46, 0.9])
    assert _spread(np.array([0.0, 0.01, 0.02]), 0.1) == pytest.approx([0.0, 0.1, 0.2])
    assert _spread(np.array([1.0, 0.99]), 0.1) == pytest.approx([1.0, 0.9])
