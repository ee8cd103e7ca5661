"""The benchmark on clips that are drawn or lie in folders; sampling is left to one tiny run."""

import csv
import json

import numpy as np
import pytest
import torch

from emogen.emotion import MIKELS
from emogen.eval.benchmark.config import EvalConfigError, eval_config
from emogen.eval.benchmark.items import make_items
from emogen.eval.benchmark.results import read_results
from emogen.eval.benchmark.run import run_benchmark
from emogen.eval.benchmark.summary import detectable
from emogen.eval.metrics import REGISTRY, EmotionAgreement
from emogen.eval.report.page import write_report
from emogen.media.writer import write_video
from emogen.stickers.render import render

PAIR = ["fear", "contentment"]


def config(systems, **more):
    return eval_config({"name": "test", "num_prompts": {"rendered": 2}, "emotions": PAIR, "systems": systems, **more})


@pytest.fixture
def swapped(tmp_path):
    """A folder whose clips of fear show contentment and the reverse, made for the items of `config`."""
    folder = tmp_path / "swapped"
    lines = []
    for item in make_items(config({"x": {"clips": "stickers"}})):
        spec = item.prompt.sticker(PAIR[1 - PAIR.index(item.emotion)], 5)
        write_video(folder / f"{item.key}.png", render(spec), 12)
        lines.append({"file_name": f"{item.key}.png", "prompt": item.prompt.text, "emotion": item.emotion, "seed": 0})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_right_and_wrong_clips_are_told_apart_and_everything_is_written(tmp_path, swapped):
    made = config(
        {"drawn": {"clips": "stickers"}, "swapped": {"clips": str(swapped)}}, baseline="swapped",
        metrics=["agreement", "content", "attributes", "temporal_flickering"],
    )  # fmt: skip
    results = run_benchmark(made, tmp_path / "out", quiet=True)
    systems = results["summary"]["systems"]
    assert systems["drawn"]["EA-8"]["value"] == 1.0 and systems["drawn"]["n"] == 4
    assert systems["swapped"]["EA-8"]["value"] == 0.0 and systems["swapped"]["EA-2"]["value"] == 0.0
    assert systems["swapped"]["confusion"][MIKELS.index("fear")][MIKELS.index("contentment")] == 2
    gain = results["summary"]["against"]["drawn"]["EA-8"]
    assert (gain["difference"], gain["n"], gain["p"]) == (1.0, 4, 0.5)  # four clips, but of two prompts
    assert gain["low"] is None and systems["drawn"]["EA-8"]["by_prompt"] is None  # two prompts give no interval
    assert gain["p_holm"] >= gain["p"]
    assert systems["drawn"]["valence"]["r"] > 0.9 > 0 > systems["swapped"]["valence"]["r"]
    assert 0.9 < systems["drawn"]["temporal_flickering"]["value"] < 1
    assert {"torch", "diffusers", "emogen"} <= set(results["made_with"]) and len(results["config_hash"]) == 64
    html = (tmp_path / "out/report.html").read_text()
    assert html.count("data:image/webp;base64,") == 8 and 'src="http' not in html and "<script" not in html
    assert "4 paired clips of 2 prompts" in html and "48.33" in html  # the warning, and the paper's row
    assert (tmp_path / "out/rows.csv").read_text().count("\n") == 9
    assert r"\toprule" in (tmp_path / "out/table.tex").read_text()


def test_the_page_is_drawn_anew_without_computing(tmp_path, swapped, monkeypatch, capsys):
    run_benchmark(config({"swapped": {"clips": str(swapped)}}), tmp_path / "out", quiet=True)
    before = (tmp_path / "out/report.html").read_text()
    (tmp_path / "out/report.html").unlink()
    monkeypatch.setattr("emogen.eval.benchmark.run.measure", None)
    write_report(read_results(tmp_path / "out"), tmp_path / "out")
    assert (tmp_path / "out/report.html").read_text() == before
    from emogen.eval.__main__ import main

    assert main(["--report", str(tmp_path / "out")]) == 0
    assert "| swapped | 4 | 0.0 | 0.0 |" in capsys.readouterr().out
    assert main(["--report", str(tmp_path)]) == 2


def test_every_judge_is_in_the_line_of_a_clip(tmp_path, swapped):
    made = config({"swapped": {"clips": str(swapped)}}, judges=["embedded_blends", "embedded"])
    rows = run_benchmark(made, tmp_path / "out", quiet=True)["rows"]
    lines = list(csv.DictReader((tmp_path / "out/rows.csv").open()))
    assert len(lines) == len(rows) == 4
    for line, row in zip(lines, rows, strict=True):
        assert line["read"] == row["judges"]["embedded_blends"]["read"]
        assert float(line["share by embedded"]) == row["judges"]["embedded"]["share"] != float(line["share"])


def test_clips_that_cannot_be_used_are_listed(tmp_path, swapped):
    files = sorted(swapped.glob("*.png"))
    files[0].write_bytes(b"broken")
    files[1].unlink()
    write_video(files[2], np.zeros((1, 96, 96, 3), np.uint8), 12)
    results = run_benchmark(config({"swapped": {"clips": str(swapped)}}), tmp_path / "out", quiet=True)
    reasons = {one["clip"]: one["reason"] for one in results["excluded"]}
    assert results["summary"]["systems"]["swapped"]["n"] == 1 and len(reasons) == 3
    assert "unreadable" in reasons[files[0].stem] and reasons[files[1].stem] == "no such file"
    assert reasons[files[2].stem] == "has 1 frame, 2 are needed"
    assert "has 1 frame, 2 are needed" in (tmp_path / "out/report.html").read_text()


def test_what_exists_is_not_made_again(tmp_path, monkeypatch):
    made = config({"drawn": {"clips": "stickers"}})
    run_benchmark(made, tmp_path / "out", quiet=True)
    (one, *rest) = sorted((tmp_path / "out/clips/drawn").glob("*.png"))
    stamps = {path: path.stat().st_mtime_ns for path in rest}
    one.unlink()
    run_benchmark(made, tmp_path / "out", quiet=True)
    assert one.is_file() and all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_a_model_is_sampled_with_word_with_adapter_and_without(tmp_path):
    systems = {
        "none": {"model": "embedded", "emotion": "none"},
        "sentence": {"model": "embedded", "emotion": "sentence"},
        "emogen": {"model": "embedded", "adapter": "embedded"},
    }
    made = config(systems, num_prompts={"rendered": 1}, generation={"num_inference_steps": 1, "num_frames": 5})
    results = run_benchmark(made, tmp_path / "out", quiet=True)
    clips = {path.parent.name + path.name: path.read_bytes() for path in (tmp_path / "out/clips").rglob("*.png")}
    assert len(clips) == 6
    one, other = (clips[f"none000_{emotion}_0.png"] for emotion in PAIR)
    assert one == other  # without an emotion, one clip serves all
    assert len({clips[key] for key in clips}) == 5
    assert results["summary"]["systems"]["emogen"]["n"] == 2


def test_a_judge_without_weights_and_clips_without_metadata_are_named(tmp_path):
    with pytest.raises(EvalConfigError, match=r"judges: .*nowhere"):
        run_benchmark(config({"a": {"clips": "stickers"}}, judges=[str(tmp_path / "nowhere")]), tmp_path / "out", True)
    assert not (tmp_path / "out/clips").exists()
    with pytest.raises(EvalConfigError, match=r"systems\.a: .*metadata\.jsonl does not exist"):
        run_benchmark(config({"a": {"clips": str(tmp_path)}}), tmp_path / "out", True)


def test_prompts_from_a_file(tmp_path):
    file = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"p{n}", "domain": "movie" if n % 2 else "sticker"} for n in range(6)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = config({"a": {"clips": str(tmp_path)}}, prompts=str(file), num_prompts={"movie": 2}, seeds=[0, 7])
    items = make_items(made)
    assert [p for p in dict.fromkeys(i.prompt.text for i in items)] == ["p0", "p1", "p2", "p3", "p4"]
    assert len(items) == 5 * 2 * 2 and len({item.key for item in items}) == 20
    file.write_text('{"text": "p"}\n')
    with pytest.raises(EvalConfigError, match=r"prompts\.jsonl:1: 'prompt' is missing"):
        make_items(made)
    for row, message in (
        ('{"prompt": 5}', "'prompt' must be text, not 5"),
        ('{"prompt": "a", "named": "b"}', "'named' must be an object"),
        ('{"prompt": "a", "domain": 3}', "'domain' must be text"),
        ('{"prompt": "a", "prompt": "b"}', "stands twice"),
    ):
        file.write_text(row)
        with pytest.raises(EvalConfigError, match=rf"prompts\.jsonl:1: .*{message}"):
            make_items(made)
    file.write_text('{"prompt": "a\u2028b"}\r', encoding="utf-8")
    assert make_items(made)[0].prompt.text == "a\u2028b"
    (tmp_path / "prompts.csv").write_text('prompt;domain\n"two\nlines";film\n')
    made = config({"a": {"clips": str(tmp_path)}}, prompts=str(tmp_path / "prompts.csv"), num_prompts={})
    assert (make_items(made)[0].prompt.text, make_items(made)[0].prompt.domain) == ("two\nlines", "film")


def test_figures_by_hand(monkeypatch):
    # amusement asked 4 times and read 5, awe asked 6 times and read 5
    asked, read = ["amusement"] * 4 + ["awe"] * 6, ["amusement"] * 3 + ["awe"] + ["amusement"] * 2 + ["awe"] * 4
    rows = [{"prompt": "p", "emotion": a, "judges": {"j": {"read": r, "EA-8": a == r, "EA-2": True, "valence": 0.0,
             "arousal": 0.0}}} for a, r in zip(asked, read, strict=True)]  # fmt: skip
    figures = EmotionAgreement().figures(rows, ["j"], ["amusement", "awe"])
    assert figures["kappa"] == pytest.approx((0.7 - 0.5) / 0.5)
    assert figures["macro_F1"] == pytest.approx((2 * 3 / 9 + 2 * 4 / 11) / 2)
    # of a launch of several processes the main one alone measures: nothing may wait for the others
    monkeypatch.setattr("torchmetrics.metric.jit_distributed_available", lambda: True)
    assert EmotionAgreement().figures(rows, ["j"], ["amusement", "awe"]) == figures
    assert figures["valence"]["r"] is None and figures["recall"]["amusement"]["value"] == 0.75
    assert detectable(240) == pytest.approx(0.0904, abs=1e-3)


def test_image_to_video_systems_begin_with_the_prompts_pictures(tmp_path, monkeypatch):
    from PIL import Image

    from emogen.eval.benchmark import systems
    from emogen.eval.benchmark.heldout import first_frame
    from emogen.eval.clips import read_clip

    asked = []

    class Still:
        fps = 12

        def __call__(self, prompt, image, **call):
            asked.append((prompt[0], image))
            return type("Output", (), {"frames": np.stack([np.asarray(image)[None] / 255] * len(prompt))})

    monkeypatch.setattr(systems, "load_system", lambda system: Still())
    system = {"model": "x", "image": True, "emotion": "none"}
    made = config({"still": system}, metrics=["agreement", "first_frame_psnr"])
    prompts = [item.prompt for item in make_items(made)]
    with pytest.raises(EvalConfigError, match=r"systems\.still: prompt .* has no picture"):
        make_items(config({"still": system}, num_prompts={"real": 1}))
    monkeypatch.setattr("emogen.eval.benchmark.measure.read_clip", lambda path: np.repeat(read_clip(path, 1)[:1], 4, 0))
    results = run_benchmark(made, tmp_path, quiet=True)
    assert {text for text, _ in asked} == {prompt.text for prompt in prompts}
    figure = results["summary"]["systems"]["still"]["first_frame_psnr"]
    assert figure["n"] == 4 and figure["value"] > 60
    other = Image.new("RGB", (96, 96), "white")
    first, other = (torch.tensor(np.asarray(x)).permute(2, 0, 1)[None] for x in (first_frame(prompts[0], 0), other))
    assert REGISTRY["first_frame_psnr"]().score(first[:, None], other)[0] < 15


def test_pictures_of_a_prompt_file_are_looked_up(tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "red", "image": "red.png"}\n')
    asked = {"prompts": str(tmp_path / "prompts.jsonl"), "num_prompts": {}}
    items = make_items(config({"x": {"model": "m", "image": True, "emotion": "none"}}, **asked))
    assert items[0].prompt.image == str(tmp_path / "red.png")
    (tmp_path / "prompts.jsonl").write_text('\n{"prompt": "blue", "image": "blue.png"}\n')
    with pytest.raises(EvalConfigError, match=r"prompts\.jsonl:2: image: no file .*blue\.png"):
        make_items(config({"x": {"model": "m", "emotion": "none"}}, **asked))
