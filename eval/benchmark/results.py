"""What a results file must hold to be drawn, tabulated or made a study of: checked once, when it is read.

Keys that are not named here are left alone, so that files of older and newer versions are read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from emogen.emotion import MIKELS
from emogen.settings import ConfigError
from emogen.settings.json_file import read_checked_json
from emogen.settings.types import shown

FILE = "results.json"
Emotion = Literal[MIKELS]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Natural = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, populate_by_name=False)


class _System(_Part):
    name: str
    clips: str | None


class _NamedReading(_Part):
    read: Emotion


class _Reading(_NamedReading):
    hit8: bool = Field(alias="EA-8")
    hit2: bool = Field(alias="EA-2")
    share: Finite
    valence: Finite
    arousal: Finite


class _Clip(_Part):
    system: str
    clip: str
    file: str
    prompt: str
    emotion: Emotion


class _NamedClip(_Clip):
    judges: dict[str, _NamedReading]


class _Row(_Clip):
    domain: str
    seed: int
    judges: dict[str, _Reading]


class _Figure(_Part):
    """A value, with bounds where there are enough prompts."""

    value: Finite | None
    n: Natural
    low: Finite | None = None
    high: Finite | None = None
    by_prompt: Annotated[list[Finite], Field(min_length=2, max_length=2)] | None = None
    half_mean: Finite | None = None
    half_sd: Finite | None = None
    p: Finite | None = None

    @model_validator(mode="after")
    def _whole(self) -> _Figure:
        if (self.low is None) != (self.high is None) or (self.half_mean is None) != (self.half_sd is None):
            raise ValueError("has one bound of two")
        if self.by_prompt is not None and self.low is None:
            raise ValueError("has by_prompt without low and high")
        return self


class _Difference(_Part):
    difference: Finite
    low: Finite | None
    high: Finite | None
    p: Finite
    p_holm: Finite = 0.0

    @model_validator(mode="after")
    def _whole(self) -> _Difference:
        if (self.low is None) != (self.high is None):
            raise ValueError("has one bound of two")
        return self


class _Figures(_Part):
    """All that is known of a system, or of a domain of it: whatever has a value is a figure of some metric."""

    n: Natural
    prompts: Natural

    @model_validator(mode="after")
    def _others(self) -> _Figures:
        for key, figure in (self.model_extra or {}).items():
            if key in ("kappa", "macro_F1", "confusion"):
                continue
            if not isinstance(figure, dict):
                raise ValueError(f"holds {key!r}, which is no figure")
            if "value" in figure or "half_sd" in figure:
                try:
                    _Figure.model_validate(figure)
                except ValueError as error:
                    raise ValueError(f"holds a wrong figure {key!r}: {str(error).splitlines()[-2].strip()}") from None
        return self


class _Axis(_Part):
    r: float | None
    mean_absolute_error: Finite


class _OfSystem(_Figures):
    ea8: _Figure = Field(alias="EA-8")
    ea2: _Figure = Field(alias="EA-2")
    recall: dict[str, _Figure]
    confusion: Annotated[
        list[Annotated[list[Natural], Field(min_length=8, max_length=8)]], Field(min_length=8, max_length=8)
    ]
    kappa: float | None
    macro_F1: float | None
    valence: _Axis
    arousal: _Axis
    domains: dict[str, _Figures] = Field(default_factory=dict)


class _Checked(_Part):
    """Of a judge's card: how it did on labelled clips."""

    n: Natural
    accuracy: _Accuracy
    ece_before: float | None = None
    ece_after: float | None = None
    temperature: float | None = None


class _Accuracy(_Part):
    value: Finite
    low: Finite | None = None
    high: Finite | None = None

    @model_validator(mode="after")
    def _whole(self) -> _Accuracy:
        if (self.low is None) != (self.high is None):
            raise ValueError("has one bound of two")
        return self


class _Card(_Part):
    kind: str
    made_of: str
    held_out: dict[str, _Checked]


class _Excluded(_Part):
    system: str
    clip: str
    reason: str


class _StudyConfig(_Part):
    systems: Annotated[list[_System], Field(min_length=1)]


class _Config(_StudyConfig):
    name: str
    emotions: Annotated[list[Emotion], Field(min_length=1)]
    seeds: Annotated[list[int], Field(min_length=1)]
    metrics: list[str]
    baseline: str | None
    reference: str | None


class _StudySummary(_Part):
    judge: str


class _Summary(_StudySummary):
    systems: dict[str, _OfSystem]
    against: dict[str, dict[str, _Difference]]
    notes: list[str]
    judges: dict[str, float | None] = Field(default_factory=dict)


class ForStudy(_Part):
    """What a study of people is built from."""

    config: _StudyConfig
    summary: _StudySummary
    rows: list[_NamedClip]

    @model_validator(mode="after")
    def _together(self) -> ForStudy:
        known = [system.name for system in self.config.systems]
        for place, row in enumerate(self.rows):
            if row.system not in known:
                raise ValueError(
                    f"rows[{place}] is of the system {shown(row.system)}, which config.systems does not name"
                )
            if self.summary.judge not in row.judges:
                raise ValueError(f"rows[{place}] lacks a reading by the judge {shown(self.summary.judge)}")
        return self


class Evaluation(ForStudy):
    """What the page and the tables of an evaluation are drawn from."""

    config: _Config
    config_hash: str
    made_with: dict[str, str | None]
    items: Natural
    prompts: Natural
    summary: _Summary
    judges: dict[str, _Card] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    excluded: list[_Excluded]
    rows: list[_Row]

    @model_validator(mode="after")
    def _names(self) -> Evaluation:
        known = [system.name for system in self.config.systems]
        if not self.summary.systems:
            raise ValueError("no clip of any system could be read; config, clips and judges are listed in the file")
        for name, figures in self.summary.systems.items():
            if name not in known:
                raise ValueError(f"summary.systems.{name} is no system of config.systems")
            if missing := [emotion for emotion in self.config.emotions if emotion not in figures.recall]:
                raise ValueError(f"summary.systems.{name}.recall lacks {missing[0]}")
        if self.config.baseline not in (None, *known):
            raise ValueError(f"config.baseline {self.config.baseline!r} is no system of config.systems")
        for place, row in enumerate(self.rows):
            if missing := [name for name in self.judges if name not in row.judges]:
                raise ValueError(f"rows[{place}] lacks a reading by the judge {missing[0]!r}")
        return self


class _ControlsSystem(_Part):
    model: str
    adapter: str


class _ControlsConfig(_Part):
    name: str
    system: _ControlsSystem
    seeds: Annotated[list[int], Field(min_length=1)]


class _LostClip(_Part):
    clip: str
    reason: str


class _ControlsRow(_Part):
    file: str
    number: Natural
    seed: int
    judges: dict[str, dict[str, Any]]


class Controls(_Part):
    """What the page of a measurement of the controls is drawn from; of its figures only the outline is checked."""

    config: _ControlsConfig
    made_with: dict[str, str | None]
    prompts: Annotated[list[str], Field(min_length=1)]
    judges: dict[str, _Card] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    excluded: dict[str, list[_LostClip]]
    studies: Annotated[dict[str, dict[Literal["intensity", "plane", "mixtures", "arcs"], dict[str, Any]]],
                       Field(min_length=1)]  # fmt: skip
    rows: dict[str, list[_ControlsRow]]

    @model_validator(mode="after")
    def _together(self) -> Controls:
        for judge, studies in self.studies.items():
            for study in studies:
                for place, row in enumerate(self.rows.get(study, ())):
                    if judge not in row.judges:
                        raise ValueError(f"rows.{study}[{place}] lacks a reading by the judge {judge!r}")
                if study not in self.rows:
                    raise ValueError(f"rows.{study} is missing")
        return self


def read_results(folder: str | Path, kind: type[_Part] = Evaluation) -> dict[str, Any]:
    """`results.json` of a folder, checked.

    Args:
        kind: what it is wanted for: `Evaluation`, `ForStudy` or `Controls`.

    Raises:
        ConfigError: there is none, or it is damaged; names the file and the key.
    """
    what = "results of the controls" if kind is Controls else "results of an evaluation"
    return read_checked_json(Path(folder) / FILE, kind, what)


def inside(folder: str | Path, name: str) -> Path:
    """The file that a results file names, links followed: within its folder, as the file may come from a stranger.

    Raises:
        ValueError: it leads out of the folder, or is no name of a file.
    """
    try:
        path, home = (Path(folder) / name).resolve(), Path(folder).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name[:80]!r} cannot be looked up ({error})") from error
    if not path.is_relative_to(home):
        raise ValueError(f"{name[:80]!r} leads out of {folder}")
    return path


@contextlib.contextmanager
def drawing(folder: str | Path) -> Iterator[None]:
    """While the block draws checked results: what their figures still lack is said as damage of the file.

    Raises:
        ConfigError: a figure that the page needs is missing or of another kind.
    """
    try:
        yield
    except ConfigError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"{Path(folder) / FILE}: cannot be drawn: a figure is missing or damaged ({what}); measure again into the "
            "same folder: clips that are there are not made again"
        ) from error
