"""What people say of every frame, in the form of VEATIC: `ID_valence.csv` and `ID_arousal.csv`, a number a frame.

The numbers are in [-1, 1], one a line, without a head; ID is the film's file name without its ending.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emogen.analysis.sliding import Curve

_ENDS = ("_valence.csv", "_arousal.csv")
_LESS = 3  # frames by which the two files of a film may differ


@dataclass(frozen=True)
class Annotated:
    """Valence and arousal of every frame of a film, in [-1, 1]."""

    valence: np.ndarray
    arousal: np.ndarray

    def __len__(self) -> int:
        return len(self.valence)

    def over(self, curve: Curve, fps: float, start: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Valence and arousal averaged over the windows of a curve, `[W]`; NaN where there is no annotation.

        Args:
            fps: frames a second of the film.
            start: second of the film at which the curve begins.
        """
        half = np.full(len(curve), curve.seconds / 2)
        if len(curve) > 1:
            half[:] = curve.time[0]  # the first window begins with the clip, so its middle is half its length
        upto = [np.concatenate([[0.0], np.cumsum(column)]) for column in (self.valence, self.arousal)]
        first = np.clip(np.round((start + curve.time - half) * fps).astype(int), 0, len(self))
        last = np.clip(np.round((start + curve.time + half) * fps).astype(int), 0, len(self))
        last = np.maximum(last, np.minimum(first + 1, len(self)))
        many = last - first
        means = [np.where(many > 0, (sums[last] - sums[first]) / np.maximum(many, 1), np.nan) for sums in upto]
        return means[0], means[1]


def read_annotations(folder: str | Path) -> dict[str, Annotated]:
    """ID -> what people say of each frame, of a folder or of `rating_averaged` in it.

    Raises:
        ValueError: there are none, a file lacks its partner, or holds what is no number in [-1, 1].
    """
    folder = Path(folder)
    inner = folder / "rating_averaged"
    folder = inner if inner.is_dir() else folder
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; it holds ID_valence.csv and ID_arousal.csv of each film")
    names = sorted({path.name.removesuffix(end) for end in _ENDS for path in folder.glob(f"*{end}")})
    if not names:
        raise ValueError(f"{folder}: holds no ID_valence.csv; name the files by the film, a number a frame in each")
    found = {}
    for name in names:
        columns = []
        for end in _ENDS:
            path = folder / f"{name}{end}"
            if not path.is_file():
                raise ValueError(f"{path}: is missing; a film has a file of valence and one of arousal")
            columns.append(_column(path))
        valence, arousal = columns
        if abs(len(valence) - len(arousal)) > _LESS:
            raise ValueError(f"{folder / name}{_ENDS[0]}: has {len(valence)} frames and the file of arousal "
                             f"{len(arousal)}; give both for every frame")  # fmt: skip
        both = min(len(valence), len(arousal))
        found[name] = Annotated(valence[:both], arousal[:both])
    return found


def _column(path: Path) -> np.ndarray:
    values = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if not row:
                    continue
                try:
                    value = float(row[0])
                except ValueError:
                    value = np.nan
                if len(row) != 1 or not -1 <= value <= 1:
                    said = ",".join(row)[:40]
                    raise ValueError(f"{path}: line {number} is {said!r}; each line is one number between -1 and 1")
                values.append(value)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not text in UTF-8 ({error.reason}); save it as CSV") from error
    if not values:
        raise ValueError(f"{path}: holds no numbers")
    return np.array(values)


def sums_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What agreement is computed of, `[readings, 6]`: 1, x, y, xx, yy, xy. They add up over readings and films."""
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], -1)


def concordance(sums: np.ndarray) -> np.ndarray:
    """Lin's concordance correlation coefficient (1989) of sums `[..., 6]` of `sums_of`: 1 where both readings are
    equal, less for another order, another mean or another spread. With variances over n - 1, as torchmetrics has it."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y = x / n, y / n
        var_x, var_y = ((s - m * m * n) / (n - 1) for s, m in ((xx, mean_x), (yy, mean_y)))
        return 2 * (xy - mean_x * mean_y * n) / (n - 1) / (var_x + var_y + (mean_x - mean_y) ** 2)


def root_mean_square(sums: np.ndarray) -> np.ndarray:
    """Root of the mean squared difference of sums `[..., 6]`."""
    n, _, _, xx, yy, xy = np.moveaxis(sums, -1, 0)
    return np.sqrt(np.maximum(xx + yy - 2 * xy, 0) / n)
