"""The measurement of the controls, on a model that draws what it is asked as numbers and on judges that read these."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emogen.emotion import MIKELS, EmotionArc, parse_emotion
from emogen.eval.benchmark.config import EvalConfigError
from emogen.eval.benchmark.heldout import rendered_prompts
from emogen.eval.controls import arcs, estimates, intensity, mixtures, plane
from emogen.eval.controls import run as run_module
from emogen.eval.controls.__main__ import main
from emogen.eval.controls.asks import Ask, held_out_prompts, make_asks, pairs_of
from emogen.eval.controls.config import controls_config, load_controls_config
from emogen.eval.controls.run import run_controls
from emogen.eval.judges.embedded import Verdict

RAW = {
    "name": "test", "system": {"model": "embedded", "adapter": "embedded"}, "num_prompts": 2, "batch_size": 3,
    "intensity": {"emotions": ["fear", "awe"], "levels": 7, "scales": [-1, 2]}, "plane": {"grid": 3},
    "mixtures": {"pairs": [["fear", "awe"], ["anger", "sadness"], ["amusement", "disgust"]]},
    "arcs": {"pairs": [["fear", "amusement"], ["awe", "sadness"]]},
}  # fmt: skip
SIZE = 12  # pixels a side: the first eleven of a row hold shares, valence and arousal, and the confidence


class Numbers:
    """A pipeline that paints what is asked: shares times intensity (the rest is spread evenly), and the point."""

    fps, vae_scale_factor_temporal = 12, 4

    def __init__(self):
        self.calls = []

    def __call__(self, prompt, emotion, emotion_scale, generator, output_type, num_frames=13, **call):
        self.calls.append((prompt, emotion, emotion_scale))
        clips = np.zeros((len(prompt), num_frames, SIZE, SIZE, 3), np.float32)
        for clip, text in zip(clips, emotion, strict=True):
            arc = EmotionArc.parse(text) if EmotionArc.looks_like_arc(text) else EmotionArc.constant(text)
            for frame, state in zip(clip, arc.sampled(num_frames, 1), strict=True):
                strength = float(np.clip(state.intensity * emotion_scale, -1, 1))
                shares = np.array(state.distribution) * max(0, strength) + (1 - max(0, strength)) / 8
                sign = -1 if strength < 0 else 1
                frame[:, :11] = np.array([*shares, (sign * state.valence + 1) / 2, (state.arousal + 1) / 2,
                                          abs(strength)])[None, :, None]  # fmt: skip
        return SimpleNamespace(frames=clips)


class Reader:
    """Reads them; `blind` answers at random instead, and `fixed` always the same."""

    def __init__(self, name="reader", kind="exact"):
        self.name, self.kind, self.random = name, kind, np.random.default_rng(3)

    def __call__(self, clips):
        n = len(clips)
        if self.kind == "blind":
            return Verdict(self.random.dirichlet(np.ones(8), n), self.random.uniform(-1, 1, (n, 2)), np.ones(n))
        if self.kind == "fixed":
            return Verdict(np.tile(np.arange(8) / 28, (n, 1)), np.full((n, 2), 0.3), np.full(n, 0.5))
        values = clips.astype(float).mean((1, 2, 4))[:, :11] / 255
        shares = values[:, :8] / values[:, :8].sum(1, keepdims=True)
        return Verdict(shares, values[:, 8:10] * 2 - 1, values[:, 10])


@pytest.fixture
def measured(monkeypatch):
    """Run with the painted model; returns the results and the pipeline."""

    def run(out, kind="exact", only=("intensity", "plane", "mixtures", "arcs"), **changes):
        pipe = Numbers()
        monkeypatch.setattr(run_module, "load_system", lambda system: pipe)
        monkeypatch.setattr(run_module, "load_judges", lambda specs: {"reader": Reader(kind=kind)})
        return run_controls(controls_config({**RAW, **changes}), out, only, quiet=True), pipe

    return run


def test_a_model_that_does_what_it_is_asked_gets_full_marks(tmp_path, measured):
    results, _ = measured(tmp_path)
    found = results["studies"]["reader"]
    for emotion in ("fear", "awe"):
        one = found["intensity"]["emotions"][emotion]
        assert one["rho"] == {"value": 1.0, "low": None, "high": None, "n": 2}  # two prompts
        assert one["rho_probability"]["value"] == 1.0 and one["rho_clips"]["value"] == 1.0
        assert one["gain"]["value"] == pytest.approx(7 / 8, abs=0.01)
        assert [f["value"] for f in one["share"]] == pytest.approx(np.linspace(1 / 8, 1, 7), abs=0.01)
        middle = one["share"][3]["value"] * 0.5  # of the share, what the judge is sure of
        assert one["probability"][3]["value"] == pytest.approx(middle, abs=0.01)
        assert [one["scale"] for one in one["scales"]] == [-1, 0, 1, 2]
    at = {one["scale"]: one for one in found["intensity"]["all"]["scales"]}
    assert set(at) == {-1, 0, 1, 2}
    assert at[1]["toward"]["value"] > 0.4 and at[-1]["toward"]["value"] < -0.4
    assert at[1]["share"]["value"] == pytest.approx(1) and at[-1]["share"]["value"] == pytest.approx(1 / 8, abs=0.01)
    assert found["intensity"]["all"]["at_least_0.9"] == 2
    for axis in ("valence", "arousal"):
        assert found["plane"][axis]["r"]["value"] == pytest.approx(1, abs=1e-3)
        assert found["plane"][axis]["r"]["n"] == 2
        assert found["plane"][axis]["slope"]["value"] == pytest.approx(1, abs=0.01)
    assert found["mixtures"]["both"]["value"] == found["mixtures"]["first"]["value"] == 1
    assert found["mixtures"]["shuffled"] == {"both": 0, "first": 0}
    assert found["mixtures"]["pairs"][0]["shares"] == pytest.approx([0.5, 0.5], abs=0.01)
    for shape in ("step", "linear"):
        one = found["arcs"][shape]
        assert one["r"]["value"] == pytest.approx(1, abs=1e-3)
        assert one["within"]["value"] == one["switches"]["value"] == one["within_half"]["value"] == 1
        assert one["median_distance"] == pytest.approx(0, abs=0.02) and one["shuffled"] == 0
        assert [point["judged"]["value"] for point in one["mean_curve"]] == pytest.approx(
            [point["asked"] for point in one["mean_curve"]], abs=0.01)  # fmt: skip


def test_a_judge_that_does_not_look_finds_chance(tmp_path, measured):
    results, _ = measured(tmp_path, "blind", num_prompts=6, mixtures={"pairs": "all"}, plane={"grid": 3})
    found = results["studies"]["reader"]
    assert abs(found["plane"]["valence"]["r"]["value"]) < 0.3
    assert found["plane"]["valence"]["r"]["low"] < 0 < found["plane"]["valence"]["r"]["high"]
    assert found["mixtures"]["both"]["value"] == pytest.approx(1 / 28, abs=0.04)
    assert found["mixtures"]["first"]["value"] == pytest.approx(2 / 8, abs=0.08)
    assert found["mixtures"]["shuffled"]["first"] == pytest.approx(2 / 8, abs=0.03)
    assert abs(found["arcs"]["step"]["r"]["value"]) < 0.3
    for one in found["intensity"]["emotions"].values():
        assert one["rho"]["low"] < 0 < one["rho"]["high"] and abs(one["gain"]["value"]) < 0.2


def test_a_judge_that_always_says_the_same_finds_nothing(tmp_path, measured):
    found = measured(tmp_path, "fixed", mixtures={"pairs": "all"})[0]["studies"]["reader"]
    assert all(one["rho"]["value"] == 0 and one["gain"]["value"] == 0
               for one in found["intensity"]["emotions"].values())  # fmt: skip
    assert found["plane"]["arousal"]["r"]["value"] == found["plane"]["arousal"]["r_of_means"]["value"] == 0
    assert found["mixtures"]["both"]["value"] == pytest.approx(1 / 28)  # its favourites are one pair of the 28
    assert found["mixtures"]["first"]["value"] == pytest.approx(7 / 28)
    assert found["arcs"]["step"]["switches"]["value"] == found["arcs"]["step"]["within"]["value"] == 0
    assert found["arcs"]["step"]["median_distance"] is None


def test_the_clips_are_made_once_and_settings_are_told_apart(tmp_path, measured):
    results, pipe = measured(tmp_path, only=["intensity"])
    # a prompt: one neutral clip for both emotions, six levels and two scales of each
    files = sorted((tmp_path / "clips").glob("*.png"))
    assert len(files) == 2 * (1 + 2 * (6 + 2)) and all(path.suffix == ".png" for path in files)
    assert {scale for *_, scale in pipe.calls} == {-1, 1, 2} and max(len(texts) for texts, *_ in pipe.calls) == 3
    assert len(results["rows"]["intensity"]) == 2 * 2 * 9
    files[0].unlink()
    _, pipe = measured(tmp_path, only=["intensity"])
    assert sum(len(texts) for texts, *_ in pipe.calls) == 1
    _, pipe = measured(tmp_path, only=["intensity"], generation={"num_frames": 9})
    assert sum(len(texts) for texts, *_ in pipe.calls) == len(files)


def test_studies_of_another_run_are_kept_while_the_configuration_is_the_same(tmp_path, measured, capsys):
    measured(tmp_path, only=["mixtures"])
    results, pipe = measured(tmp_path, only=["plane"])
    assert set(results["studies"]["reader"]) == {"plane", "mixtures"} and len(pipe.calls) == 6
    assert json.loads((tmp_path / "results.json").read_text())["studies"] == results["studies"]
    assert not any(":0.5" in text for *_, texts, _ in pipe.calls for text in texts)
    results, _ = measured(tmp_path, only=["plane"], plane={"grid": 2})
    assert set(results["rows"]) == {"plane"} and "mixtures is no longer in it" in capsys.readouterr().err


def test_arcs_are_not_batched_with_constant_emotions(tmp_path, measured):
    _, pipe = measured(tmp_path, batch_size=100)
    kinds = [{EmotionArc.looks_like_arc(text) for text in texts} for _, texts, _ in pipe.calls]
    assert {True} in kinds and {False} in kinds and {True, False} not in kinds


def test_the_page_holds_everything_and_can_be_drawn_anew(tmp_path, measured, capsys):
    measured(tmp_path)
    html = (tmp_path / "report.html").read_text()
    for part in (
        "As judged by reader",
        "emotion_scale: what it does",
        "fear: rho 1.00",
        "Arcs: step",
        "fear + awe",
        "any emotion at all",
    ):
        assert part in html
    assert "http" not in html and "<script" not in html and html.count("data:image/webp") == 2 * 9 + 9 + 3 + 4 * 13
    assert html.count('class="curve"') == 2 + 2 + 2
    (tmp_path / "report.html").unlink()
    assert main(["--report", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").read_text() == html
    table = capsys.readouterr().out
    assert "| intensity: fear | Spearman's rho, level against judged share | 1.00 |" in table
    assert "| mixtures | the two largest are the two asked | 100 %, chance 4 %, held against" in table
    assert "| arcs: step | latent frames from the asked switch, median (signed) | 0.00 (+0.00) |" in table


def test_a_damaged_clip_is_made_again_and_one_that_is_too_short_is_named(tmp_path, measured, capsys):
    results, _ = measured(tmp_path, only=["intensity"])
    row = next(r for r in results["rows"]["intensity"] if r["number"] == 1 and r["asked"] == "fear:0.5")
    (tmp_path / "clips" / row["file"]).write_bytes(b"broken")
    again, pipe = measured(tmp_path, only=["intensity"])
    assert [texts for _, texts, _ in pipe.calls] == [["fear:0.5"]] and again["rows"] == results["rows"]
    assert "1 clips are made again (1: its contents have changed since it was made)" in capsys.readouterr().err
    short, _ = measured(tmp_path / "short", only=["arcs"], generation={"num_frames": 5})
    assert short["excluded"]["arcs"][0]["reason"] == "has 5 frames, 6 are needed"
    assert short["excluded"]["arcs"][0]["clip"] in (tmp_path / "short/report.html").read_text()
    assert short["studies"]["reader"]["arcs"]["step"]["clips"] == 0


def test_correlations_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    x = np.linspace(0, 1, 7)
    y = np.round(random.random((20, 7)), 1)  # with ties
    assert estimates.spearman(x, y) == pytest.approx([stats.spearmanr(x, row).statistic for row in y])
    assert estimates.pearson(x, y) == pytest.approx([stats.pearsonr(x, row).statistic for row in y])
    a, b = random.random(30), random.random(30)
    parts = estimates.moments(a[:11], b[:11]) + estimates.moments(a[11:], b[11:])
    assert estimates.correlation_of(parts) == pytest.approx(stats.pearsonr(a, b).statistic)
    assert estimates.slope_of(parts) == pytest.approx(stats.linregress(a, b).slope)


def test_intervals_draw_whole_prompts():
    # the spread is between prompts: as many values of one prompt as one likes do not narrow the interval
    wide = estimates.mean_of([0, 0, 0, 1, 1, 1] * 10, [0, 1, 2, 3, 4, 5] * 10)
    assert wide["value"] == 0.5 and wide["n"] == 6 and wide["high"] - wide["low"] > 0.6
    few = estimates.mean_of([0, 1] * 10, [0, 1] * 10)
    assert (few["low"], few["value"], few["high"], few["n"]) == (None, 0.5, None, 2)
    found = estimates.of_prompts(np.array([[0.0], [1.0], [0.0], [1.0]] * 25), lambda mean: mean[..., 0])
    assert found["value"] == 0.5 and found["high"] - found["low"] == pytest.approx(0.196, abs=0.02)


def test_a_switch_is_where_the_curve_crosses_upwards():
    assert arcs.switch_of([2, 3, 4], [-1, 1, 1]) == 2.5
    assert arcs.switch_of([2, 4], [-0.2, 0.6]) == pytest.approx(2.5)
    assert arcs.switch_of([0, 1, 2], [1, -1, -1]) is None and arcs.switch_of([0, 1], [0.1, 0.2]) is None
    # of two, the one that parts the curve, not the first
    assert arcs.switch_of(range(8), [-0.1, 0.1, -0.9, -0.9, -0.9, 0.9, 0.9, 0.9]) == 4.5


@pytest.mark.parametrize(("late", "frames"), [(0.2, 13), (-0.25, 13), (0.1, 81)])
def test_a_late_or_early_switch_is_told_in_latent_frames(late, frames):
    config = controls_config({**RAW, "arcs": {"pairs": [["fear", "awe"]], "shapes": ["step"]}})
    starts = arcs.window_starts(frames, 5, 1)
    states = EmotionArc.parse(f"0:fear@hold {0.5 + late}:awe").sampled(frames, 1)
    windows = [np.mean([s.distribution for s in states[i : i + 5]], 0).tolist() for i in starts]
    row = {
        "number": 0,
        "seed": 0,
        "pair": ["fear", "awe"],
        "shape": "step",
        "frames": frames,
        "temporal_factor": 4,
        "judges": {"j": {"windows": windows}},
    }
    found = arcs.summarise(config, [row], "j")["step"]
    moved = sum(s.dominant == "fear" for s in states) - sum(k / (frames - 1) < 0.5 for k in range(frames))
    assert found["median_offset"] == pytest.approx(moved / 4) and np.sign(moved) == np.sign(late)
    assert found["within"]["value"] == (abs(moved) <= 4) and found["median_distance"] == abs(moved) / 4


def test_the_mixture_hit_takes_any_order_and_needs_both():
    shares = dict.fromkeys(MIKELS, 0.0) | {"awe": 0.5, "fear": 0.3, "anger": 0.2}
    values = [shares[name] for name in MIKELS]
    assert mixtures.finds_pair(values, ["fear", "awe"]) == {"both": True, "first": True}
    assert mixtures.finds_pair(values, ["awe", "anger"]) == {"both": False, "first": True}
    assert mixtures.finds_pair(values, ["fear", "anger"]) == {"both": False, "first": False}


def test_what_is_asked():
    config = load_controls_config(Path(__file__).parents[2] / "configs/eval/controls.yaml")
    asked = {
        study: module.asks(config, ["a"])
        for study, module in (("intensity", intensity), ("plane", plane), ("mixtures", mixtures), ("arcs", arcs))
    }
    assert {study: len(part) for study, part in asked.items()} == {
        "intensity": 8 * (7 + 4), "plane": 25, "mixtures": 28, "arcs": 12}  # fmt: skip
    assert len({a.file() for part in asked.values() for a in part}) == 1 + 8 * (6 + 4) + 24 + 28 + 12
    assert {a.emotion for a in asked["intensity"] if a.about["level"] == 0} == {"neutral"}
    fear = [a for a in asked["intensity"] if a.about["emotion"] == "fear" and a.scale == 1]
    assert [parse_emotion(a.emotion).intensity for a in fear] == pytest.approx(np.linspace(0, 1, 7), abs=1e-4)
    assert fear[-1].emotion == "fear"
    assert {(a.about["valence"], a.about["arousal"]) for a in asked["plane"]} == {
        (x / 2, y / 2) for x in range(-2, 3) for y in range(-2, 3)}  # fmt: skip
    step = EmotionArc.parse(asked["arcs"][0].emotion)
    assert step.at(0.49).dominant == "fear" and step.at(0.5).dominant == "amusement"
    assert len(set(pairs_of(5))) == 5 and pairs_of(5) == pairs_of(5) and set(pairs_of(5)) < set(pairs_of("all"))
    made = make_asks(config, ["a", "b"], [("joy:0", 2.0, {}), ("awe", 0, {})])
    assert {(a.emotion, a.scale) for a in made} == {("neutral", 1.0)} and len(made) == 4


def test_a_file_name_tells_asks_apart():
    ask = Ask(0, "a", 0, "0:fear@hold 0.5:awe")
    changes = ({}, {"scale": 2.0}, {"prompt": "b"}, {"seed": 1}, {"emotion": "0:fear@hold 0.5:awe 1:anger"})
    names = {dataclasses.replace(ask, **change).file() for change in changes}
    assert len(names) == 5 and not any(set(name) & set(" :/@") for name in names)


def test_the_prompts_are_not_those_of_the_table(tmp_path):
    config = controls_config({**RAW, "num_prompts": 30})
    prompts, table = held_out_prompts(config), {prompt.text for prompt in rendered_prompts(20)}
    assert len(set(prompts)) == 30 and not set(prompts) & table
    assert table & {prompt.text for prompt in rendered_prompts(30, seed=7)}  # some had to be left out
    assert prompts[:8] == held_out_prompts(controls_config({**RAW, "num_prompts": 8}))
    with pytest.raises(EvalConfigError, match="fewer than 5000"):
        held_out_prompts(controls_config({**RAW, "num_prompts": 5000}))
    (tmp_path / "p.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    mine = controls_config({**RAW, "prompts": str(tmp_path / "p.jsonl")})
    assert held_out_prompts(mine) == ["one", "two"]
    with pytest.raises(EvalConfigError, match="fewer than 3"):
        held_out_prompts(dataclasses.replace(mine, num_prompts=3))


def test_the_command_refuses_what_it_cannot_do(tmp_path, capsys):
    assert main(["--config", str(tmp_path / "no.yaml"), "--output_dir", str(tmp_path)]) == 2
    assert "no such configuration file" in capsys.readouterr().err
    assert main(["--report", str(tmp_path)]) == 2
    with pytest.raises(SystemExit):
        main(["--config", "x", "--output_dir", "y", "--only", "arc"])
    assert "'arc' is no study; they are intensity" in capsys.readouterr().err
