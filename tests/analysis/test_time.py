"""Transitions: holes, coverage of the intervals, films that differ, and the correction of wrong labels."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from analysis_parts import chain, film_rows, noisy, walk

from emogen.analysis import REGISTRY, Settings
from emogen.analysis.intervals import bounds, resample, wilson
from emogen.analysis.sources import clips_of
from emogen.analysis.transitions import (
    Films,
    across,
    corrected,
    drifts,
    dwell,
    films_of,
    rates,
    second_order,
    shuffled,
    stays,
)
from emogen.emotion import MIKELS

QUICK = Settings(resamples=300)
FEAR, ANGER, AWE = (MIKELS.index(name) for name in ("fear", "anger", "awe"))


def films(states):
    many, length = states.shape
    adjoins = np.tile(np.arange(length) > 0, many)
    return Films(states.ravel(), np.repeat(np.arange(many), length), adjoins, np.ones(states.size, bool))


def pairs(rows, max_gap=2.0):
    counts = films_of(clips_of(rows), max_gap).counts().sum(0)
    return {(MIKELS[a], MIKELS[b]): int(n) for (a, b), n in np.ndenumerate(counts) if n}


def test_clips_that_adjoin():
    rows = film_rows([[FEAR, ANGER, AWE], [AWE, AWE, FEAR]])
    assert pairs(rows) == {("fear", "anger"): 1, ("anger", "awe"): 1, ("awe", "awe"): 1, ("awe", "fear"): 1}
    assert pairs(rows[::-1]) == pairs(rows), "the order is the film's, not the table's"
    for change in ({"dropped": "dark"}, {"error": "torn"}, {"emotion": None}, {"emotion": "neutral"}):
        holed = [{**row, **change} if row["clip_id"] == "f0c1" else row for row in rows]
        assert pairs(holed) == {("awe", "awe"): 1, ("awe", "fear"): 1}, change
    assert pairs([row for row in rows if row["clip_id"] != "f0c1"]) == {("awe", "awe"): 1, ("awe", "fear"): 1}
    late = [{**row, "start": row["start"] + 3, "end": row["end"] + 3} if row["order"] == 2 else row for row in rows]
    assert pairs(late) == {("fear", "anger"): 1, ("awe", "awe"): 1} and len(pairs(late, 3.5)) == 4
    untimed = [{**row, "start": None, "end": None} for row in rows]
    assert pairs(untimed) == pairs(rows)
    assert pairs([row for row in untimed if row["order"] != 1]) == {}


def test_rates_by_hand():
    counts = np.zeros((8, 8))
    counts[FEAR, FEAR], counts[FEAR, ANGER], counts[AWE, FEAR] = 6, 2, 2
    assert rates(counts)[FEAR, FEAR] == 0.75 and np.isnan(rates(counts)[ANGER]).all()
    assert (stays(counts), drifts(counts), across(counts)) == pytest.approx((0.6, 0.2, 0.2), abs=1e-12)
    length, state = dwell(films(np.array([[1, 1, 2, -1, 2], [2, 2, 2, 1, 1]])))
    assert sorted(zip(state, length, strict=True)) == [(1, 2), (1, 2), (2, 1), (2, 1), (2, 3)]


def test_intervals_cover_the_truth():
    """In at least 93 % of 300 sets: every self-persistence, and the share that crosses valence; Wilson's too, where
    films are alike."""
    truth, settings = chain(0.5), Settings(resamples=1000)
    rng = np.random.default_rng(5)
    hits, naive, crosses = np.zeros(8), np.zeros(8), 0
    for _ in range(300):
        counts = films(walk(truth, 40, 60, rng)).counts()
        drawn = resample(counts, settings)
        low, high = bounds(np.diagonal(rates(drawn), axis1=1, axis2=2), 40)
        hits += (low <= 0.5) & (high >= 0.5)
        total = counts.sum(0)
        below, above = wilson(np.diag(total), total.sum(1))
        naive += (below <= 0.5) & (above >= 0.5)
        low, high = bounds(across(drawn), 40)
        crosses += low <= 4 * truth[0, 4] <= high
    assert hits.mean() / 300 >= 0.93 and naive.mean() / 300 >= 0.93 and crosses / 300 >= 0.93


def test_films_that_differ_widen_the_interval():
    """Films with persistences of their own: films' intervals cover their mean, Wilson's do not."""
    rng, settings = np.random.default_rng(2), Settings(resamples=500)
    covered = naive = 0
    for _ in range(100):
        own = rng.choice([0.2, 0.8], 30)
        states = np.concatenate([walk(chain(stay, (1 - stay) / 7), 1, 80, rng) for stay in own])
        counts = films(states).counts()
        low, high = bounds(stays(resample(counts, settings)), 30)
        covered += low <= 0.5 <= high
        total = counts.sum(0)
        below, above = wilson(np.trace(total), total.sum())
        naive += below <= 0.5 <= above
        assert high - low > 2 * (above - below)
    assert covered >= 90 and naive < 50


@pytest.mark.parametrize(("right", "reads"), [(0.95, 0.46), (0.80, 0.36), (0.60, 0.26)])
def test_wrong_labels_hide_persistence_and_are_corrected(right, reads):
    rng = np.random.default_rng(0)
    counts = films(noisy(walk(chain(0.5), 200, 120, rng), right, rng)).counts().sum(0)
    confusion = np.full((8, 8), (1 - right) / 7)
    np.fill_diagonal(confusion, right)
    assert stays(counts) == pytest.approx(reads, abs=0.03)
    assert stays(corrected(counts, confusion)) == pytest.approx(0.5, abs=0.03)
    assert across(corrected(counts, confusion)) == pytest.approx(4 * chain(0.5)[0, 4], abs=0.03)


def test_the_correction_is_measured(tmp_path):
    """From people's labels beside the model's, and from a file; the raw figure is warned of."""
    rng = np.random.default_rng(1)
    true = walk(chain(0.5), 80, 100, rng)
    said = noisy(true, 0.8, rng)
    people = rng.random(true.shape) < 0.2
    names = np.array([*MIKELS])
    kinds = {"label_kind": np.where(people, "human", "model"), "model_emotion": names[said]}
    found = REGISTRY["time"].run(clips_of(film_rows(np.where(people, true, said), **kinds)), QUICK)
    named = {result.name: result for result in found.results}
    assert named["self-persistence, as labelled: all"].value < 0.42
    assert named["self-persistence, people's labels: all"].value == pytest.approx(0.5, abs=0.05)
    assert named["self-persistence, corrected: all"].value == pytest.approx(0.5, abs=0.03)
    table = np.zeros((8, 8))
    np.add.at(table, (true.ravel(), said.ravel()), 1)
    path = tmp_path / "confusion.csv"
    lines = [",".join([name, *map(str, row)]) for name, row in zip(MIKELS, table, strict=True)]
    path.write_text("\n".join([",".join(["", *MIKELS]), *lines]))
    every = clips_of(film_rows(said))
    found = REGISTRY["time"].run(every, Settings(resamples=300, confusion=path))
    named = {result.name: result for result in found.results}
    fixed, raw = named["self-persistence, corrected: all"], named["self-persistence, as labelled: all"]
    assert fixed.value == pytest.approx(0.5, abs=0.03) and fixed.low < 0.5 < fixed.high
    assert fixed.high - fixed.low > raw.high - raw.low
    assert any("wrong labels hide it" in text for text in found.warnings)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"confusion\.csv: a confusion has the eight"):
        REGISTRY["time"].run(every, Settings(resamples=300, confusion=path))


def test_the_shuffled_null():
    """A film's mood is not order: clips drawn independently from a mood of each film's own persist, and so do they
    shuffled."""
    rng = np.random.default_rng(0)
    moods = rng.dirichlet(np.full(8, 0.3), 60)
    states = np.stack([rng.choice(8, size=50, p=mood) for mood in moods])
    seen = films(states)
    null = stays(shuffled(seen, 100, 0))
    real = stays(seen.counts().sum(0))
    assert real > 0.3 and np.quantile(null, 0.005) <= real <= np.quantile(null, 0.995)
    ordered = films(walk(chain(0.5), 60, 50, rng))
    assert stays(ordered.counts().sum(0)) > stays(shuffled(ordered, 100, 0)).max() + 0.1
    total = shuffled(ordered, 3, 0)[0].sum()
    assert total == ordered.counts().sum()


def test_second_order():
    rng = np.random.default_rng(0)
    assert sum(second_order(films(walk(chain(), 20, 200, rng)))[2] < 0.05 for _ in range(20)) <= 4
    states = walk(chain(), 20, 200, rng)
    states[:, 2:] = np.where(rng.random((20, 198)) < 0.4, states[:, :-2], states[:, 2:])
    assert second_order(films(states))[2] < 1e-6


def test_what_cannot_be_said():
    with pytest.raises(ValueError, match="Only 0 labelled clips adjoin"):
        REGISTRY["time"].run(clips_of([{"clip_id": "a", "emotion": "fear"}] * 40), QUICK)
