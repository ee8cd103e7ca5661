"""The best of several clips by a judge, and that it may not measure what it chose."""

import json
import shutil

import numpy as np
import pytest

from emogen.embedded import embedded_judge
from emogen.emotion import EmotionArc, EmotionState, parse_emotion
from emogen.eval.benchmark.config import EvalConfigError, eval_config
from emogen.eval.benchmark.items import make_items
from emogen.eval.benchmark.run import run_benchmark
from emogen.eval.judges.choose import Choice, fit, judge_prints
from emogen.eval.judges.embedded import Verdict
from emogen.eval.judges.registry import load_judge
from emogen.media.writer import write_video
from emogen.stickers.render import StickerSpec, render


def face(emotion, seed=3):
    return render(StickerSpec(emotion=emotion, seed=seed), size=96)


def test_a_clip_of_what_was_asked_fits_best():
    judge = load_judge("embedded")
    asked = ["fear", "contentment", "sadness"]
    found = np.array([[fit(judge, face(shown), EmotionState.of(name)) for shown in asked] for name in asked])
    assert (found.argmax(1) == [0, 1, 2]).all() and found.min() >= 0 and found.max() <= 1
    assert fit(judge, face("neutral"), EmotionState.neutral()) > fit(judge, face("fear"), EmotionState.neutral())
    away = parse_emotion("fear:-1")
    assert fit(judge, face("contentment"), away) > fit(judge, face("fear"), away)


def test_overlap_and_arcs_by_hand():
    class Halves:
        """Reads awe where a clip is dark and fear where it is bright."""

        def __call__(self, clips):
            bright = clips.mean((1, 2, 3, 4)) / 255
            shares = np.zeros((len(clips), 8))
            shares[:, 1], shares[:, 6] = 1 - bright, bright
            return Verdict(shares, np.zeros((len(clips), 2)), np.full(len(clips), 0.75))

    clip = np.zeros((20, 8, 8, 3), np.uint8)
    clip[10:] = 255
    judge = Halves()
    assert fit(judge, clip, EmotionState.of("awe")) == pytest.approx(0.5)
    assert fit(judge, clip, parse_emotion("awe:0.75+fear:0.25")) == pytest.approx(0.75)
    assert fit(judge, clip, EmotionState.neutral()) == pytest.approx(0.25)
    right, wrong = (EmotionArc.parse(f"0:{a}@hold 0.5:{b}") for a, b in (("awe", "fear"), ("fear", "awe")))
    assert fit(judge, clip, right) > 0.85 and fit(judge, clip, wrong) < 0.15
    assert fit(judge, clip[:3], right) == pytest.approx(1 / 3)  # shorter than a window: awe, fear, fear


def test_the_seed_with_the_best_mean_is_kept():
    choice = Choice("x", ("1",), {5: [0.9, 0.1], 6: [0.6, 0.6], 7: [0.6, 0.6]})
    assert choice.seed == 6
    assert choice.described(1) == {"judge": "x", "weights": ["1"], "scores": {"5": 0.1, "6": 0.6, "7": 0.6},
                                   "mean_scores": {"5": 0.5, "6": 0.6, "7": 0.6}}  # fmt: skip
    assert "mean_scores" not in Choice("x", (), {5: [0.9]}).described()


def test_a_judge_is_known_by_its_weights(tmp_path):
    copy = tmp_path / "renamed"
    shutil.copytree(embedded_judge(), copy)
    (copy / "card.json").write_text("{}")
    assert judge_prints("embedded") == judge_prints(str(copy)) == judge_prints({"kind": "embedded", "name": "other"})
    assert judge_prints("embedded") != judge_prints("embedded_blends")
    both = {"kind": "ensemble", "members": ["embedded", "embedded_blends"]}
    assert set(judge_prints(both)) == {*judge_prints("embedded"), *judge_prints("embedded_blends")}
    assert judge_prints({"kind": "clip", "model": "a/b"}) == ("clip:a/b",)


def test_the_evaluation_refuses_the_judge_that_chose(tmp_path):
    folder, lines = tmp_path / "mine", []

    def config(*judges):
        systems = {"mine": {"clips": str(folder)}}
        return eval_config({"name": "t", "num_prompts": {"rendered": 1}, "emotions": ["fear", "awe"],
                            "systems": systems, "judges": list(judges), "metrics": ["agreement"]})  # fmt: skip

    for item in make_items(config("embedded")):
        choice = Choice("embedded", judge_prints("embedded"), {0: [0.9], 1: [0.2]})
        made = {"chosen": choice.described()} if item.emotion == "fear" else None
        write_video(folder / f"{item.key}.webp", face(item.emotion), 12, made)
        lines.append({"file_name": f"{item.key}.webp", "prompt": item.prompt.text, "emotion": item.emotion, "seed": 0})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    both = {"kind": "ensemble", "name": "both", "members": ["embedded", "embedded_blends"]}
    for judges in (["embedded"], ["embedded_blends", {"kind": "embedded", "name": "fresh"}], [both]):
        with pytest.raises(
            EvalConfigError, match=r"systems\.mine: a clip was chosen by the judge .*Name another judge"
        ):
            run_benchmark(config(*judges), tmp_path / "out", quiet=True)
        assert not (tmp_path / "out").exists()
    results = run_benchmark(config("embedded_blends"), tmp_path / "out", quiet=True)
    assert results["summary"]["systems"]["mine"]["n"] == 2
