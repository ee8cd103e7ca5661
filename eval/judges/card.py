"""A judge's card: how well it reads, how sure it may be believed to be, and what it learned from.

`warnings_for` compares a card with what a generator was trained on: a judge that saw those clips, or labelled them,
measures itself.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from emogen.data.records import ClipRecord, RecordError, read_records
from emogen.data.sources import find_tables
from emogen.data.tables import read_rows
from emogen.eval.judges.spec import JudgeError
from emogen.files import fingerprint_bytes, fingerprint_file, write_json
from emogen.settings.json_file import check_json

FORMAT = "emogen judge card 1"
CARD_NAME = "card.json"


class _Rate(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    value: Annotated[float, Field(allow_inf_nan=False)]
    low: float | None = None
    high: float | None = None


class _HeldOut(BaseModel):
    """What a page and a warning need of the figures on one data set."""

    model_config = ConfigDict(extra="allow", strict=True)

    n: int
    accuracy: _Rate
    recall: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class TrainingData:
    """What a judge learned from.

    Attributes:
        about: in words.
        clips: how many; None if not known.
        clip_hashes, prompt_hashes: sorted `clip_hash` and `prompt_hash` of each; None if not listed.
        label_sources: who labelled them.
        disjoint_from: generators whose training data are known to hold none of these clips, by the recipe of both.
    """

    about: str = "not stated"
    clips: int | None = None
    clip_hashes: tuple[str, ...] | None = None
    prompt_hashes: tuple[str, ...] | None = None
    label_sources: tuple[str, ...] = ()
    disjoint_from: tuple[str, ...] = ()

    @classmethod
    def of(cls, records: Sequence[ClipRecord], about: str) -> TrainingData:
        """Of clips that lie here; every file is read once."""
        return cls(
            about=about, clips=len(records), clip_hashes=tuple(sorted({clip_hash(r.path) for r in records})),
            prompt_hashes=tuple(sorted({prompt_hash(r.caption) for r in records if r.caption.strip()})),
            label_sources=tuple(sorted({r.label_source for r in records if r.label_source})),
        )  # fmt: skip


@dataclass(frozen=True)
class JudgeCard:
    """What is known of a judge.

    Attributes:
        name: in results. kind: one of `spec.KINDS`. made_of: model, encoder or folder.
        licence: of the weights. temperature: that its scores are divided by.
        held_out: data set -> figures as `check.check_judge` finds them, on clips that it was not trained on.
        members: cards of an ensemble's judges.
    """

    name: str
    kind: str
    made_of: str = ""
    licence: str = "not stated"
    temperature: float = 1.0
    training: TrainingData = field(default_factory=TrainingData)
    held_out: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    members: tuple[JudgeCard, ...] = ()

    def to_dict(self, hashes: bool = True) -> dict[str, Any]:
        """As JSON; without `hashes` only their counts, for a results file."""
        values = {"format": FORMAT, **dataclasses.asdict(self)}
        values["members"] = [member.to_dict(hashes) for member in self.members]
        if not hashes:
            for key in ("clip_hashes", "prompt_hashes"):
                found = values["training"][key]
                values["training"][key] = None if found is None else len(found)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "card") -> JudgeCard:
        """The reverse of `to_dict`.

        Raises:
            JudgeError: it is another kind of file, or keys are unknown.
        """
        values = dict(values)
        if values.pop("format", None) != FORMAT:
            raise JudgeError(f"{source}: is no judge's card ({FORMAT!r}); `emogen judge check` writes one")
        try:
            training = {k: tuple(v) if isinstance(v, list) else v for k, v in values.pop("training").items()}
            members = tuple(cls.from_dict(member, source) for member in values.pop("members", ()))
            card = cls(**values, training=TrainingData(**training), members=members)
            check_json(dataclasses.asdict(card), cls, "a wrong value")
            check_json(card.held_out, dict[str, _HeldOut], "a wrong value in held_out")
            return card
        except JudgeError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise JudgeError(f"{source}: a damaged card ({error}); write it anew with `emogen judge check`") from error

    def save(self, path: str | Path) -> Path:
        """Write it, whole or not at all."""
        write_json(path, self.to_dict(), indent=1)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> JudgeCard:
        """Read a card.

        Raises:
            JudgeError: there is none, or it cannot be read.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise JudgeError(f"{path}: cannot be read as a judge's card ({error})") from error
        return cls.from_dict(values if isinstance(values, Mapping) else {}, str(path))


def clip_hash(path: str | Path) -> str:
    """First 64 bits of the SHA-256 of a file's bytes, in hex."""
    return fingerprint_file(path)[:16]


def prompt_hash(text: str) -> str:
    """The same of a caption, whose case and spaces do not count."""
    return fingerprint_bytes(" ".join(text.lower().split()).encode())[:16]


def card_of(judge: Any) -> JudgeCard:
    """The judge's card; an empty one if it carries none."""
    card = getattr(judge, "card", None)
    return card if isinstance(card, JudgeCard) else JudgeCard(str(getattr(judge, "name", "judge")), "other")


def warnings_for(judge: Any, generator: str | Path | Sequence[ClipRecord]) -> list[str]:
    """Why the judge should not be believed about a generator; empty if nothing speaks against it.

    Args:
        judge: a judge with a card, or a `JudgeCard`.
        generator: its training clips as records or as a folder with metadata; or the folder of a trained adapter, whose
            `training_config.yaml` names the data set; or "embedded".

    Returns:
        A sentence for each reason: trained on the same clips or captions, named as a label's source, or that it cannot
        be told, for which reason.
    """
    card = judge if isinstance(judge, JudgeCard) else card_of(judge)
    if card.members:
        found = [line for member in card.members for line in warnings_for(member, generator)]
        return list(dict.fromkeys(found))
    if isinstance(generator, (str, Path)):
        if str(generator) in card.training.disjoint_from:
            return []
        name, records = Path(generator).name, _records_of(generator)
        if isinstance(records, str):
            return [f"{card.name}: whether it saw the training data of {name} cannot be told: {records}"]
    else:
        name, records = "the generator", list(generator)
    return [*_labelled(card, name, records), *_seen(card, name, records)]


def _records_of(generator: str | Path) -> list[ClipRecord] | str:
    """The training clips, or why they cannot be had."""
    folder = Path(generator)
    config = folder / "training_config.yaml"
    if config.is_file():
        try:
            source = (yaml.safe_load(config.read_text(encoding="utf-8")) or {})["data"]["dataset_name"]
        except (yaml.YAMLError, KeyError, TypeError):
            return f"{config.name} does not name it"
        if not Path(str(source)).exists():
            return f"{source} is not here"
        folder = Path(source)
    if not folder.exists():
        return "there is no such folder here"
    try:
        return read_records(folder)
    except RecordError:
        return "it holds neither training_config.yaml nor metadata"


def _labelled(card: JudgeCard, name: str, records: Iterable[ClipRecord]) -> list[str]:
    own = {word for text in (card.name, card.kind, card.made_of, Path(card.made_of).name) if (word := _words(text))}
    own -= {"probe", "classifier", "other", "clip", "vlm"}  # kinds that many labellers have
    sources = [record.label_source for record in records]
    mine = sum(any(f" {word} " in f" {_words(source)} " for word in own) for source in sources if source)
    return [f"{card.name}: gave {mine} of the {len(sources)} labels that {name} was trained on (label_source)"] * (
        mine > 0)  # fmt: skip


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9.]+", text.lower()))


def _seen(card: JudgeCard, name: str, records: Sequence[ClipRecord]) -> list[str]:
    training = card.training
    here = [record.path for record in records if record.path.is_file()]
    if training.clip_hashes is not None and here:
        known = set(training.clip_hashes)
        same = sum(clip_hash(path) in known for path in here)
        if same:
            return [f"{card.name}: was trained on {same} of the {len(records)} clips that {name} was trained on"]
    captions = [record.caption for record in records if record.caption.strip()]
    if training.prompt_hashes is not None and captions:
        known = set(training.prompt_hashes)
        same = sum(prompt_hash(caption) in known for caption in captions)
        if same:
            return [f"{card.name}: its training clips have the captions of {same} of the {len(records)} clips that "
                    f"{name} was trained on"]  # fmt: skip
    if training.clip_hashes is None and training.prompt_hashes is None:
        return [f"{card.name}: its card lists no training clips ({training.about}), so whether it saw those of {name} "
                "cannot be told"]  # fmt: skip
    return []


def cards_of(judges: Mapping[str, Any]) -> dict[str, Any]:
    """Every judge's card, with the counts of its hashes in place of the hashes."""
    return {name: card_of(judge).to_dict(hashes=False) for name, judge in judges.items()}


def warnings_about(systems: Iterable[Any], judges: Mapping[str, Any]) -> list[str]:
    """Why a judge should not be believed about a system: `warnings_for` of every adapter, and judges that were trained
    on the finished clips they judge. Base models, whose training data nobody lists, are passed over.

    Args:
        systems: with `name`, `adapter` and `clips`, as in a benchmark.
    """
    found: list[str] = []
    for system in systems:
        for judge in judges.values():
            if system.adapter is not None:
                found += [f"{system.name}: {line}" for line in warnings_for(judge, system.adapter)]
            elif system.clips not in (None, "stickers"):
                found += [f"{system.name}: {line}" for line in _about_clips(judge, Path(system.clips))]
    return list(dict.fromkeys(found))


def _about_clips(judge: Any, folder: Path) -> list[str]:
    card = card_of(judge)
    known = {h for one in (card, *card.members) for h in one.training.clip_hashes or ()}
    try:
        rows = [row for table in find_tables(folder) for _, row in read_rows(table.path) if isinstance(row, Mapping)]
    except RecordError:
        return []
    files = [folder / str(row.get("file_name")) for row in rows]
    same = sum(file.is_file() and clip_hash(file) in known for file in files) if known else 0
    return [f"{card.name}: was trained on {same} of the {len(files)} clips that it judges here"] if same else []
