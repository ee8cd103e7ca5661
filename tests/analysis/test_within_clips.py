"""Curves within a clip: windows, arcs, people's annotations and their agreement, the page of one film."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from analysis_parts import look_rows

from emogen.analysis import REGISTRY, Settings
from emogen.analysis.annotations import Annotated, concordance, read_annotations, root_mean_square, sums_of
from emogen.analysis.arc_of import arc_of, strengths_at
from emogen.analysis.curve_store import FILE, CurveSet, read_curves
from emogen.analysis.film import analyze_film
from emogen.analysis.sliding import Curve, Windows, curve_of
from emogen.analysis.sources import clips_of
from emogen.commands.analyze import main
from emogen.commands.sample_request import read_emotion
from emogen.emotion import MIKELS, EmotionArc
from emogen.media.writer import write_video

QUICK = Settings(resamples=300)


class Brightness:
    """A judge: the brighter a window, the more amusement in place of fear, and the more valence."""

    name = "brightness"

    def __init__(self):
        self.seen = 0

    def __call__(self, clips):
        self.seen += len(clips)
        assert clips.dtype == np.uint8 and clips.ndim == 5 and clips.shape[1] >= 2
        light = clips.mean((1, 2, 3, 4)) / 255
        shares = np.zeros((len(clips), 8))
        shares[:, 0], shares[:, 6] = light, 1 - light
        plane = np.stack([2 * light - 1, 1 - light], 1)
        return SimpleNamespace(distribution=shares, valence_arousal=plane, confidence=np.full(len(clips), 0.8))


def grey(levels, size=16):
    return np.repeat(np.asarray(levels, np.uint8), size * size * 3).reshape(len(levels), size, size, 3)


def random_curve(windows, rng):
    shares = np.abs(np.cumsum(rng.normal(size=(windows, 8)), 0)) + 1e-3
    shares /= shares.sum(1, keepdims=True)
    time = 0.75 + 0.5 * np.arange(windows)
    return Curve(time, rng.uniform(-1, 1, windows), rng.uniform(-1, 1, windows), shares,
                 rng.uniform(0, 1, windows), float(time[-1] + 0.75))  # fmt: skip


def test_windows_by_hand():
    light = np.arange(40) * 5
    frames = ((frame, k / 8) for k, frame in enumerate(grey(light)))
    curve = curve_of(frames, Brightness(), Windows(fps=8, frames=12, step=4))
    np.testing.assert_allclose(curve.time, 0.75 + 0.5 * np.arange(8))
    np.testing.assert_allclose(curve.valence, [2 * light[k : k + 12].mean() / 255 - 1 for k in range(0, 32, 4)])
    assert curve.seconds == 5 and len(curve.rows()) == 8 and set(MIKELS) < set(curve.rows()[0])
    assert len(curve_of([], Brightness(), Windows()) or ()) == 0


@pytest.mark.parametrize(
    ("frames", "windows", "middle"), [(1, 1, 0.0625), (7, 1, 0.4375), (12, 1, 0.75), (15, 1, 0.75)]
)
def test_short_clips_are_one_window(frames, windows, middle):
    curve = curve_of(((frame, k / 8) for k, frame in enumerate(grey([9] * frames))), Brightness(), Windows())
    assert len(curve) == windows and curve.time[0] == middle


def test_a_large_frame_is_brought_down():
    sizes = []

    def judge(clips):
        sizes.append(clips.shape[2:4])
        return Brightness()(clips)

    curve_of([(np.zeros((480, 720, 3), np.uint8), 0.0)], judge, Windows(side=64))
    assert sizes == [(64, 96)]


def test_an_arc_says_what_the_curve_says():
    """Round trip: the text, read as `--emotion` reads it, gives the curve's strengths back as near as it says."""
    rng = np.random.default_rng(0)
    for windows in (1, 2, 5, 40):
        for _ in range(6):
            curve = random_curve(windows, rng)
            before = 2.0
            for most in (1, 2, 5, 12, 60):
                made = arc_of(curve, most)
                read = read_emotion(made.text)
                assert isinstance(read, EmotionArc) and len(read.keyframes) == made.keyframes <= most
                time = curve.time / curve.seconds
                off = np.abs(strengths_at(read, time) - curve.strengths).max()
                assert off == pytest.approx(made.off, abs=1e-12)
            assert made.off <= 0.07 < before, "with enough keyframes it is as near as was asked, and rounding"
    still = Curve(curve.time, curve.valence, curve.arousal, np.eye(8)[[6] * windows], np.ones(windows), curve.seconds)
    assert arc_of(still).text == "0:fear"
    assert (
        arc_of(Curve(still.time, still.valence, still.arousal, still.shares, 0 * still.time, 21.0)).text == "0:neutral"
    )


def test_concordance_is_torchmetrics_and_a_hand_formula():
    import torch
    from torchmetrics.regression import ConcordanceCorrCoef

    rng = np.random.default_rng(0)
    for scale, shift in ((1, 0), (0.3, 0.2), (-0.5, 0.1)):
        x = rng.uniform(-1, 1, 200)
        y = np.clip(scale * x + shift + rng.normal(0, 0.2, 200), -1, 1)
        mine = concordance(sums_of(x, y).sum(0))
        hand = 2 * np.cov(x, y)[0, 1] / (x.var(ddof=1) + y.var(ddof=1) + (x.mean() - y.mean()) ** 2)
        metric = ConcordanceCorrCoef().set_dtype(torch.float64)
        metric.update(torch.from_numpy(x), torch.from_numpy(y))
        assert mine == pytest.approx(hand, abs=1e-9) and mine == pytest.approx(float(metric.compute()), abs=1e-9)
        assert root_mean_square(sums_of(x, y).sum(0)) == pytest.approx(np.sqrt(np.mean((x - y) ** 2)), abs=1e-9)


def annotate(folder, name, valence, arousal):
    folder.mkdir(parents=True, exist_ok=True)
    for end, values in (("valence", valence), ("arousal", arousal)):
        (folder / f"{name}_{end}.csv").write_text("".join(f"{value}\n" for value in values))


def test_annotations_over_windows():
    said = Annotated(np.arange(100) / 100, -np.arange(100) / 100)
    curve = curve_of(((f, k / 8) for k, f in enumerate(grey([0] * 32))), Brightness(), Windows(8, 8, 8))
    valence, arousal = said.over(curve, fps=25)
    for k, value in enumerate(valence):  # windows of one second are 25 annotated frames
        assert value == pytest.approx(np.arange(25 * k, 25 * k + 25).mean() / 100)
    np.testing.assert_allclose(arousal, -valence)
    later, _ = said.over(curve, fps=25, start=2.0)
    assert later[0] == pytest.approx(valence[2]) and np.isnan(later[2:]).all(), "no annotation, no value"


@pytest.mark.parametrize(("files", "said"), [
    ({}, "holds no ID_valence.csv"),
    ({"a_valence.csv": "0\n"}, r"a_arousal\.csv: is missing"),
    ({"a_valence.csv": "0\n1.5\n", "a_arousal.csv": "0\n"}, r"a_valence\.csv: line 2 is '1\.5'"),
    ({"a_valence.csv": "0,1\n", "a_arousal.csv": "0\n"}, "one number between -1 and 1"),
    ({"a_valence.csv": "nan\n", "a_arousal.csv": "0\n"}, "line 1"),
    ({"a_valence.csv": "", "a_arousal.csv": "0\n"}, "holds no numbers"),
    ({"a_valence.csv": "0\n" * 9, "a_arousal.csv": "0\n"}, "has 9 frames"),
    ({"a_valence.csv": b"\xff\xfe\n", "a_arousal.csv": "0\n"}, "not text in UTF-8"),
])  # fmt: skip
def test_wrong_annotations(files, said, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=said):
        read_annotations(tmp_path)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Twelve films of four seconds in a table: those labelled amusement grow brighter, those labelled fear darker."""
    folder = tmp_path_factory.mktemp("films")
    rows, rng = [], np.random.default_rng(0)
    for k in range(12):
        rises = k % 2 == 0
        light = np.linspace(60, 180, 32)[:: 1 if rises else -1] + rng.normal(0, 8)
        write_video(folder / f"{k}.mp4", grey(np.clip(light, 0, 255), 32), 8.0)
        annotate(folder / "rating_averaged", str(k), light / 127.5 - 1, 1 - light / 255)
        rows.append({"clip_id": f"film{k}", "source_folder": str(folder), "source_path": f"{k}.mp4", "group": f"g{k}",
                     "emotion": "amusement" if rises else "fear", "start": 0.0, "end": 4.0, "kind": "video",
                     "fps": 8.0})  # fmt: skip
    return folder, rows


def test_shapes_and_agreement(films, tmp_path):
    folder, rows = films
    clips, judge = clips_of(rows), Brightness()
    read = read_curves(clips, judge, {"name": "b"}, tmp_path / FILE)
    settings = Settings(resamples=300, curves=read, annotations=folder)
    found = REGISTRY["curves"].run(clips, settings)
    named = {result.name: result for result in found.results}
    up = named["amusement: valence, last third minus first"]
    down = named["fear: valence, last third minus first"]
    assert up.low > 0.2 and down.high < -0.2 and up.n == down.n == 6
    assert named["fear: arousal, last third minus first"].low > 0.1
    assert named["amusement: own share, last third minus first"].low > 0.1, "the share of amusement rises"
    assert named["valence: share of variance within clips"].value > 0.9, "all clips move alike"
    assert len(found.tables["curve_shapes"]) == 22 and len(found.tables["curves"]) == judge.seen
    agree = {result.name: result for result in REGISTRY["annotated"].run(clips, settings).results}
    for name in ("valence", "arousal"):
        assert agree[f"{name}: concordance"].low > 0.97, "what people said is what the judge measures"
        assert agree[f"{name}: root mean square difference"].value < 0.05
    assert len(REGISTRY["annotated"].run(clips, settings).tables["annotated"]) == 12


def test_a_judge_reads_a_clip_once(films, tmp_path):
    folder, rows = films
    rows = [{**row} for row in rows[:4]]
    copy = tmp_path / "art"
    copy.mkdir()
    for row in rows:
        shutil.copy(folder / row["source_path"], copy)
        row["source_folder"] = str(copy)
    store, clips = tmp_path / FILE, clips_of(rows)

    def seen(about=None, clips=clips, **options):
        judge = Brightness()
        return read_curves(clips, judge, about or {"name": "b"}, store, **options), judge.seen

    first, many = seen(only=["film1", "film2"])
    assert many and first.chosen == ("film1", "film2") and set(first.curves) == {"film1", "film2"}
    again, none = seen(only=["film1"])
    np.testing.assert_array_equal(again.curves["film1"].shares, first.curves["film1"].shares)
    assert none == 0 and seen()[1] == many, "the other two alone"
    write_video(copy / "1.mp4", grey([200] * 40, 32), 8.0)
    assert 0 < seen()[1] < many and seen()[1] == 0, "a clip that has changed is read again"
    (copy / "2.mp4").write_bytes(b"torn")
    torn, _ = seen()
    assert list(torn.failed) == ["film2"] and "film2" not in torn.curves
    found = REGISTRY["curves"].run(clips, Settings(resamples=300, curves=torn))
    assert any("1 clips could not be read over time, such as film2" in text for text in found.warnings)
    assert seen(about={"name": "other"})[1] > many, "another judge reads for itself"
    store.write_bytes(b"damaged")
    assert seen()[1] > many
    with pytest.raises(ValueError, match="--curves film9: no clip"):
        seen(only=["film9"])


def test_what_cannot_be_said():
    clips = clips_of(look_rows(20))
    for name, settings, why in (
        ("curves", QUICK, "--curves all"),
        ("curves", Settings(curves=CurveSet({}, failed={"c0": "c0.mp4: no such file"})), "no such file"),
        ("annotated", QUICK, "--annotations FOLDER"),
    ):
        with pytest.raises(ValueError, match=why):
            REGISTRY[name].run(clips, settings)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    folder = tmp_path_factory.mktemp("film")
    light = np.r_[np.linspace(40, 200, 48), np.linspace(200, 60, 48)]
    path = folder / "my <film> & 1.mp4"
    write_video(path, grey(light, 32), 8.0)
    annotate(folder / "said", path.stem, light / 127.5 - 1, 1 - light / 255)
    read = analyze_film(path, folder / "out", Brightness(), "brightness", annotations=folder / "said")
    return folder, path, read


def test_the_page_of_a_film(film):
    folder, _, read = film
    assert min(read.agreement.values()) > 0.97
    page = (folder / "out" / "film.html").read_text()
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:)", page), "the page needs no other file"
    assert 'src="data:video/mp4;base64,' in page and "<film>" not in page
    data = json.loads(re.search(r"const D = (\{.*?\});\n", page)[1])
    assert data["csv"] == (folder / "out" / "curves.csv").read_text()
    rows = list(csv.DictReader((folder / "out" / "curves.csv").open()))
    np.testing.assert_allclose([float(row["valence"]) for row in rows], read.curve.valence, atol=1e-5)
    assert (folder / "out" / "arc.txt").read_text().strip() in [arc["text"] for arc in data["arcs"]]
    for arc in data["arcs"]:
        found = strengths_at(EmotionArc.parse(arc["text"]), read.curve.time / read.curve.seconds)
        assert np.abs(found - np.array(data["strengths"])).max() <= arc["off"] + 1e-4
    assert [arc["keyframes"] for arc in data["arcs"]] == sorted({arc["keyframes"] for arc in data["arcs"]})


def test_the_page_in_a_browser(film, tmp_path):
    """The script runs: the reading at the start, curves and arcs are there."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("needs chromium")
    folder, _, read = film
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--no-first-run", f"--user-data-dir={tmp_path}",
             "--virtual-time-budget=2000", "--dump-dom"]  # fmt: skip
    done = subprocess.run([browser, *flags, (folder / "out" / "film.html").as_uri()], capture_output=True, text=True,
                          timeout=120)  # fmt: skip
    assert done.stdout.count("<option") == len(read.arcs)
    assert re.search(r'<p id="now"[^>]*><b>0:00\.0  fear', done.stdout)
    assert len(re.findall("<polyline", done.stdout)) == 4 and len(re.findall("<polygon", done.stdout)) == 8


def test_a_part_of_a_film(film, tmp_path):
    _, path, whole = film
    read = analyze_film(path, tmp_path, Brightness(), "b", start=4.0, end=8.0)
    assert read.curve.seconds == pytest.approx(4.0)
    times = [float(row["time"]) for row in csv.DictReader((tmp_path / "curves.csv").open())]
    there = np.isin(np.round(whole.curve.time, 4), times)
    assert there.sum() == len(times) and times[0] == 4.75
    np.testing.assert_allclose(read.curve.valence, whole.curve.valence[there], atol=1e-9)


def test_the_command(film, tmp_path, capsys):
    _, path, _ = film
    moving = tmp_path / "art.gif"
    write_video(moving, grey([30, 200, 90, 60], 32), 8.0)
    for data in (path, moving):
        out = tmp_path / data.stem
        assert main([str(data), "--curves", "--output_dir", str(out), "--quiet"]) == 0
        assert {"film.html", "curves.csv", "arc.txt"} <= {one.name for one in out.iterdir()}
        assert 'src="data:video/mp4' in (out / "film.html").read_text()
    assert "embedded judge knows drawn faces" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "said"), [
    (["film.mp4", "--only", "look"], "--only goes with a labelled set"),
    (["film.mp4", "--window", "0"], "--window is 0"),
    (["film.mp4", "--start", "5", "--end", "2"], "--end is 2; it must be later"),
    (["film.mp4", "--start", "99"], "has no frame at 99 s"),
    (["film.mp4", "--annotations", "nowhere"], "--annotations nowhere: no such folder"),
    (["film.mp4", "--annotations", "."], "holds no ID_valence.csv"),
    (["film.mp4", "--judge", "nobody"], "'nobody' is no judge"),
    (["torn.mp4"], "torn.mp4"),
    (["set.jsonl", "--start", "1"], "--start and --end are of one film"),
    (["set.jsonl", "--curves", ","], "--curves names no clip"),
])  # fmt: skip
def test_refusals(arguments, said, film, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(film[1], tmp_path / "film.mp4")
    (tmp_path / "torn.mp4").write_bytes(b"nothing of a film")
    (tmp_path / "set.jsonl").write_text('{"file_name": "film.mp4", "caption": "", "emotion": "fear"}\n')
    assert main([*arguments, "--output_dir", "out", "--quiet"]) == 2
    assert said in capsys.readouterr().err and not Path("out/film.html").exists()
