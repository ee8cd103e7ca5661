"""Loudness, tempo and centroid of clips, by signals of which they are known."""

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from emogen.analysis import REGISTRY, Settings
from emogen.analysis.sources import clips_of, read_clips
from emogen.commands.data import main

RATE = 48_000
TIME = np.arange(10 * RATE) / RATE
QUICK = Settings(resamples=300)


def tone(frequency, level):
    """A sine whose peak is `level` dB below full scale."""
    return 10 ** (level / 20) * np.sin(2 * np.pi * frequency * TIME)


def clicks(every):
    out = np.zeros_like(TIME)
    for moment in np.arange(0, 10 - every / 2, every):
        at = int(moment * RATE)
        out[at : at + 2400] += (np.sin(2 * np.pi * 3000 * TIME[:2400]) * np.exp(-80 * TIME[:2400]))[: len(out) - at]
    return 0.5 * out


def write_sound(path, *channels, picture=False):
    """A file with this sound, and with a moving picture if asked."""
    layout = "mono" if len(channels) == 1 else "stereo"
    values = (np.clip(np.stack(channels, 1), -1, 1) * 32767).astype(np.int16).reshape(1, -1)
    with av.open(str(path), "w") as file:
        if picture:
            seen = file.add_stream("libx264", rate=4)
            seen.width = seen.height = 32
            seen.pix_fmt = "yuv420p"
        heard = file.add_stream("aac" if picture else "pcm_s16le", rate=RATE, layout=layout)
        if picture:
            for number in range(int(4 * values.shape[1] / len(channels) / RATE)):
                grey = np.full((32, 32, 3), 10 * number % 255, np.uint8)
                file.mux(seen.encode(av.VideoFrame.from_ndarray(grey)))
            file.mux(seen.encode(None))
        frame = av.AudioFrame.from_ndarray(values, "s16", layout)
        frame.sample_rate = RATE
        file.mux(heard.encode(frame))
        file.mux(heard.encode(None))


def test_known_sounds(tmp_path):
    pytest.importorskip("librosa")
    from emogen.curation.sound import measure

    both = tone(1000, -23)
    write_sound(tmp_path / "ebu.wav", both, both)
    found = measure(tmp_path / "ebu.wav")
    assert found["loudness"] == pytest.approx(-23, abs=0.1), "the first test signal of EBU Tech 3341"
    assert found["spectral_centroid"] == pytest.approx(1000, abs=5) and found["tempo"] is None
    write_sound(tmp_path / "one.wav", both)
    assert measure(tmp_path / "one.wav")["loudness"] == pytest.approx(-26, abs=0.1), "one channel has half the power"
    for every in (0.5, 0.8):
        write_sound(tmp_path / "clicks.wav", clicks(every))
        assert measure(tmp_path / "clicks.wav")["tempo"] == pytest.approx(60 / every, rel=0.05)
    write_sound(tmp_path / "silent.wav", 0 * TIME)
    assert set(measure(tmp_path / "silent.wav").values()) == {None}
    halves = np.where(TIME < 5, tone(500, -30), tone(4000, -10))
    write_sound(tmp_path / "halves.wav", halves)
    for start, end, frequency, loud in ((0, 5, 500, -33), (5, 10, 4000, -11.5), (6, None, 4000, -11.5)):
        found = measure(tmp_path / "halves.wav", start, end)
        assert found["spectral_centroid"] == pytest.approx(frequency, rel=0.02), "of the span alone"
        assert found["loudness"] == pytest.approx(loud, abs=2.5)


def test_the_stage(tmp_path, capsys):
    """From films with sound, through ingest and the stage, to the analysis' column; a film without sound has none."""
    pytest.importorskip("librosa")
    films = tmp_path / "films"
    films.mkdir()
    write_sound(films / "loud.mp4", tone(800, -12), picture=True)
    write_sound(films / "quiet.mp4", tone(800, -40), picture=True)
    with av.open(str(films / "mute.mp4"), "w") as file:
        seen = file.add_stream("libx264", rate=4)
        seen.width = seen.height = 32
        for _ in range(20):
            file.mux(seen.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        file.mux(seen.encode(None))
    out = str(tmp_path / "set")
    assert main(["ingest", str(films), "--output_dir", out, "--quiet", "--workers", "0"]) == 0
    assert main(["scenes", out, "--detector", "none", "--quiet", "--workers", "0"]) == 0
    assert main(["sound", out, "--quiet", "--workers", "0"]) == 0
    rows = {row["source_path"]: row for row in pq.read_table(tmp_path / "set" / "clips.parquet").to_pylist()}
    assert rows["loud.mp4"]["loudness"] - rows["quiet.mp4"]["loudness"] == pytest.approx(28, abs=0.5)
    assert rows["quiet.mp4"]["spectral_centroid"] == pytest.approx(800, rel=0.05)
    assert rows["mute.mp4"]["loudness"] is None and rows["mute.mp4"]["error"] is None
    assert np.isfinite(read_clips(out).numbers("loudness")).sum() == 2
    capsys.readouterr()


def test_without_librosa(tmp_path, monkeypatch, capsys):
    from emogen.curation.sound import sound_stage

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"sound needs librosa.*\[sound\]"):
        sound_stage()


def sounding(loud, clips=240):
    """Clips whose loudness goes with anger by `loud` LUFS."""
    rng = np.random.default_rng(0)
    rows = []
    for k in range(clips):
        emotion = ("anger", "contentment")[k % 2]
        heard = k % 6 > 1
        rows.append({"clip_id": f"c{k}", "group": f"g{k % 30}", "emotion": emotion,
                     "loudness": -24 + loud * (emotion == "anger") + rng.normal(0, 3) if heard else None,
                     "tempo": rng.normal(120, 20) if heard and k % 4 else None,
                     "spectral_centroid": rng.normal(2000, 300) if heard else None})  # fmt: skip
    return clips_of(rows)


def test_the_analysis_finds_the_sign():
    for loud in (6, -6):
        found = REGISTRY["sound"].run(sounding(loud), QUICK)
        row = next(row for row in found.tables["sound_pairs"] if row["measure"] == "loudness, LUFS")
        assert (row["low"] if (row["one"] == "anger") == (loud > 0) else -row["high"]) > 0 and row["p_holm"] < 0.01
        assert found.sentence.startswith("Of these measures loudness tells the emotions apart best")
        assert any("80 of 240 labelled clips have no sound" in text for text in found.warnings)
        assert next(r for r in found.results if r.name == "loudness, LUFS: omega squared").n == 160
    with pytest.raises(ValueError, match="`emogen data sound` measures it"):
        REGISTRY["sound"].run(clips_of([{"clip_id": "a", "emotion": "fear"}] * 30), QUICK)
