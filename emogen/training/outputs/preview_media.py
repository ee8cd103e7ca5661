"""A preview as pictures, in files and in trackers."""

from __future__ import annotations

import importlib
import io
import os
import tempfile
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from accelerate import Accelerator
from PIL import Image, ImageDraw, ImageFont

from emogen.media.sheets import contact_sheet, label_grid
from emogen.media.writer import write_video

if TYPE_CHECKING:
    from emogen.training.outputs.preview_report import Preview

_CELL = (96, 192)  # pixels of a cell's longer side, at least and at most
_GIF_STEP = 10  # a GIF's times are hundredths of a second


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
    temporary = folder / f".{name}.{os.getpid()}.png"
    try:
        Image.fromarray(preview.sheet).save(temporary)
        os.replace(temporary, still)
    finally:
        temporary.unlink(missing_ok=True)
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
