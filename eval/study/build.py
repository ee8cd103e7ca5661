"""Build the page: blind pairs of two systems, and clips whose emotion is to be named."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emogen.emotion import MIKELS
from emogen.eval.benchmark.config import EvalConfigError
from emogen.eval.study.page import PAGE


def build_study(
    results: Mapping[str, Any], clips: Path, out: Path, systems: Sequence[str], pairs: int, names: int, seed: int = 0
) -> dict[str, int]:
    """Write a folder that any web server, or a file manager, can show: `index.html`, the clips under names that tell
    nothing, and beside it `key.json`, which stays at home.

    Args:
        results: a results.json of `emogen eval`.
        clips: the folder of that evaluation.
        out: made anew; must not exist.
        systems: the two that are compared.
        pairs: at most so many A/B questions ("which shows EMOTION better?"), spread evenly over the emotions.
        names: at most so many clips, from both systems alike, whose emotion is asked for.
        seed: of the choice, the order and the sides.

    Returns:
        How many questions of each kind.

    Raises:
        EvalConfigError: a system is not in the results, the folder exists, or no clip is in both.
    """
    if len(systems) != 2 or systems[0] == systems[1]:
        raise EvalConfigError(f"--systems takes two different ones, not {', '.join(systems)}")
    if out.exists():
        raise EvalConfigError(f"{out} exists; choose another folder, so that votes are not mixed")
    rows = {name: {r["clip"]: r for r in results["rows"] if r["system"] == name} for name in systems}
    for name in systems:
        if not rows[name]:
            known = sorted({row["system"] for row in results["rows"]})
            raise EvalConfigError(f"--systems: {name!r} has no clips; there are {', '.join(known)}")
    common = [clip for clip in rows[systems[0]] if clip in rows[systems[1]]]
    if not common:
        raise EvalConfigError(f"{systems[0]} and {systems[1]} have no prompt, emotion and seed in common")
    random = np.random.default_rng(seed)
    chosen = _evenly(common, rows[systems[0]], pairs, random)
    named = [(systems[i % 2], clip) for i, clip in enumerate(_evenly(common, rows[systems[0]], names, random))]
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    (temporary / "clips").mkdir(parents=True)
    questions, key = [], {}
    for clip in chosen:
        left, right = (systems[i] for i in random.permutation(2))
        row = rows[left][clip]
        question = {"kind": "pair", "emotion": row["emotion"], "prompt": row["prompt"]}
        question |= {side: _copy(name, rows[name][clip], clips, temporary, seed, results)
                     for side, name in (("left", left), ("right", right))}  # fmt: skip
        questions.append(question)
        asked = {"clip": clip, "emotion": row["emotion"], "prompt": row["prompt"]}
        key[_id(question)] = {**asked, "left": left, "right": right}
    for name, clip in named:
        row = rows[name][clip]
        question = {"kind": "name", "clip": _copy(name, row, clips, temporary, seed, results)}
        questions.append(question)
        judge = row["judges"][results["summary"]["judge"]]["read"]
        asked = {"clip": clip, "emotion": row["emotion"], "prompt": row["prompt"]}
        key[_id(question)] = {**asked, "system": name, "judge": judge}
    study = hashlib.sha256(json.dumps(questions, sort_keys=True).encode()).hexdigest()[:12]
    data = {"study": study, "emotions": list(MIKELS), "questions": [{**q, "id": _id(q)} for q in questions]}
    page = PAGE.replace("/*DATA*/", json.dumps(data).replace("</", "<\\/"))
    (temporary / "index.html").write_text(page, encoding="utf-8")
    os.replace(temporary, out)
    secret = {"study": study, "systems": list(systems), "questions": key}
    out.with_name(f"{out.name}.key.json").write_text(json.dumps(secret, indent=1), encoding="utf-8")
    return {"pairs": len(chosen), "names": len(named)}


def _id(question: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:10]


def _evenly(clips: Sequence[str], rows: Mapping[str, Mapping], count: int, random: np.random.Generator) -> list[str]:
    """At most `count` clips in random order, the emotions in turn."""
    by_emotion: dict[str, list[str]] = {}
    for index in random.permutation(len(clips)):
        by_emotion.setdefault(rows[clips[index]]["emotion"], []).append(clips[index])
    turns = [group[turn] for turn in range(len(clips)) for group in by_emotion.values() if turn < len(group)]
    picked = turns[:count]
    return [picked[i] for i in random.permutation(len(picked))]


def _copy(system: str, row: Mapping[str, Any], clips: Path, out: Path, seed: int, results: Mapping[str, Any]) -> str:
    """The clip under a name that tells nothing of the system or the emotion."""
    made = next(one for one in results["config"]["systems"] if one["name"] == system)
    folder = clips if made["clips"] in (None, "stickers") else Path(made["clips"])
    source = folder / row["file"]
    if not source.is_file():
        raise EvalConfigError(f"{source}: the clip is not there any more")
    name = hashlib.sha256(f"{seed}/{system}/{row['clip']}".encode()).hexdigest()[:16] + source.suffix
    shutil.copyfile(source, out / "clips" / name)
    return f"clips/{name}"
