"""Votes in files of other forms: a long table and Label Studio's JSON (both ways), and the files of `emogen study`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from emogen.curation.labels import ANSWERS, UNSURE, answers
from emogen.curation.stage import Row, StageError
from emogen.data.tables import Columns, good_rows
from emogen.text_files import TextError, read_json

FORMATS = ("csv", "label_studio")
_TABLE = Columns({**dict.fromkeys(("clip_id", "annotator", "emotion", "source_path"), str), "round": int,
                  "seconds": float, "audit": bool, "gold": str}, needs=("clip_id", "source_path"))  # fmt: skip
_COLUMNS = ("clip_id", "annotator", "emotion", "round", "seconds", "when", "audit", "gold")

LABEL_STUDIO_CONFIG = (
    '<View><Video name="video" value="$video"/><Choices name="emotion" toName="video" choice="single-radio">'
    + "".join(f'<Choice value="{answer}"/>' for answer in (*ANSWERS, UNSURE))
    + "</Choices></View>"
)
"""The labelling interface that reads and writes what is read and written here."""


def read_vote_files(paths: Sequence[Path], clips: Iterable[Row], key: Path | None = None) -> tuple[list[Row], int]:
    """Votes of files of any of the three forms, and how many are on clips that are not here.

    Args:
        clips: rows of the working table; a vote names one by `clip_id`, or by its source file if it is the only scene.
        key: the key that `emogen study` left, for its vote files.

    Raises:
        StageError, RecordError, VoteError: a file cannot be read, or a vote means nothing.
    """
    names = _names(clips)
    votes: list[Row] = []
    strangers = 0
    for path in paths:
        for vote in _read(Path(path), key):
            clip = names.get(str(vote.get("clip_id"))) or names.get(str(vote.get("source_path")))
            strangers += clip is None
            votes.append(vote | {"clip_id": clip or vote.get("clip_id") or vote.get("source_path")})
    answers(votes)  # refuses what means nothing
    known = set(names.values())
    return [vote for vote in votes if vote["clip_id"] in known], strangers


def _names(clips: Iterable[Row]) -> dict[str, str]:
    """What a clip may be called -> its id. Names that could mean two clips mean none."""
    found: dict[str, str] = {}
    counts: Counter[str] = Counter()
    rows = [row for row in clips if row.get("clip_id")]
    for row in rows:
        path = PurePosixPath(row["source_path"])
        for name in {path.as_posix(), path.name, path.stem}:
            counts[name] += 1
            found[name] = row["clip_id"]
    found = {name: clip for name, clip in found.items() if counts[name] == 1}
    return found | {row["clip_id"]: row["clip_id"] for row in rows}


def _read(path: Path, key: Path | None) -> list[Row]:
    if path.suffix.lower() != ".json":
        return [row for _, _, row in good_rows(path, _TABLE)]
    content = _json(path)
    if isinstance(content, list):
        return _label_studio(path, content)
    if isinstance(content, Mapping) and isinstance(content.get("votes"), Mapping):
        if key is None:
            raise StageError(f"{path}: holds votes of a study; give its key with --key (FOLDER.key.json)")
        return _study(path, content, _json(key))
    raise StageError(f"{path}: is neither Label Studio's export (a list of tasks) nor a study's votes")


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, TextError, ValueError) as error:
        raise StageError(f"{path}: cannot be read ({error})") from error


def _label_studio(path: Path, tasks: list[Any]) -> list[Row]:
    found: list[Row] = []
    for number, task in enumerate(tasks, start=1):
        data = task.get("data") if isinstance(task, Mapping) else None
        if not isinstance(data, Mapping):
            raise StageError(f"{path} task {number}: has no data")
        shown = next((str(data[name]) for name in ("source_path", "video", "image") if data.get(name)), None)
        times: Counter[str] = Counter()
        for annotation in task.get("annotations") or task.get("completions") or ():
            if annotation.get("was_cancelled"):
                continue
            who = annotation.get("completed_by")
            if isinstance(who, Mapping):
                who = who.get("email") or who.get("id")
            values = [one.get("value") or {} for one in annotation.get("result") or ()]
            chosen = [choice for value in values for choice in value.get("choices") or ()]
            if not chosen:
                continue
            if len(chosen) > 1:
                raise StageError(f"{path} task {number}: an annotation has {len(chosen)} choices; one is a vote")
            times[str(who)] += 1
            vote = {
                "clip_id": data.get("clip_id"), "source_path": shown, "annotator": str(who), "emotion": str(chosen[0]),
                "round": times[str(who)], "seconds": annotation.get("lead_time"), "audit": data.get("audit"),
                "gold": data.get("gold"),
            }  # fmt: skip
            found.append({name: value for name, value in vote.items() if value is not None})
    return found


def _study(path: Path, content: Mapping[str, Any], key: Any) -> list[Row]:
    questions = key.get("questions") if isinstance(key, Mapping) else None
    if not isinstance(questions, Mapping) or key.get("study") != content.get("study"):
        raise StageError(f"{path}: belongs to study {content.get('study')!r}, not to that of the key")
    found = []
    for question, given in content["votes"].items():
        about = questions.get(question)
        if about is None or "left" in about or not isinstance(given, Mapping):
            continue  # a pair tells which clip is better, not what one shows
        found.append({"clip_id": about.get("clip"), "annotator": str(content.get("voter")),
                      "emotion": given.get("answer"), "round": 1, "seconds": given.get("seconds")})  # fmt: skip
    return found


def to_label_studio(clips: Iterable[Row], votes: Iterable[Mapping[str, Any]]) -> str:
    """Clips with their votes as Label Studio's tasks, in JSON. `LABEL_STUDIO_CONFIG` is the interface they fit."""
    by_clip: dict[str, list[Mapping[str, Any]]] = {}
    for vote in votes:
        by_clip.setdefault(str(vote["clip_id"]), []).append(vote)
    tasks = []
    for number, row in enumerate((row for row in clips if row.get("clip_id")), start=1):
        given = sorted(by_clip.get(row["clip_id"], ()), key=lambda vote: vote.get("round") or 1)
        data = {"clip_id": row["clip_id"], "video": row["source_path"]} | {k: row.get(k) for k in ("start", "end")}
        for name in ("audit", "gold"):
            if given and given[0].get(name):
                data[name] = given[0][name]
        annotations = [
            {
                "completed_by": {"email": vote["annotator"]},
                "lead_time": vote.get("seconds"),
                "result": [{"from_name": "emotion", "to_name": "video", "type": "choices",
                            "value": {"choices": [vote["emotion"]]}}],
            }
            for vote in given
        ]  # fmt: skip
        tasks.append({"id": number, "data": data, "annotations": annotations})
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"


def to_csv(votes: Iterable[Mapping[str, Any]]) -> str:
    """Votes as a long table, a row a vote."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(votes)
    return text.getvalue()
