"""The readers: two emotion judges, the content reader, and the reader of well-formedness.

No reader sees a clip of the generator, and the two judges share neither characters nor seeds. Colour is shaken hard for
the judges, so that they read faces and motion, not tints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from emogen.emotion import MIKELS, EmotionState, parse_emotion
from emogen.eval.judges.classifier import ClipClassifier
from emogen.eval.statistics import wilson
from recipe.config import Phase, Reader
from recipe.shake import BREAKS, broken, shake
from recipe.store import Store
from recipe.world import FACTS

LABELS = [*MIKELS, "neutral"]
WHOLE = ["whole", "broken"]

Pick = Callable[[np.random.Generator, int], tuple[np.ndarray, dict]]
"""A uint8 clip `[F, H, W, 3]` and its record, for the place in the batch."""


@dataclass(frozen=True)
class Shelf:
    """Records by label, with a way to a clip: one thing that a reader learns from."""

    records: Sequence[dict]
    read: Callable[[int], np.ndarray]

    @classmethod
    def of(cls, store: Store) -> Shelf:
        return cls(store.records, lambda index: store.read("clips", index))

    def by_label(self) -> dict[str, list[int]]:
        return {label: [i for i, r in enumerate(self.records) if r["emotion"] == label] for label in LABELS}


def in_turn(shelves: Sequence[Shelf]) -> Pick:
    """The shelves in equal parts and the nine labels evenly; a label that a shelf lacks is taken from the first.

    A shelf without any of the nine labels (blends, points) gives any of its clips.
    """
    labelled = [shelf.by_label() for shelf in shelves]

    def pick(rng: np.random.Generator, place: int) -> tuple[np.ndarray, dict]:
        number = place % len(shelves)
        label = LABELS[int(rng.integers(len(LABELS)))]
        if not any(labelled[number].values()):
            index = int(rng.integers(len(shelves[number].records)))
        else:
            if not labelled[number][label]:
                number = 0
            index = int(rng.choice(labelled[number][label]))
        return shelves[number].read(index), shelves[number].records[index]

    return pick


def state_of(record: dict) -> EmotionState:
    """A record's emotion; of one with an intensity, at that intensity."""
    state = parse_emotion(record["emotion"])
    return state if "intensity" not in record else state.scaled(record["intensity"])


def targets(state: EmotionState, by_strength: bool) -> tuple[list[float], list[float]]:
    """Shares of the eight and neutral, and valence and arousal times intensity. What an intensity lacks of 1 goes to
    neutral if `by_strength`; else a weak emotion is as much its own as a strong one."""
    strength = min(1.0, state.intensity) if by_strength else float(not state.is_neutral)
    shares = [strength * share for share in state.distribution]
    return [*shares, 1 - sum(shares)], [min(1.0, state.intensity) * v for v in (state.valence, state.arousal)]


class ReaderTask:
    """See `recipe.loop.Task`: a `ClipClassifier` with some heads.

    Args:
        heads, regressions: of the classifier. pick: what it learns from.
        held_out: name -> shelf of clips never learned from.
    """

    color = True
    """Whether colours are shaken too."""

    def __init__(self, config: Reader, heads: dict[str, list[str]], pick: Pick, held_out: dict[str, Shelf]):
        torch.manual_seed(config.schedule.seed)
        self.network = ClipClassifier(
            heads, self.regressions(), size=config.size, frames=config.frames, width=config.width, pool=config.pool
        )
        self.modules = nn.ModuleDict({"reader": self.network})
        self._config, self._pick, self._held_out = config, pick, held_out

    def regressions(self) -> dict[str, int]:
        return {}

    def loss(self, rng: np.random.Generator, phase: Phase) -> torch.Tensor:
        self.network.train()
        clips, records = zip(*(self._pick(rng, place) for place in range(phase.batch)), strict=True)
        x = self._frames(clips)
        x, labels = self.prepare(x, list(records), rng)
        return self.score(self.network(shake(x, self.color)), labels)

    @torch.no_grad()
    def held_out(self, average: nn.ModuleDict) -> dict[str, float]:
        return {name: self.right(average["reader"].eval(), shelf) for name, shelf in self._held_out.items()}

    def _frames(self, clips: Sequence[np.ndarray]) -> torch.Tensor:
        """The frames that the classifier would choose, `[B, frames, 3, H, W]` in [0, 1]."""
        picks = torch.linspace(0, len(clips[0]) - 1, self._config.frames).round().long().numpy()
        chosen = np.stack([clip[picks] for clip in clips])
        return torch.from_numpy(chosen).permute(0, 1, 4, 2, 3).float() / 255

    @torch.no_grad()
    def answers(self, network: ClipClassifier, shelf: Shelf) -> dict[str, torch.Tensor]:
        """Logits of every head over a shelf's clips, in order."""
        parts = []
        for start in range(0, len(shelf.records), 32):
            indices = range(start, min(start + 32, len(shelf.records)))
            parts.append(network(self._frames([shelf.read(i) for i in indices])))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def prepare(self, x: torch.Tensor, records: list[dict], rng: np.random.Generator) -> tuple[torch.Tensor, object]:
        """The batch and its labels."""
        raise NotImplementedError

    def score(self, read: dict[str, torch.Tensor], labels: object) -> torch.Tensor:
        """The mean loss."""
        raise NotImplementedError

    def right(self, network: ClipClassifier, shelf: Shelf) -> float:
        """The share of a shelf that is read rightly."""
        raise NotImplementedError


class JudgeTask(ReaderTask):
    """Reads emotion, valence and arousal; `by_strength` labels weak emotions as partly neutral."""

    def __init__(self, config: Reader, pick: Pick, held_out: dict[str, Shelf]):
        super().__init__(config, {"emotion": LABELS}, pick, held_out)
        self.by_strength = "shades" in config.mix

    def regressions(self) -> dict[str, int]:
        return {"valence_arousal": 2}

    def prepare(self, x, records, rng):
        return x, [targets(state_of(record), self.by_strength) for record in records]

    def score(self, read, labels):
        shares, places = (torch.tensor(values) for values in zip(*labels, strict=True))
        loss = F.cross_entropy(read["emotion"].float(), shares, label_smoothing=0.05)
        return loss + F.mse_loss(read["valence_arousal"].float(), places)

    def right(self, network, shelf):
        return held_out_emotions(self, network, shelf)["EA-8"]


class ContentTask(ReaderTask):
    """Reads what captions say: see `recipe.world.FACTS`, and whether a clip is rendered or real art."""

    color = False

    def __init__(self, config: Reader, pick: Pick, held_out: dict[str, Shelf]):
        super().__init__(config, {name: list(values) for name, values in FACTS.items()}, pick, held_out)

    def prepare(self, x, records, rng):
        heads = self.network.config.heads
        return x, {n: torch.tensor([_index(heads[n], record.get(n)) for record in records]) for n in heads}

    def score(self, read, labels):
        known = {name: target for name, target in labels.items() if (target >= 0).any()}
        return sum(F.cross_entropy(read[name].float(), target, ignore_index=-100) for name, target in known.items())

    def right(self, network, shelf):
        return float(np.mean(list(self.right_by_head(network, shelf).values())))

    def right_by_head(self, network: ClipClassifier, shelf: Shelf) -> dict[str, float]:
        """Head -> share of the clips read rightly."""
        read, heads = self.answers(network, shelf), network.config.heads
        found = {}
        for name, logits in read.items():
            truth = torch.tensor([_index(heads[name], record.get(name)) for record in shelf.records])
            found[name] = round((logits.argmax(-1) == truth).float().mean().item(), 4)
        return found


class WellFormedTask(ReaderTask):
    """Tells whole faces from broken ones; about half of a batch is broken."""

    def __init__(self, config: Reader, pick: Pick, held_out: dict[str, Shelf]):
        super().__init__(config, {"form": WHOLE}, pick, held_out)

    def prepare(self, x, records, rng):
        return break_some(x, ["broken" in record for record in records], rng)

    def score(self, read, labels):
        return F.cross_entropy(read["form"].float(), labels, label_smoothing=0.02)

    def right(self, network, shelf):
        return float(np.mean(list(self.right_by_kind(network, shelf).values())))

    @torch.no_grad()
    def right_by_kind(self, network: ClipClassifier, shelf: Shelf) -> dict[str, float]:
        """Of a shelf drawn wrong, each way -> share read rightly; of another, "whole" and every way to break it."""
        rng = np.random.default_rng(5)
        indices = range(min(135, len(shelf.records)))
        x = self._frames([shelf.read(i) for i in indices])
        is_broken = network(x)["form"].argmax(-1) == 1
        ways = [shelf.records[i].get("broken") for i in indices]
        if any(ways):
            return {way: _share([is_broken[i].item() for i in indices if ways[i] == way]) for way in sorted(set(ways))}
        found = {"whole": _share((~is_broken).tolist())}
        for kind in BREAKS:
            wrong = torch.stack([broken(clip, x[k - 1], kind, rng) for k, clip in enumerate(x)])
            found[kind] = _share((network(wrong)["form"].argmax(-1) == 1).tolist())
        return found


def break_some(x: torch.Tensor, wrong: list[bool], rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A third of the clips of `[B, F, 3, H, W]` that are not `wrong` already is broken in a random way; with labels 0
    (whole) and 1, `[B]`."""
    out, labels = [], []
    for k, clip in enumerate(x):
        breaks = not wrong[k] and rng.random() < 1 / 3
        out.append(broken(clip, x[k - 1], str(rng.choice(BREAKS)), rng) if breaks else clip)
        labels.append(int(breaks or wrong[k]))
    return torch.stack(out), torch.tensor(labels)


def _share(right: list[bool]) -> float:
    return round(float(np.mean(right)), 4)


def _index(values: list[str], value: object) -> int:
    return values.index(value) if value in values else -100


def held_out_emotions(task: ReaderTask, network: ClipClassifier, shelf: Shelf) -> dict:
    """Eight-way accuracy with its interval, recall a category, and valence accuracy, over the expressive clips."""
    keep = [i for i, r in enumerate(shelf.records) if r["emotion"] in MIKELS]
    chosen = Shelf([shelf.records[i] for i in keep], lambda index: shelf.read(keep[index]))
    shares = task.answers(network, chosen)["emotion"][:, :8].float().softmax(-1)
    truth = torch.tensor([MIKELS.index(record["emotion"]) for record in chosen.records])
    right = shares.argmax(-1) == truth
    sign = (shares[:, :4].sum(1) > 0.5) == (truth < 4)
    low, high = wilson(int(right.sum()), len(keep))
    return {
        "n": len(keep),
        "EA-8": round(right.float().mean().item(), 4),
        "EA-8 Wilson": [round(low, 4), round(high, 4)],
        "EA-2": round(sign.float().mean().item(), 4),
        "recall": {name: round(right[truth == i].float().mean().item(), 3) for i, name in enumerate(MIKELS)
                   if (truth == i).any()},
    }  # fmt: skip


def held_out_blends(task: ReaderTask, network: ClipClassifier, shelf: Shelf) -> dict:
    """Of blends, whether the two largest shares are the two drawn; of points, how their readings correlate."""
    read = task.answers(network, shelf)
    largest = read["emotion"][:, :8].topk(2).indices.sort().values
    places = read["valence_arousal"].float().numpy()
    states = [state_of(record) for record in shelf.records]
    two = [i for i, record in enumerate(shelf.records) if "+" in record["emotion"]]
    points = [i for i, record in enumerate(shelf.records) if record["emotion"].startswith("va:")]
    truth = torch.tensor([states[i].distribution for i in two]).topk(2).indices.sort().values
    right = (largest[two] == truth).all(1)
    drawn = np.array([targets(states[i], True)[1] for i in points])
    low, high = wilson(int(right.sum()), len(two))
    r = [round(float(np.corrcoef(places[points, axis], drawn[:, axis])[0, 1]), 3) for axis in (0, 1)]
    return {
        "blends": len(two),
        "both right": round(right.float().mean().item(), 4),
        "Wilson": [round(low, 4), round(high, 4)],
        "points": len(points),
        "valence r": r[0],
        "arousal r": r[1],
    }
