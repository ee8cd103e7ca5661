"""Every clip, as it is and made worse: features, flickering and what the judges say."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from emogen.data.records import ClipRecord
from emogen.eval.benchmark.config import EvalConfigError
from emogen.eval.judges.data import ClipReader
from emogen.eval.judges.embedded import Judge
from emogen.eval.metrics import temporal_flickering
from emogen.eval.sanity.corruptions import corrupt

Condition = tuple[str, float]
CLEAN: Condition = ("clean", 0.0)
LEAST = 4
_BATCH = 4  # clips of one shape at a time: small, for a clip of Wan's size is 100 MB


@dataclass
class Readings:
    """What was read, in the order of `records`.

    Attributes:
        features: (network, condition) -> `[n, d]`. flickering: condition -> `[n]`, VBench's score.
        distributions: (judge, condition) -> `[n, 8]`.
        excluded: file name -> why it could not be read.
    """

    records: list[ClipRecord] = field(default_factory=list)
    features: dict[tuple[str, Condition], np.ndarray] = field(default_factory=dict)
    flickering: dict[Condition, np.ndarray] = field(default_factory=dict)
    distributions: dict[tuple[str, Condition], np.ndarray] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)


def read_all(
    records: Sequence[ClipRecord],
    strengths: Mapping[str, Sequence[float]],
    networks: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
    judges: Mapping[str, Judge],
    seed: int = 0,
    quiet: bool = True,
) -> Readings:
    """Read all clips under all conditions.

    Args:
        networks: name -> clips `[B, F, 3, H, W]` to features `[B, d]`.
        seed: of the corruptions; with a clip's name it settles what is done to it.

    Raises:
        EvalConfigError: fewer than `LEAST` clips can be read.
    """
    conditions = [CLEAN, *((name, strength) for name, given in strengths.items() for strength in given)]
    least = max([2, *(getattr(network, "least_frames", 2) for network in networks.values())])
    found, parts = Readings(), {}
    reader = ClipReader(records, batch=_BATCH, quiet=quiet)
    for group, clips in reader:
        if clips.shape[1] < least:
            why = f"has {clips.shape[1]} frames, {least} are needed"
            found.excluded |= {record.file_name: why for record in group}
            continue
        found.records += group
        for condition in conditions:
            spoilt = clips if condition == CLEAN else np.stack([
                corrupt(clip, *condition, seed=(seed, zlib.crc32(record.file_name.encode())))
                for record, clip in zip(group, clips, strict=True)
            ])  # fmt: skip
            tensor = torch.from_numpy(spoilt).permute(0, 1, 4, 2, 3)
            parts.setdefault(("flickering", condition), []).append(temporal_flickering(tensor).numpy())
            for name, network in networks.items():
                with torch.no_grad():
                    values = network(tensor).float().cpu().numpy()
                parts.setdefault(("features", (name, condition)), []).append(values)
            for name, judge in judges.items():
                parts.setdefault(("distributions", (name, condition)), []).append(judge(spoilt).distribution)
    found.excluded |= reader.excluded
    if len(found.records) < LEAST:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(found.excluded.items())[:3])
        raise EvalConfigError(f"{len(found.records)} clips can be read, at least {LEAST} are needed"
                              + (f" ({reasons})" if reasons else ""))  # fmt: skip
    for (what, key), values in parts.items():
        getattr(found, what)[key] = np.concatenate(values)
    return found
