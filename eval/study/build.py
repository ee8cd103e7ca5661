"""Build the page: blind pairs of two systems, and clips whose emotion is to be named."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emogen.emotion import MIKELS
from emogen.eval.benchmark.results import ForStudy, inside
from emogen.eval.benchmark.systems import MADE_HERE
from emogen.eval.study.page import Words, study_page
from emogen.files import atomic, fingerprint_bytes, fingerprint_value, write_json, write_text
from emogen.settings import ConfigError
from emogen.settings.json_file import check_json
from emogen.settings.paths import check_output_folder

STUDY_FILE = "study.json"
"""The questions as the page holds them, for the server."""
KINDS = (".png", ".apng", ".webp", ".gif", ".mp4", ".webm", ".jpg", ".jpeg")
"""Endings that a browser shows; what else a results file names is not copied."""


@dataclass(frozen=True)
class Asked:
    """What a study asks.

    Attributes:
        pairs: at most so many A/B questions ("which shows EMOTION better?"), spread evenly over the emotions.
        names: at most so many clips, from both systems alike, whose emotion is asked for.
        seed: of the choice, the order and the sides.
    """

    pairs: int = 40
    names: int = 24
    seed: int = 0

    def check(self) -> None:
        """Refuse what cannot be asked.

        Raises:
            ConfigError: names the flag.
        """
        for flag, count in vars(self).items():
            if not 0 <= count < 2**63:
                raise ConfigError(f"--{flag} must be from 0 to 2**63 - 1, not {count}")
        if self.pairs + self.names == 0:
            raise ConfigError("--pairs and --names are both 0: there is nothing to ask")


def build_study(
    results: Mapping[str, Any],
    clips: Path,
    out: Path,
    systems: Sequence[str],
    asked: Asked,
    words: Words | None = None,
    allowed: Sequence[Path] = (),
) -> dict[str, int]:
    """Write a folder that any web server, or a file manager, can show: `index.html`, the clips under names that tell
    nothing, and beside the folder its key, which stays at home.

    Args:
        results: a results.json of `emogen eval`.
        clips: the folder of that evaluation.
        out: made anew; must not exist.
        systems: the two that are compared.
        asked: how many questions of each kind.
        words: what the page says beside them.
        allowed: folders besides `clips` that clips may be copied from. A results file may come from a stranger, and
            what is copied is shown to the world.

    Returns:
        How many questions of each kind.

    Raises:
        ConfigError: a system is not in the results, the folder exists, no clip is in both, or a clip lies elsewhere.
    """
    check_json(results, ForStudy, "results.json: holds no results of an evaluation")
    if len(systems) != 2 or systems[0] == systems[1]:
        raise ConfigError(f"--systems takes two different ones, not {', '.join(systems)}")
    check_output_folder(out)
    if out.exists():
        raise ConfigError(f"{out} exists; choose another folder, so that votes are not mixed")
    asked.check()
    rows = {name: {r["clip"]: r for r in results["rows"] if r["system"] == name} for name in systems}
    for name in systems:
        if not rows[name]:
            known = sorted({row["system"] for row in results["rows"]})
            raise ConfigError(f"--systems: {name!r} has no clips; there are {', '.join(known)}")
    common = [clip for clip in rows[systems[0]] if clip in rows[systems[1]]]
    if not common:
        raise ConfigError(f"{systems[0]} and {systems[1]} have no prompt, emotion and seed in common")
    random = np.random.default_rng(asked.seed)
    chosen = _evenly(common, rows[systems[0]], asked.pairs, random)
    named = [(systems[i % 2], clip) for i, clip in enumerate(_evenly(common, rows[systems[0]], asked.names, random))]
    sources = {
        (name, clip): _source(name, rows[name][clip], clips, results, allowed)
        for name, clip in [*((name, clip) for clip in chosen for name in systems), *named]
    }
    questions, key = [], {}
    with atomic(out) as temporary:
        (temporary / "clips").mkdir(parents=True)

        def copied(name: str, clip: str) -> str:
            """The clip under a name that tells nothing of the system or the emotion."""
            source = sources[name, clip]
            hidden = fingerprint_bytes(f"{asked.seed}/{name}/{clip}".encode())[:16] + source.suffix.lower()
            shutil.copyfile(source, temporary / "clips" / hidden)
            return f"clips/{hidden}"

        for clip in chosen:
            left, right = (systems[i] for i in random.permutation(2))
            row = rows[left][clip]
            question = {"kind": "pair", "emotion": row["emotion"], "prompt": row["prompt"]}
            question |= {side: copied(name, clip) for side, name in (("left", left), ("right", right))}
            questions.append(question)
            key[_id(question)] = {**_about(clip, row), "left": left, "right": right}
        for name, clip in named:
            row = rows[name][clip]
            question = {"kind": "name", "clip": copied(name, clip)}
            questions.append(question)
            judge = row["judges"][results["summary"]["judge"]]["read"]
            key[_id(question)] = {**_about(clip, row), "system": name, "judge": judge}
        study = fingerprint_value(questions)[:12]
        data = {"study": study, "emotions": list(MIKELS), "questions": [{**q, "id": _id(q)} for q in questions]}
        write_text(temporary / "index.html", study_page(data, words or Words()))
        write_json(temporary / STUDY_FILE, data, 1)
    write_json(out.with_name(f"{out.name}.key.json"), {"study": study, "systems": list(systems), "questions": key}, 1)
    return {"pairs": len(chosen), "names": len(named)}


def _about(clip: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {"clip": clip, "emotion": row["emotion"], "prompt": row["prompt"]}


def _id(question: Mapping[str, Any]) -> str:
    return fingerprint_value(question)[:10]


def _evenly(clips: Sequence[str], rows: Mapping[str, Mapping], count: int, random: np.random.Generator) -> list[str]:
    """At most `count` clips in random order, the emotions in turn."""
    by_emotion: dict[str, list[str]] = {}
    for index in random.permutation(len(clips)):
        by_emotion.setdefault(rows[clips[index]]["emotion"], []).append(clips[index])
    turns = [group[turn] for turn in range(len(clips)) for group in by_emotion.values() if turn < len(group)]
    picked = turns[:count]
    return [picked[i] for i in random.permutation(len(picked))]


def _source(
    system: str, row: Mapping[str, Any], clips: Path, results: Mapping[str, Any], allowed: Sequence[Path]
) -> Path:
    """Where a clip lies, links followed; in the evaluation's folder, or in one that is allowed.

    Raises:
        ConfigError: it lies elsewhere, is no clip by its ending, or is not there.
    """
    made = next(one for one in results["config"]["systems"] if one["name"] == system)
    folder = clips if made["clips"] in MADE_HERE else Path(made["clips"])
    try:
        source = inside(folder, row["file"])
    except ValueError as error:
        raise ConfigError(f"systems.{system}: {error}; it is not copied") from None
    if not any(source.is_relative_to(place.resolve()) for place in (clips, *allowed)):
        raise ConfigError(f"systems.{system}: its clips lie in {folder}, outside {clips}; if they may be shown, add "
                          f"--clips {folder}")  # fmt: skip
    if source.suffix.lower() not in KINDS:
        raise ConfigError(f"systems.{system}: {row['file'][:80]!r} is no clip ({', '.join(KINDS)})")
    if not source.is_file():
        raise ConfigError(f"{source}: the clip is not there any more")
    return source
