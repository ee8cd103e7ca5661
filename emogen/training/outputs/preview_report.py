"""What the clips of a preview say, in numbers and in pictures: are the emotions read, and what else do they change?

A model that only tints its clips moves the colours and not the judge; `Preview.recolours` and `only_recolours` say so.
Training knows no judge: a `PreviewJudge` is handed in by the command.
"""

from __future__ import annotations

import importlib
import io
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from PIL import Image, ImageDraw, ImageFont

from emogen.data.attributes import ClipAttributes, mean_change
from emogen.emotion import EmotionArc, parse_emotion
from emogen.files import atomic
from emogen.media.sheets import contact_sheet, label_grid
from emogen.media.writer import write_video

_JUDGED_AT_ONCE = 16
_CELL = (96, 192)  # pixels of a cell's longer side, at least and at most
_GIF_STEP = 10  # a GIF's times are hundredths of a second


@dataclass(frozen=True)
class PreviewJudge:
    """What reads a preview's clips.

    Attributes:
        read: clips uint8 `[B, F, H, W, 3]` -> shares of the eight, `[B, 8]`.
        hits: shares `[n, 8]` and n categories -> whether each clip is read as asked, by category and by valence.
        rate: booleans -> their share with "value", "low", "high" and "n".
    """

    read: Callable[[np.ndarray], np.ndarray]
    hits: Callable[[np.ndarray, Sequence[str]], tuple[np.ndarray, np.ndarray]]
    rate: Callable[[Sequence[bool]], dict[str, Any]]


@dataclass(frozen=True)
class PreviewClip:
    """One sampled clip; `frames` uint8 `[F, H, W, 3]`."""

    prompt: str
    emotion: str
    seed: int
    frames: np.ndarray
    attributes: ClipAttributes


@dataclass(frozen=True)
class Preview:
    """What a preview found.

    Attributes:
        clips: prompt after prompt, in each seed after seed, in each emotion after emotion.
        emotions: as they were asked for.
        fps: frames a second of the clips.
        agreement: "EA-8" and "EA-2", each with "value", "low", "high" (Wilson 95 %) and "n", and "neutral": how often
            the neutral clips of the same prompts and seeds are read so ("EA-8" only; None without neutral clips). Clips
            of one prompt are alike, so the intervals are a little too narrow. None without a judge.
        changes: emotion -> its clips' attributes minus those of the neutral clips of the same prompts and seeds, on
            average; empty without neutral clips.
        recolours: emotion -> whether its clips differ from the neutral ones in colour (`ClipAttributes.recoloured`)
            while the judge reads the emotion in them no more often than in the neutral ones. Of a few clips, so a
            hint; None without a judge or neutral clips.
        only_recolours: the same of all clips together, where the interval of EA-8 must lie above what the neutral clips
            reach to count as read; None as above.
        values: all of it as flat numbers, `val/...`, for logs and trackers.
    """

    clips: list[PreviewClip]
    emotions: list[str]
    fps: float
    agreement: dict[str, dict[str, Any]] | None
    changes: dict[str, ClipAttributes]
    recolours: dict[str, bool] | None
    only_recolours: bool | None
    values: dict[str, float]

    @cached_property
    def grid(self) -> np.ndarray:
        """uint8 `[F, H, W, 3]`, moving: a row a prompt (of the first seed), a column an emotion."""
        return moving_grid(self._rows(), self.emotions)

    @cached_property
    def sheet(self) -> np.ndarray:
        """uint8 `[H, W, 3]`: the grid standing still, two frames a clip."""
        return still_sheet(self._rows(), self.emotions)

    def _rows(self) -> dict[str, list[np.ndarray]]:
        rows: dict[str, list[np.ndarray]] = {}
        for clip in self.clips:
            if clip.seed == self.clips[0].seed:
                rows.setdefault(clip.prompt, []).append(clip.frames)
        return rows


def asked_categories(emotions: Sequence[str]) -> dict[str, str | None]:
    """Each emotion's text -> the one of the eight that a judge should read; None where there is no one answer: neutral,
    an emotion that changes over the clip, a negative strength.

    Raises:
        UnknownEmotionError, ValueError: a text is no emotion.
    """
    asked: dict[str, str | None] = {}
    for text in emotions:
        if EmotionArc.looks_like_arc(text):
            EmotionArc.parse(text)
            asked[text] = None
        else:
            state = parse_emotion(text)
            asked[text] = state.dominant if state.intensity > 0 else None
    return asked


def read_clips(judge: PreviewJudge, clips: Sequence[PreviewClip]) -> np.ndarray:
    """The judge's shares of the eight, `[clips, 8]`."""
    frames = [clip.frames for clip in clips]
    parts = (frames[start : start + _JUDGED_AT_ONCE] for start in range(0, len(frames), _JUDGED_AT_ONCE))
    return np.concatenate([np.asarray(judge.read(np.stack(part))) for part in parts])


def report(
    clips: Sequence[PreviewClip], asked: Mapping[str, str | None], judge: PreviewJudge | None, fps: float
) -> Preview:
    """Put it together.

    Args:
        clips: every prompt with every seed and emotion, prompts first and emotions last.
        asked: of `asked_categories`.
        judge: reads the clips, if there is one.
    """
    pairs = _pairs(clips, asked)
    changes = {text: mean_change([clips[own].attributes - clips[neutral].attributes for own, neutral in rows])
               for text, rows in pairs.items()}  # fmt: skip
    values = {f"val/change/{name}/{text}": value for text, change in changes.items()
              for name, value in change.to_dict().items() if value is not None}  # fmt: skip
    agreement = recolours = only = None
    shares = read_clips(judge, clips) if judge is not None else None
    judged = [row for row, clip in enumerate(clips) if asked[clip.emotion] is not None]
    if shares is not None and judged:
        categories = [asked[clips[row].emotion] for row in judged]
        eight, two = judge.hits(shares[judged], categories)
        read = dict(zip(judged, eight.tolist(), strict=True))
        agreement = {"EA-8": judge.rate(eight), "EA-2": judge.rate(two)}
        values |= {f"val/EA-8/{text}": float(np.mean([read[row] for row in judged if clips[row].emotion == text]))
                   for text, category in asked.items() if category is not None}  # fmt: skip
        # what the neutral clips would score by chance or by what the model always shows
        base = {own: bool(judge.hits(shares[[neutral]], [asked[text]])[0][0])
                for text, rows in pairs.items() if asked[text] is not None for own, neutral in rows}  # fmt: skip
        if base:
            agreement["EA-8"]["neutral"] = float(np.mean(list(base.values())))
            recolours = {text: changes[text].recoloured() and sum(read[own] - base[own] for own, _ in rows) <= 0
                         for text, rows in pairs.items() if asked[text] is not None}  # fmt: skip
            unread = agreement["EA-8"]["low"] <= agreement["EA-8"]["neutral"]
            only = unread and any(changes[text].recoloured() for text in recolours)
            values |= {f"val/recolours/{text}": float(flag) for text, flag in recolours.items()}
            values["val/recolours"] = float(only)
        for metric, found in agreement.items():
            values[f"val/{metric}"] = found["value"]
            values |= {f"val/{metric}_{part}": float(found[part]) for part in found if part != "value"}
    return Preview(list(clips), list(asked), fps, agreement, changes, recolours, only, values)


def _pairs(clips: Sequence[PreviewClip], asked: Mapping[str, str | None]) -> dict[str, list[tuple[int, int]]]:
    """Each emotion -> (its clip, the neutral clip of the same prompt and seed); empty without neutral clips."""
    neutral = next((t for t in asked if not EmotionArc.looks_like_arc(t) and parse_emotion(t).is_neutral), None)
    if neutral is None:
        return {}
    place = {(clip.prompt, clip.seed, clip.emotion): row for row, clip in enumerate(clips)}
    return {text: [(row, place[clip.prompt, clip.seed, neutral]) for row, clip in enumerate(clips)
                   if clip.emotion == text] for text in asked if text != neutral}  # fmt: skip


def moving_grid(rows: Mapping[str, Sequence[np.ndarray]], columns: Sequence[str]) -> np.ndarray:
    """uint8 `[F, H, W, 3]`: a row a prompt with its text at the left, a column an emotion.

    Args:
        rows: prompt -> a clip uint8 `[F, H, W, 3]` a column, all of one size; shown at 96 to 192 pixels.
    """
    cells, labels = [], []
    for prompt, clips in rows.items():
        small = [_cell(clip) for clip in clips]
        cells += [_text(prompt, small[0].shape), *small]
        labels += ["", *columns]
    return label_grid(cells, labels, columns=len(columns) + 1)


def still_sheet(rows: Mapping[str, Sequence[np.ndarray]], columns: Sequence[str]) -> np.ndarray:
    """uint8 `[H, W, 3]`: as `moving_grid`, with a frame of each clip's first and one of its second half."""
    small = [[_cell(clip) for clip in clips] for clips in rows.values()]
    count, height = small[0][0].shape[:2]
    frames = (count // 4, 3 * count // 4) if count > 1 else (0,)
    names = [textwrap.shorten(prompt, max(20, 18 * (height // 15)), placeholder=" ...") for prompt in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.png"
        contact_sheet(path, small, names, list(columns), frames=frames)
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))


def save_preview(preview: Preview, folder: str | Path, name: str) -> tuple[Path, Path]:
    """Write `NAME.webp`, the moving grid, and `NAME.png`, the still one; each appears whole or not at all."""
    folder = Path(folder)
    moving = write_video(folder / f"{name}.webp", preview.grid, preview.fps)
    still = folder / f"{name}.png"
    with atomic(still) as temporary:
        Image.fromarray(preview.sheet).save(temporary)
    return moving, still


def log_to_trackers(accelerator: Accelerator, preview: Preview | None, step: int) -> None:
    """Show the grid, moving and still, in the run's TensorBoard, W&B and trackio; other trackers get no pictures.

    The numbers are not sent here: give `preview.values` to `accelerator.log`. A tracker that fails costs its pictures
    and a warning, not the run. Nothing happens for None (another process than the main one).
    """
    if preview is None or not accelerator.is_main_process:
        return
    for tracker in accelerator.trackers:
        try:
            if tracker.name == "tensorboard":
                _to_tensorboard(tracker.tracker, preview, step)
            elif tracker.name in ("wandb", "trackio"):
                _to_media_tracker(importlib.import_module(tracker.name), tracker.tracker, preview, step)
        except Exception as error:  # trackers raise all sorts
            warnings.warn(f"step {step}: {tracker.name} did not take the preview's pictures "
                          f"({type(error).__name__}: {error})", stacklevel=2)  # fmt: skip


def _to_tensorboard(writer: Any, preview: Preview, step: int) -> None:
    writer.add_image("preview/still", preview.sheet, step, dataformats="HWC")
    # add_video needs moviepy; TensorBoard shows an animated GIF that is logged as an image
    from tensorboard.compat.proto.summary_pb2 import Summary

    height, width = preview.grid.shape[1:3]
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=_gif(preview))
    writer.file_writer.add_summary(Summary(value=[Summary.Value(tag="preview/moving", image=image)]), step)
    writer.flush()


def _to_media_tracker(library: Any, run: Any, preview: Preview, step: int) -> None:
    """W&B and trackio have the same two classes; given files, both copy them at once and need no encoder."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / "preview.mp4", preview.grid, preview.fps)
        run.log({"preview/moving": library.Video(str(path)), "preview/still": library.Image(preview.sheet)}, step=step)


def _gif(preview: Preview) -> bytes:
    first, *rest = (Image.fromarray(frame) for frame in preview.grid)
    duration = max(2 * _GIF_STEP, round(1000 / preview.fps / _GIF_STEP) * _GIF_STEP)
    file = io.BytesIO()
    first.save(file, format="GIF", save_all=True, append_images=rest, duration=duration, loop=0)
    return file.getvalue()


def _cell(clip: np.ndarray) -> np.ndarray:
    """A clip with its longer side between the limits of a cell; small ones grow by a whole factor."""
    height, width = clip.shape[1:3]
    longer = max(height, width)
    if longer > _CELL[1]:
        size = tuple(max(1, round(n * _CELL[1] / longer)) for n in (width, height))
    else:
        factor = -(-_CELL[0] // longer)
        size = (width * factor, height * factor)
    if size == (width, height):
        return clip
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, Image.LANCZOS)) for frame in clip])


def _text(text: str, shape: tuple[int, ...]) -> np.ndarray:
    """A clip of this shape that shows a text, as much of it as fits."""
    frames, height, width, _ = shape
    font, line = ImageFont.load_default(11), 13
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    wrapped = textwrap.wrap(text, max(4, width // 7), max_lines=max(1, height // line), placeholder=" ...")
    for row, words in enumerate(wrapped):
        draw.text((3, row * line), words, fill="black", font=font)
    return np.repeat(np.asarray(picture)[None], frames, axis=0)
