"""What an analysis is: a name, what it needs, and a function that finds results, pictures, tables and a sentence.

An analysis of your own is one file:

    from emogen.analysis import Analysis, Found, Result, register

    def run(clips, settings):
        long = clips.numbers("duration") > 10
        return Found("Few clips are long.", [Result("long clips", long.mean(), n=len(clips))])

    register(Analysis("long", "Long clips", ("duration",), run))

and `emogen analyze DATA --own long.py --output_dir OUT` runs it beside the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emogen.analysis.clips import Clips
    from emogen.analysis.curve_store import CurveSet


class NotPossible(ValueError):
    """The clips do not allow an analysis; the message is one sentence that says why."""


@dataclass(frozen=True)
class Result:
    """One figure.

    Attributes:
        name: what it is of, unique within its analysis.
        value: the figure; None where it is not defined.
        low, high: its 95 % interval, over groups (films, characters) unless the note says otherwise; None where there
            are too few groups.
        n: how many clips, pairs or captions it rests on.
        note: what else must be known to read it.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        caption: what it shows.
        svg: the drawing.
        narrow: the same for a phone, its panels one below the other; None where `svg` is narrow enough.
        seen: what the page shows beside the pointer: the value of a mark's `data-clip` -> a small picture's address.
    """

    caption: str
    svg: str
    narrow: str | None = None
    seen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What an analysis came to.

    Attributes:
        sentence: what it says, in one or two sentences.
        results: the first ones are shown on the page, all are kept.
        pictures: file name without ending -> picture.
        tables: file name without ending -> rows of one CSV file.
        warnings: what may mislead in these results.
        files: file name -> JSON value, written beside the page for other programs.
    """

    sentence: str
    results: Sequence[Result] = ()
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    files: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """What a person may choose.

    Attributes:
        resamples: of every bootstrap.
        seed: of every draw.
        max_gap: seconds between two clips of a film that still count as adjoining.
        confusion: a CSV of counts that says how the labels err (rows: true, columns: as labelled).
        mapping: "tsne" or "umap", how the map is laid out.
        thumbnails: clips of the map of which a frame is kept in the page.
        curves: what a judge says of each second of the clips.
        annotations: a folder of what people say of each frame (`annotations.py`).
        features: `.npy` (one row a clip, in the order of the table) or `.parquet` (`clip_id` and numbers).
    """

    resamples: int = 2000
    seed: int = 0
    max_gap: float = 2.0
    confusion: Path | None = None
    features: Path | None = None
    mapping: str = "tsne"
    thumbnails: int = 300
    curves: CurveSet | None = None
    annotations: Path | None = None


@dataclass(frozen=True)
class Analysis:
    """An entry of the registry.

    Attributes:
        name: as `--only` takes it.
        title: of its part of the page.
        needs: columns of which every one must have a value in some clip.
        run: `run(clips, settings)`; raises `NotPossible` where the clips do not allow it.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    run: Callable[[Clips, Settings], Found]


REGISTRY: dict[str, Analysis] = {}
"""Every analysis by its name, in the order of the page."""


def register(analysis: Analysis) -> Analysis:
    """Add an analysis.

    Raises:
        ValueError: the name is taken or cannot be a file's name.
    """
    if not analysis.name.isidentifier():
        raise ValueError(f"an analysis cannot be named {analysis.name!r}; use letters, digits and _")
    if REGISTRY.get(analysis.name, analysis) is not analysis:
        raise ValueError(f"there is an analysis {analysis.name!r} already; choose another name")
    REGISTRY[analysis.name] = analysis
    return analysis
