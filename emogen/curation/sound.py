"""How a clip sounds: loudness, tempo, spectral centroid.

Loudness is that of ITU-R BS.1770 (EBU R 128), gated and over all channels, as FFmpeg measures it. Tempo and centroid
are librosa's, of the channels' mean at 22,050 samples a second.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np

from emogen.curation.stage import Row, Stage, StageError
from emogen.extras import how_to_install

RATE = 22_050
"""Samples a second of tempo and centroid."""
_LONGEST = 600.0  # seconds of a clip whose tempo and centroid are measured; loudness is of all of it
_LOUD = 48_000
_SILENT = -69.0  # LUFS; below the absolute gate nothing is measured
_LEAST_TEMPO = 3.0  # seconds that have a tempo
_CLEAR = 0.1  # correlation of the onsets with themselves a beat later, from which there is a beat
_LEAST_LOUD = 0.4  # seconds, one block of BS.1770


def sound_stage() -> Stage:
    """The stage; its rows are clips.

    Raises:
        ValueError: librosa is not installed.
    """
    if importlib.util.find_spec("librosa") is None:
        raise ValueError(f"sound needs librosa, which is not installed: {how_to_install('sound')}")
    return Stage("sound", 1, sound)


def sound(row: Row, settings: Mapping[str, Any], output: Path) -> list[Row]:
    """Loudness, tempo and centroid of a clip's span; of a clip without sound nothing.

    Raises:
        StageError: its sound cannot be read.
    """
    found: dict[str, float | None] = {"loudness": None, "tempo": None, "spectral_centroid": None}
    if not row.get("has_audio"):
        return [{"clip_id": row["clip_id"], **found}]
    kept = output / row["audio_file"] if row.get("audio_file") else None
    path = kept if kept is not None and kept.is_file() else Path(row["source_folder"]) / row["source_path"]
    start, end = float(row.get("start") or 0.0), row.get("end")
    try:
        found |= measure(path, start, None if end is None else float(end))
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        raise StageError(f"its sound cannot be read ({error})") from error
    return [{"clip_id": row["clip_id"], **found}]


def measure(path: str | Path, start: float = 0.0, end: float | None = None) -> dict[str, float | None]:
    """`loudness` in LUFS, `tempo` in beats a minute, `spectral_centroid` in Hz of a file's sound; None where there is
    too little of it, or silence.

    Raises:
        av.FFmpegError, OSError, IndexError: the file has no sound that can be decoded.
    """
    loud, mono, seconds = None, [], 0.0
    meter, squeeze = None, av.AudioResampler("flt", "mono", RATE)
    for frame in _decoded(path, start, end):
        if meter is None:
            meter = _Meter(frame)
        loud = meter.push(frame)
        seconds += frame.samples / frame.sample_rate
        if seconds <= _LONGEST:
            mono += [part.to_ndarray().reshape(-1) for part in squeeze.resample(frame)]
    if meter is None:
        return {"loudness": None, "tempo": None, "spectral_centroid": None}
    mono += [part.to_ndarray().reshape(-1) for part in squeeze.resample(None)]
    loud = meter.push(None) or loud
    heard = loud is not None and math.isfinite(loud) and loud > _SILENT and seconds >= _LEAST_LOUD
    samples = np.concatenate(mono) if mono else np.zeros(0, np.float32)
    if not heard or not np.abs(samples).max(initial=0) > 0:
        return {"loudness": None, "tempo": None, "spectral_centroid": None}
    return {"loudness": loud, "tempo": tempo(samples), "spectral_centroid": centroid(samples)}


def tempo(samples: np.ndarray) -> float | None:
    """Beats a minute of samples `[N]` at `RATE`; None for less than three seconds, or where nothing comes again."""
    import librosa

    if len(samples) < _LEAST_TEMPO * RATE:
        return None
    onsets = librosa.onset.onset_strength(y=samples, sr=RATE)
    beats = float(librosa.feature.tempo(onset_envelope=onsets, sr=RATE)[0])
    # librosa always names a tempo; there is one if the onsets come again after a beat
    alike = librosa.autocorrelate(onsets - onsets.mean())
    lag = round(60 * RATE / 512 / beats)
    near = alike[max(1, lag - 1) : lag + 2]
    return beats if len(near) and alike[0] > 0 and near.max() >= _CLEAR * alike[0] else None


def centroid(samples: np.ndarray) -> float:
    """Mean of the frames' spectral centroids in Hz, each frame by its energy, so that silence does not count."""
    import librosa

    power = np.abs(librosa.stft(samples, n_fft=2048)) ** 2
    frequency = librosa.fft_frequencies(sr=RATE, n_fft=2048)
    return float((frequency @ power).sum() / power.sum())


class _Meter:
    """FFmpeg's ebur128."""

    def __init__(self, frame: av.AudioFrame):
        self.graph = av.filter.Graph()
        self.convert = av.AudioResampler("flt", frame.layout.name, _LOUD)
        source = self.graph.add_abuffer(sample_rate=_LOUD, format="flt", layout=frame.layout.name)
        meter = self.graph.add("ebur128", "metadata=1")
        sink = self.graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        self.graph.configure()
        self.loud: float | None = None

    def push(self, frame: av.AudioFrame | None) -> float | None:
        """The integrated loudness so far; None ends the sound."""
        for part in self.convert.resample(frame):
            self.graph.push(part)
        if frame is None:
            self.graph.push(None)
        while True:
            try:
                out = self.graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return self.loud
            said = out.metadata.get("lavfi.r128.I")
            self.loud = float(said) if said is not None else self.loud


def _decoded(path: str | Path, start: float, end: float | None) -> Iterator[av.AudioFrame]:
    """The frames of a file's first sound between two seconds, cut to them."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        if start > 0:
            file.seek(max(0, int((start - 1.0) / stream.time_base)), stream=stream, backward=True)
        first = None
        for frame in file.decode(stream):
            if frame.pts is None:
                continue
            frame.pts, time = None, float(frame.pts * frame.time_base)
            first = min(time, 0.0) if first is None else first
            if end is not None and time >= end:
                return
            cut = _cut(frame, time, start, end)
            if cut is not None:
                yield cut


def _cut(frame: av.AudioFrame, time: float, start: float, end: float | None) -> av.AudioFrame | None:
    """The part of a frame that lies between two seconds."""
    rate = frame.sample_rate
    low = max(0, round((start - time) * rate))
    high = frame.samples if end is None else min(frame.samples, round((end - time) * rate))
    if low >= high:
        return None
    if low == 0 and high == frame.samples:
        return frame
    values = frame.to_ndarray()
    step = 1 if frame.format.is_planar else len(frame.layout.channels)
    made = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(values[:, low * step : high * step]), frame.format.name, frame.layout.name
    )
    made.sample_rate = rate
    return made
