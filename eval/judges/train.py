"""Fitting a linear probe to a labelled folder."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from emogen.data.records import ClipRecord
from emogen.emotion import MIKELS, NEUTRAL
from emogen.eval.judges.base import LABELS, verdict_of
from emogen.eval.judges.calibration import fit_temperature
from emogen.eval.judges.card import JudgeCard, TrainingData
from emogen.eval.judges.check import figures_of
from emogen.eval.judges.data import ClipReader, labelled_records
from emogen.eval.judges.encoders import Encoder, load_encoder
from emogen.eval.judges.logistic import Logistic, fit_logistic
from emogen.eval.judges.probe import ProbeJudge
from emogen.eval.judges.spec import JudgeError
from emogen.files import fingerprint_bytes

STRENGTHS = tuple(10.0**power for power in range(-5, 2))
"""The strengths of L2 that are tried, on standardised features."""
PARTS = ("fit", "choose", "report")
HELD_OUT = 0.15
"""Share of the clips to choose by, and of those to report on, where there are no splits."""


def divide(records: Sequence[ClipRecord], group: str | None = None) -> dict[str, list[ClipRecord]]:
    """Clips to fit on, to choose the strength and temperature by, and to report on.

    With splits "train", "val" and "test" these are the three; a missing "test" takes half of "val"; clips without any
    held-out split are divided 70 : 15 : 15 within each label, by the hash of their names, the same in every run.

    Args:
        group: a key of the metadata; clips with one value of it (a character, a film) are never divided.

    Raises:
        JudgeError: a clip has no such key, a group lies in two splits, or a part is empty.
    """
    groups = [_group(record, group) for record in records]
    parts: dict[str, list[ClipRecord]] = {part: [] for part in PARTS}
    held = {r.split for r in records if r.split in ("val", "test")}
    rest: dict[str, list[ClipRecord]] = {}
    for record, name in zip(records, groups, strict=True):
        if not held or (record.split == "val" and "test" not in held) or (record.split == "test" and "val" not in held):
            rest.setdefault(name, []).append(record)
        elif record.split in ("train", "val", "test"):
            parts[{"train": "fit", "val": "choose", "test": "report"}[record.split]].append(record)
    by_label: dict[str, list[str]] = {}
    for name, members in sorted(rest.items(), key=lambda pair: fingerprint_bytes(pair[0].encode())):
        by_label.setdefault(members[0].label, []).append(name)
    for names in by_label.values():
        if held:
            report, choose = len(names) // 2, len(names)
        else:  # a label of few groups goes to fitting first, then to the report
            report = max(round(HELD_OUT * len(names)), int(len(names) > 1))
            choose = report + max(round(HELD_OUT * len(names)), int(len(names) > 2))
        for place, name in enumerate(names):
            parts["report" if place < report else "choose" if place < choose else "fit"] += rest[name]
    _check_parts(parts, dict(zip((r.file_name for r in records), groups, strict=True)), group)
    return parts


def _group(record: ClipRecord, key: str | None) -> str:
    if key is None:
        return record.file_name
    if record.extra.get(key) is None:
        raise JudgeError(f"{record.where}: {record.file_name} has no {key!r}, by which clips are to be grouped")
    return str(record.extra[key])


def _check_parts(parts: Mapping[str, list[ClipRecord]], groups: Mapping[str, str], key: str | None) -> None:
    for part in PARTS:
        if not any(record.label != NEUTRAL for record in parts[part]):
            counts = ", ".join(f"{len(parts[one])} to {one}" for one in PARTS)
            raise JudgeError(f"no clip with an emotion is left to {part} on ({counts}); more clips, or splits train, "
                             "val and test, are needed")  # fmt: skip
    for part, other in (("fit", "choose"), ("fit", "report"), ("choose", "report")):
        both = {groups[r.file_name] for r in parts[part]} & {groups[r.file_name] for r in parts[other]}
        if both:
            raise JudgeError(f"{key} {sorted(both)[0]!r} lies in two splits; what is held out must hold other groups")


def train_probe(
    data: str | Path,
    encoder: str,
    out: str | Path,
    *,
    name: str | None = None,
    frames: int = 8,
    group: str | None = None,
    licence: str = "not stated",
    device: str = "cpu",
    quiet: bool = False,
    say: Callable[[str], None] = print,
) -> ProbeJudge:
    """Fit a probe, choose its strength of L2 and its temperature on held-out clips, and report on others.

    Args:
        data: a folder with metadata, read by `emogen.data.records`. encoder: see `load_encoder`.
        out: the probe's folder. group: see `divide`.

    Raises:
        JudgeError: no such data or encoder, too few clips or labels, or unreadable clips of a whole part.
    """
    records = labelled_records(data)
    parts = divide(records, group)
    labels = {record.label for record in parts["fit"]} - {NEUTRAL}
    if len(labels) < 2:
        raise JudgeError(f"{data}: all clips to fit on show {', '.join(labels)}; two emotions or more are needed")
    network = load_encoder(encoder, frames, device)
    classes = len(LABELS) if any(r.label == NEUTRAL for r in parts["fit"]) else len(MIKELS)
    read = {part: _features(network, parts[part], classes, say, quiet) for part in PARTS}
    head, strength = _choose(read["fit"], read["choose"], classes)
    say(f"L2 {strength:g} of {', '.join(f'{s:g}' for s in STRENGTHS)}")
    scores, truth = _eight(head, read["choose"])
    # where all are read right, ever smaller temperatures are ever more likely: there is nothing to fit
    temperature = fit_temperature(scores, truth) if (scores.argmax(1) != truth).any() else 1.0
    card = _card(name or Path(out).name, encoder, data, read, head, temperature, licence)
    missing = [label for label in MIKELS if label not in labels]
    if missing:
        say(f"no clip to fit on shows {', '.join(missing)}: the probe will never say it")
    settings = {"frames": frames, "l2": strength, "group": group, "missing": missing}
    judge = ProbeJudge(network, head, card, temperature=temperature, settings=settings)
    judge.save(out)
    return judge


class _Read:
    """Features and labels of one part."""

    def __init__(self, records: list[ClipRecord], features: torch.Tensor):
        self.records, self.features = records, features
        self.target = torch.tensor([LABELS.index(record.label) for record in records])


def _features(
    network: Encoder, records: Sequence[ClipRecord], classes: int, say: Callable[[str], None], quiet: bool
) -> _Read:
    """Read every clip once. Neutral clips are left out where the probe does not learn neutral."""
    reader = ClipReader([r for r in records if LABELS.index(r.label) < classes], quiet=quiet)
    kept: list[ClipRecord] = []
    found = []
    for part, clips in reader:
        found.append(network(clips))
        kept += part
    for name, why in reader.excluded.items():
        say(f"left out: {name}: {why}")
    if not any(record.label != NEUTRAL for record in kept):
        first = ": ".join(next(iter(reader.excluded.items()), ("", "all are neutral")))
        raise JudgeError(f"none of {len(records)} clips with an emotion could be read; the first: {first}")
    return _Read(kept, torch.cat(found))


def _choose(fit: _Read, choose: _Read, classes: int) -> tuple[Logistic, float]:
    """The strength with the least class-balanced loss on the clips to choose by; of equals the stronger."""
    best: tuple[float, Logistic, float] | None = None
    for strength in sorted(STRENGTHS, reverse=True):
        head = fit_logistic(fit.features, fit.target, classes, strength)
        scores, truth = _eight(head, choose)
        told = torch.nn.functional.cross_entropy(torch.from_numpy(scores), torch.from_numpy(truth), reduction="none")
        loss = float(np.mean([told[truth == label].mean() for label in np.unique(truth)]))
        if best is None or loss < best[0]:
            best = loss, head, strength
    return best[1], best[2]


def _eight(head: Logistic, part: _Read) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the eight `[n, 8]` and their targets, of the clips that show one of them."""
    shown = part.target < len(MIKELS)
    return head.scores(part.features[shown])[:, : len(MIKELS)].numpy(), part.target[shown].numpy()


def _card(
    name: str,
    encoder: str,
    data: str | Path,
    read: Mapping[str, _Read],
    head: Logistic,
    temperature: float,
    licence: str,
) -> JudgeCard:
    used = [*read["fit"].records, *read["choose"].records]
    counts = Counter(record.label for record in read["fit"].records)
    about = (f"{Path(data).name}: {len(read['fit'].records)} clips fitted on ("
             + ", ".join(f"{label} {counts[label]}" for label in LABELS if counts[label])
             + f"), {len(read['choose'].records)} to choose L2 and temperature by; the encoder {encoder} is as "
             "pretrained")  # fmt: skip
    scores, truth = _eight(head, read["report"])
    figures = figures_of(verdict_of(torch.from_numpy(scores)).distribution, [MIKELS[place] for place in truth])
    # the temperature was fitted on other clips, so here it is held out as it is
    scaled = verdict_of(torch.from_numpy(scores / temperature)).distribution
    after = figures_of(scaled, [MIKELS[place] for place in truth])
    figures |= {"temperature": temperature, "ece_after": after["ece_before"], "nll_after": after["nll_before"]}
    neutral = [r for r in read["report"].records if r.label == NEUTRAL]
    sure = verdict_of(head.scores(read["report"].features) / temperature).confidence
    shown = (read["report"].target < len(MIKELS)).numpy()
    figures["confidence"] = float(sure[shown].mean())
    figures["neutral"] = {"n": len(neutral), "confidence": float(sure[~shown].mean()) if neutral else None}
    return dataclasses.replace(
        JudgeCard(name, "probe", encoder, licence, temperature), training=TrainingData.of(used, about),
        held_out={f"{Path(data).name} (held out)": figures},
    )  # fmt: skip
