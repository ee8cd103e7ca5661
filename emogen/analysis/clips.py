"""The clips of a labelled set as columns; `sources.py` reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from emogen.emotion import MIKELS

NEUTRAL = -1
UNLABELLED = -2

TEXTS = (
    "clip_id", "source_path", "domain", "group", "caption", "emotion", "emotion_soft", "label_kind", "judge",
    "model_emotion", "no_label", "split", "dropped", "error", "duplicate_of", "file", "folder", "kind", "audio_file",
)  # fmt: skip
NUMBERS = (
    "order", "start", "end", "duration", "gap_before", "paper_hue", "paper_colourfulness", "paper_brightness", "hue",
    "hue_strength", "saturation", "brightness", "contrast", "motion", "agreement", "confidence", "votes", "valence",
    "arousal", "fps", "loudness", "tempo", "spectral_centroid",
)  # fmt: skip


@dataclass(frozen=True)
class Clips:
    """Columns of equal length, a place a clip.

    Attributes:
        texts: column -> object array of `str` or None.
        values: column -> float array, NaN where there is no value.
        answers: clip -> annotator -> answer, where people have labelled.
        source: what was read, for the page.
    """

    texts: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]
    answers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    source: str = ""

    def __len__(self) -> int:
        return len(self.texts["clip_id"])

    def text(self, name: str) -> np.ndarray:
        """A column of text: object array, None where there is no value."""
        return self.texts[name] if name in self.texts else np.full(len(self), None, object)

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers: float array, NaN where there is no value."""
        return self.values[name] if name in self.values else np.full(len(self), np.nan)

    def has(self, name: str) -> bool:
        """Whether any clip has a value in the column."""
        if name in self.values:
            return bool(np.isfinite(self.values[name]).any())
        return any(value not in (None, "") for value in self.text(name))

    @cached_property
    def label(self) -> np.ndarray:
        """Place among Mikels' eight, `NEUTRAL` or `UNLABELLED`."""
        return np.array([_code(value) for value in self.text("emotion")], int)

    @cached_property
    def group(self) -> np.ndarray:
        """Number of the clip's film or character, from 0. A clip without a group is its own."""
        names = [value if value is not None else f"\0{row}" for row, value in enumerate(self.text("group"))]
        number = {name: place for place, name in enumerate(sorted(set(names)))}
        return np.array([number[name] for name in names], int)

    @cached_property
    def by_people(self) -> np.ndarray:
        """Whether people gave the label: annotators, or whoever curated the set."""
        return np.array([kind in ("human", "curated") for kind in self.text("label_kind")], bool)

    def path(self, place: int) -> Path | None:
        """The file of a clip; None where the table does not say."""
        folder, name, file = (self.text(key)[place] for key in ("folder", "source_path", "file"))
        if folder and name:
            return Path(folder) / name
        return Path(file) if file else None

    @cached_property
    def usable(self) -> np.ndarray:
        """The clips that count: not failed, not dropped, not the same clip again."""
        out = np.ones(len(self), bool)
        for name in ("error", "dropped", "duplicate_of"):
            out &= np.array([value in (None, "") for value in self.text(name)], bool)
        return out

    def where(self, mask: np.ndarray) -> Clips:
        """The clips that the mask (or the places) picks. A column is copied when it is asked for."""
        return Clips(_Picked(self.texts, mask), _Picked(self.values, mask), self.answers, self.source)

    @cached_property
    def labelled(self) -> Clips:
        """The usable clips that have one of the eight."""
        return self.where(self.usable & (self.label >= 0))


class _Picked(Mapping):
    """Columns of which some places are picked."""

    def __init__(self, columns: Mapping[str, np.ndarray], mask: np.ndarray):
        self.columns, self.mask = columns, mask

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name][self.mask]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


def _code(value: str | None) -> int:
    if value in MIKELS:
        return MIKELS.index(value)
    return NEUTRAL if value == "neutral" else UNLABELLED


def describe(clips: Clips) -> str:
    """One line for the head of the page."""
    labelled = clips.labelled
    domains = sorted({name for name in clips.text("domain") if name})
    parts = [f"{len(clips):,} clips", f"{len(labelled):,} with one of the eight emotions"]
    if clips.has("group"):
        parts.append(f"{len(np.unique(labelled.group)):,} films or characters")
    if domains:
        parts.append("domains: " + ", ".join(domains))
    return "; ".join(parts)
