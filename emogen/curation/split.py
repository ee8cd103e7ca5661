"""Training, validation and test parts that share no film, no character and no near-duplicate.

Clips are joined to clusters first: by their group, and by perceptual hashes that nearly agree. A cluster goes to one
part as a whole. Clusters are dealt out one by one, the largest first, each to the part that lacks most of what it
holds, so that every part has about the same shares of domains and emotions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from emogen.emotion import MIKELS
from emogen.files import fingerprint_bytes

SHARES = {"train": 0.9, "val": 0.05, "test": 0.05}
NEAR = 10
"""Bits of 192 in which near-duplicates may differ (see `near_duplicates`)."""
_BLOCK = 1 << 20
"""Pairs that are compared at once."""


class SplitError(ValueError):
    """The parts that are asked for cannot be made; the message names what is short."""


def near_duplicates(hashes: Mapping[str, str], most: int = NEAR) -> list[tuple[str, str]]:
    """Clips whose perceptual hashes differ in at most `most` bits, as the pairs that join them.

    Clips that are near each other, directly or over others, hang together by one pair less than they are many, so that
    thousands of black clips are no millions of pairs.

    Args:
        hashes: clip -> hexadecimal digits, all of one length: the difference hashes of three frames, 64 bits each.

    Returns:
        (an earlier clip, a later one), in the order of names.
    """
    names = sorted(hashes)
    if len({len(hashes[name]) for name in names}) > 1:
        raise ValueError("perceptual hashes of different lengths")
    if not names:
        return []
    bits = np.array([list(bytes.fromhex(hashes[name])) for name in names], np.uint8)
    table = np.array([bin(value).count("1") for value in range(256)], np.uint8)
    of = np.arange(len(names))  # the first clip of those that each hangs together with
    found = []
    size = max(1, _BLOCK // len(names))
    for start in range(0, len(names), size):
        block = bits[start : start + size]
        differ = np.zeros((len(block), len(names) - start), np.uint16)
        for column in range(bits.shape[1]):  # a byte at a time keeps the memory flat
            differ += table[block[:, column, None] ^ bits[None, start:, column]]
        for row, near in enumerate(differ <= most):
            near[:row] = False  # were compared before
            others = start + np.flatnonzero(near)
            parts, first = np.unique(of[others], return_index=True)
            for part, other in zip(parts, others[first], strict=True):
                if part != of[start + row]:
                    found.append((names[start + row], names[other]))
                    low, high = sorted((int(part), int(of[start + row])))
                    of[of == high] = low
    return sorted(found)


def clusters(rows: Sequence[Mapping[str, Any]], pairs: Iterable[tuple[str, str]] = ()) -> list[list[str]]:
    """Clips that must stay together: of one group, or joined by pairs. A clip without a group is its own.

    Args:
        rows: with `clip_id` and perhaps `group`.
        pairs: of clips, such as `near_duplicates` gives.
    """
    parent = {str(row["clip_id"]): str(row["clip_id"]) for row in rows}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    first: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.get("group"):
            key = (str(row.get("domain") or ""), str(row["group"]))
            parent[root(str(row["clip_id"]))] = root(first.setdefault(key, str(row["clip_id"])))
    for one, other in pairs:
        if one in parent and other in parent:
            parent[root(one)] = root(other)
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(parent):
        found[root(name)].append(name)
    return sorted(found.values())


def split(
    rows: Sequence[Mapping[str, Any]],
    pairs: Iterable[tuple[str, str]] = (),
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
) -> dict[str, str]:
    """Clip -> part.

    Args:
        rows: with `clip_id` and perhaps `group`, `domain`, `emotion`.
        pairs: near-duplicates, which stay together.
        shares: part -> share of the clips, which add up to 1.

    Raises:
        SplitError: the shares do not add up to 1.
    """
    if abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values()) < 0:
        raise SplitError(f"the shares of {', '.join(shares)} add up to {sum(shares.values()):g}, not 1")
    kind = {str(row["clip_id"]): (row.get("domain"), row.get("emotion")) for row in rows}
    total = Counter(kind.values())
    missing = {part: {k: share * n for k, n in total.items()} for part, share in shares.items()}
    parts = [part for part in shares if shares[part] > 0]
    found: dict[str, str] = {}
    for cluster in sorted(clusters(rows, pairs), key=lambda names: (-len(names), _chance(seed, names[0]))):
        held = Counter(kind[name] for name in cluster)

        def lack(part: str, held: Counter = held) -> tuple[float, float]:
            """How much of the cluster the part still lacks; then, how empty it is for its size."""
            fits = sum(min(count, max(0.0, missing[part][k])) for k, count in held.items())
            return fits / len(cluster), sum(missing[part].values()) / shares[part]  # noqa: B023

        part = max(parts, key=lack)
        for name in cluster:
            found[name] = part
            missing[part][kind[name]] -= 1
    return found


def beyond(
    rows: Sequence[Mapping[str, Any]], parts: Mapping[str, str], most: Mapping[str, int], seed: int = 0
) -> list[str]:
    """Clips that are too many: labelled ones of the training part beyond `most` of their domain, drawn at random, as
    EmoVid trains on 8,000 of its movie clips.

    Args:
        rows: with `clip_id`, `domain` and `emotion`.
        parts: clip -> part, of `split`.
        most: domain -> how many clips of it are trained on.
    """
    found = []
    for domain, count in most.items():
        trained = [row for row in rows if row.get("emotion") and parts.get(row["clip_id"]) == "train"]
        here = [row["clip_id"] for row in trained if row.get("domain") == domain]
        found += sorted(here, key=lambda clip: _chance(seed, clip))[count:]
    return found


def benchmark(
    rows: Sequence[Mapping[str, Any]],
    pairs: Iterable[tuple[str, str]] = (),
    domains: Sequence[str] = ("animation", "movie", "sticker"),
    per_cell: int = 10,
    seed: int = 0,
) -> set[str]:
    """Clips for a benchmark as EmoVid's: of every domain and emotion the same number, all labelled by people, no two of
    one cluster.

    Raises:
        SplitError: naming every cell that is short.
    """
    where = {name: number for number, names in enumerate(clusters(rows, pairs)) for name in names}
    cells: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        if row.get("label_kind") == "human" and row.get("emotion") in MIKELS:
            cells[str(row.get("domain")), str(row["emotion"])].append(str(row["clip_id"]))
    chosen: set[str] = set()
    taken: set[int] = set()
    short = []
    # the scarcest cells choose first, for clusters are shared
    order = sorted(((d, e) for d in domains for e in MIKELS), key=lambda cell: len(cells[cell]))
    for cell in order:
        here = []
        for name in sorted(cells[cell], key=lambda name: _chance(seed, name)):
            if len(here) < per_cell and where[name] not in taken:
                here.append(name)
                taken.add(where[name])
        if len(here) < per_cell:
            short.append(f"{cell[0]}/{cell[1]} {len(here)}")
        chosen.update(here)
    if short:
        raise SplitError(
            f"a benchmark of {per_cell} clips a cell needs more that people have labelled, each of another film or "
            f"character; short are: {', '.join(short)}"
        )
    return chosen


def _chance(seed: int, name: str) -> str:
    """An order that depends on the seed and the clip alone, not on the other clips."""
    return fingerprint_bytes(f"{seed}/{name}".encode())
