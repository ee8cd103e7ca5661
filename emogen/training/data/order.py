"""The order clips are trained in: every global batch is of one bucket and a function of the seed and its number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from emogen.files import fingerprint_bytes


class BatchOrder:
    """An endless run of shuffled epochs of equal length, cut into global batches.

    A *global batch* is what one optimizer step sees: batch size x processes x accumulation clips, all of one bucket.
    Which clips they are depends on nothing but the arguments and the step. So a run that resumes goes on exactly, and
    however many processes share a step, each taking its rows of the global batch, they make the same step.

    An epoch holds whole batches only: in each bucket, as many as its clips need, rounded up, and the places left over
    are filled by repeating clips of the bucket, others in every epoch. Unbalanced, an epoch thus shows every clip at
    least once, and a clip again only to fill a batch; a bucket of fewer clips than a batch shows them several times
    (`describe` says how often). The batches of the buckets come mixed.

    Args:
        labels: the label of every clip.
        buckets: the bucket of every clip.
        size: clips of a global batch.
        seed: of the shuffling.
        balance: 0 shows every clip once an epoch; 1 shows every label equally often, repeating the clips of rare
            labels and leaving out some of frequent ones, others in every epoch; in between, a clip's weight is
            count ** -balance, with the count of its label over all buckets.

    Raises:
        ValueError: no clips, or arguments that do not go together.
    """

    def __init__(self, labels: Sequence[str], buckets: Sequence[Hashable], size: int, seed: int, balance: float = 0.0):
        if not labels or len(buckets) != len(labels):
            raise ValueError(f"an order needs clips and a bucket for each: {len(labels)} clips, {len(buckets)} buckets")
        if size < 1 or not 0 <= balance <= 1:
            raise ValueError(f"size is {size} and balance {balance:g}; they must be at least 1 and between 0 and 1")
        counts = Counter(labels)
        self.size, self.seed, self.balance = size, seed, balance
        self._buckets = list(dict.fromkeys(buckets))
        weights = np.array([counts[label] ** -balance for label in labels])
        members = {bucket: [] for bucket in self._buckets}
        for index, bucket in enumerate(buckets):
            members[bucket].append(index)
        self._members = [np.array(members[bucket]) for bucket in self._buckets]
        self._weights = [weights[rows] for rows in self._members]
        # the share of the epoch that is a bucket's, in clips; the subtrahend is for rounding errors
        shares = [len(labels) * own.sum() / weights.sum() for own in self._weights]
        self._batches = [max(1, math.ceil(share / size - 1e-9)) for share in shares]
        self._epoch: tuple[int, list[tuple[int, list[int]]]] = (-1, [])

    def __len__(self) -> int:
        """Global batches an epoch."""
        return sum(self._batches)

    def __call__(self, step: int) -> list[int]:
        """The clips of a step's global batch, `size` of one bucket; steps are counted from 0 over all epochs."""
        return list(self._at(step)[1])

    def bucket(self, step: int) -> Hashable:
        """The bucket of a step's global batch."""
        return self._buckets[self._at(step)[0]]

    def describe(self) -> str:
        """The length of an epoch and, a line each, how often the clips of each bucket are shown in it."""
        total = sum(len(rows) for rows in self._members)
        lines = [f"{total} clips in batches of {self.size}: {len(self)} batches an epoch"]
        for (bucket, often), rows, batches in zip(self.often().items(), self._members, self._batches, strict=True):
            lines.append(f"  {bucket}: {len(rows)} clips, {batches} batches, each clip {often:.2f} times on average")
        return "\n".join(lines)

    def often(self) -> dict[Hashable, float]:
        """How often an epoch shows a clip of each bucket, on average."""
        parts = zip(self._buckets, self._members, self._batches, strict=True)
        return {bucket: batches * self.size / len(rows) for bucket, rows, batches in parts}

    def _at(self, step: int) -> tuple[int, list[int]]:
        if step < 0:
            raise ValueError(f"there is no step {step}")
        epoch, place = divmod(step, len(self))
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._draw(epoch))
        return self._epoch[1][place]

    def _draw(self, epoch: int) -> list[tuple[int, list[int]]]:
        """The batches of an epoch, each with the number of its bucket."""
        drawn = []
        for number, batches in enumerate(self._batches):
            picks = self._pick(number, batches * self.size, epoch)
            drawn += [(number, rows.tolist()) for rows in picks.reshape(batches, self.size)]
        return [drawn[place] for place in _shuffle(len(drawn), "batches", self.seed, epoch)]

    def _pick(self, number: int, count: int, epoch: int) -> np.ndarray:
        """`count` clips of a bucket in random order, each floor or ceil of its share of times."""
        rows, weights = self._members[number], self._weights[number]
        keys = (self.seed, epoch, number)
        order = _shuffle(len(rows), "clips", *keys)
        if not self.balance:
            return rows[np.resize(order, count)]  # what fills the last batch is the epoch's first clips, not in it
        edges = weights[order].cumsum()  # systematic resampling: evenly spaced ticks on the clips laid end to end
        ticks = (np.arange(count) + _uniform("start", *keys)) / count * edges[-1]
        picks = np.searchsorted(edges, ticks, side="right").clip(max=len(rows) - 1)
        return rows[order[picks]][_shuffle(count, "mix", *keys)]


def _raw(count: int, *keys: int | str) -> np.ndarray:
    """Random 64-bit numbers of a stream of their own. NumPy keeps raw streams the same over versions, but not what
    its distributions make of them, and a run may resume after an update."""
    seed = int(fingerprint_bytes("/".join(map(str, keys)).encode())[:32], 16)
    return np.random.PCG64(seed).random_raw(count)


def _shuffle(count: int, *keys: int | str) -> np.ndarray:
    return np.argsort(_raw(count, *keys), kind="stable")


def _uniform(*keys: int | str) -> float:
    """A number in [0, 1)."""
    return float(_raw(1, *keys)[0] >> np.uint64(11)) / 2**53
