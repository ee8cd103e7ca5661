"""A data set in the making, as the Data tab sees it: clips that were dropped, captions and labels that were given.

A folder holds all of it: `clips/` what was dropped, `captions.csv` what was written, `set/` the output folder of
`emogen data`, whose labelling file (`set/labels.sqlite`) this shares, and `recipe.yaml`, which one command carries out
again and again: what is done is not done twice.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from emogen.curation.label_store import LabelStore, Plan
from emogen.curation.labels import ANSWERS, NONE, UNSURE
from emogen.curation.workspace import Workspace
from emogen.data.safe_names import safe_name
from emogen.files import write_text
from emogen.text_files import TextError, read_text

ME = "me"
"""Who labels here: the name that `emogen data label` gives a person alone."""
LABELS = (*ANSWERS, UNSURE)
_STILLS = (".gif", ".webp", ".png", ".apng", ".jpg", ".jpeg")


class DataError(ValueError):
    """Something given to a data set means nothing; the message says what and the way out."""


@dataclass(frozen=True)
class Clip:
    """One row of the set.

    Attributes:
        clip_id: None for a file that could not be read.
        path: the file. start, end: the span of it in seconds, None for all.
        label: one of `LABELS`, "" where there is none yet.
        problem: what keeps it out of the export; "" if nothing does.
    """

    clip_id: str | None
    path: Path
    start: float | None = None
    end: float | None = None
    caption: str = ""
    label: str = ""
    problem: str = ""

    @property
    def still(self) -> bool:
        """Whether a browser shows the file as a picture (animated ones included)."""
        return self.path.suffix.lower() in _STILLS


class DataSet:
    """A data set in a folder.

    Args:
        folder: made when something is first added.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).expanduser().resolve()
        self.clips, self.set = self.folder / "clips", self.folder / "set"
        self._captions, self.recipe = self.folder / "captions.csv", self.folder / "recipe.yaml"

    @property
    def export(self) -> Path:
        """What training reads, once it is written."""
        return self.set / "export"

    def add(self, files: Iterable[str | Path]) -> tuple[int, int]:
        """Copy files in. A .txt beside a clip of the same name is its caption.

        Returns:
            How many clips and how many captions.

        Raises:
            DataError: a name that cannot be kept, or a text that is none.
        """
        files = [Path(file) for file in files]
        texts = {file.stem: file for file in files if file.suffix.lower() == ".txt"}
        others = [file for file in files if file.suffix.lower() != ".txt"]
        for file in others:
            try:
                target = safe_name(file.name, self.clips)
            except ValueError as error:
                raise DataError(str(error)) from error
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        captions = {}
        for stem, file in texts.items():
            try:
                captions[stem] = " ".join(read_text(file).split())
            except TextError as error:
                raise DataError(f"{file.name}: {error}") from error
        if captions:
            known = {path.stem: path.name for path in self.clips.iterdir()} if self.clips.is_dir() else {}
            if missing := [stem for stem in captions if stem not in known]:
                raise DataError(f"{missing[0]}.txt: there is no clip of that name; drop the clip with it")
            self._write_captions(self.captions() | {known[stem]: text for stem, text in captions.items()})
        return len(others), len(captions)

    def captions(self) -> dict[str, str]:
        """Clip or source file -> caption."""
        if not self._captions.is_file():
            return {}
        rows = csv.DictReader(io.StringIO(read_text(self._captions)))
        return {row["clip_id"] or row["source_path"]: row["caption"] for row in rows}

    def write_caption(self, clip_id: str, text: str) -> None:
        """Give a clip a caption; an empty one takes it away."""
        captions = self.captions()
        captions[clip_id] = " ".join(text.split())
        self._write_captions(captions)

    def _write_captions(self, captions: Mapping[str, str]) -> None:
        written = io.StringIO()
        table = csv.writer(written)
        table.writerow(("clip_id", "source_path", "caption"))
        for name, text in captions.items():
            of_file = (self.clips / name).is_file()
            if text:
                table.writerow(("" if of_file else name, name if of_file else "", text))
        write_text(self._captions, written.getvalue())

    def label(self, clip_id: str, emotion: str) -> None:
        """Keep what a person sees in a clip; a second answer replaces the first.

        Raises:
            DataError: no such clip, or no such answer.
        """
        store = self._store()
        store.add_items([clip.clip_id for clip in self.rows() if clip.clip_id])
        try:
            store.vote(ME, clip_id, emotion)
        except ValueError as error:
            raise DataError(str(error)) from error

    def _store(self) -> LabelStore:
        return LabelStore(self.set / "labels.sqlite", Plan(annotators=1, repeat_every=0, audit_share=0.0))

    def labels(self) -> dict[str, str]:
        """Clip -> the newest answer that anybody gave to it."""
        if not (self.set / "labels.sqlite").is_file():
            return {}
        return {vote["clip_id"]: vote["emotion"] for vote in self._store().votes()}

    def rows(self) -> list[Clip]:
        """Every clip, and every file that could not be read."""
        captions, labels = self.captions(), self.labels()
        return [self._row(row, captions, labels) for row in Workspace(self.set).clips()]

    def _row(self, row: Mapping[str, Any], captions: Mapping[str, str], labels: Mapping[str, str]) -> Clip:
        clip_id = row.get("clip_id")
        source = str(row.get("source_path") or row.get("source_key") or "")
        path = Path(str(row.get("source_folder") or self.clips)) / source
        caption = captions.get(str(clip_id), captions.get(source, row.get("caption") or ""))
        label = labels.get(str(clip_id), row.get("emotion") or "")
        problem = str(row.get("error") or "")
        if not problem and row.get("dropped"):
            problem = f"left out: {row['dropped']}"
        if not problem and row.get("duplicate_of"):
            problem = f"the same as {row['duplicate_of']}"
        if not problem:
            needed = {"caption": caption, "label": label and label != UNSURE}
            missing = [what for what, there in needed.items() if not there]
            problem = f"no {' and no '.join(missing)} yet" if missing else ""
        if not problem and label == NONE:
            problem = "no specific emotion: training leaves it out"
        film = row.get("kind") == "video" and row.get("end") is not None
        return Clip(str(clip_id) if clip_id else None, path, row.get("start") if film else None,
                    row.get("end") if film else None, caption, label, problem)  # fmt: skip

    def words(self, domain: str = "movie", cut: bool = False) -> list[str]:
        """Write the recipe of what there is, and return the command of emogen that carries it out.

        Args:
            cut: whether films are cut at shots; else every file is one clip.

        Raises:
            DataError: there is no clip.
        """
        if not self.clips.is_dir() or not any(self.clips.iterdir()):
            raise DataError(f"{self.clips} holds no clip; drop some first")
        recipe: dict[str, Any] = {
            "sources": [{"folder": str(self.clips), "domain": domain.strip() or "movie"}],
            "keep_audio": False,
            "scenes": {"detector": "content"} if cut else {"detector": "none", "min_seconds": 0.0, "max_seconds": 600},
            "merge": {"annotators": 1, "agree": 1}, "split": {"train": 0.9, "val": 0.1, "test": 0.0},
        }  # fmt: skip
        if any(self.captions().values()):
            recipe["captions"] = str(self._captions)
        if self.labels():
            recipe["votes"] = str(self._write_votes())
        write_text(self.recipe, yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
        return ["data", "run", str(self.recipe), "--output_dir", str(self.set), "--workers", "1", "--quiet"]

    def _write_votes(self) -> Path:
        written = io.StringIO()
        table = csv.writer(written)
        table.writerow(("clip_id", "annotator", "emotion"))
        for vote in self._store().votes():
            if vote["round"] == 1:
                table.writerow((vote["clip_id"], vote["annotator"], vote["emotion"]))
        path = self.folder / "votes.csv"
        write_text(path, written.getvalue())
        return path


def next_open(rows: Sequence[Clip], after: str | None) -> str | None:
    """The first clip behind `after`, and then from the beginning, that still lacks caption or label."""
    ids = [clip.clip_id for clip in rows]
    start = ids.index(after) + 1 if after in ids else 0
    for clip in (*rows[start:], *rows[:start]):
        if clip.clip_id and clip.problem.startswith("no "):
            return clip.clip_id
    return None
