from collections import Counter
from itertools import pairwise

import pytest

from emogen.training.data.order import BatchOrder

BUCKETS = ["long"] * 23 + ["wide"] * 9 + ["rare"] * 2
LABELS = [("fear", "awe", "awe")[index % 3] for index in range(len(BUCKETS))]


def order(labels=LABELS, buckets=BUCKETS, size=4, seed=1, **rest):
    return BatchOrder(labels, buckets, size, seed, **rest)


def epoch(order, number):
    return [order(step) for step in range(number * len(order), (number + 1) * len(order))]


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_every_batch_is_whole_and_of_one_bucket(balance):
    batches = order(balance=balance)
    for step in range(3 * len(batches)):
        clips = batches(step)
        assert len(clips) == 4 and {BUCKETS[clip] for clip in clips} == {batches.bucket(step)}


def test_an_epoch_shows_every_clip_and_again_only_to_fill_a_batch():
    batches = order()
    assert len(batches) == 6 + 3 + 1
    for number in range(4):
        seen = Counter(clip for batch in epoch(batches, number) for clip in batch)
        assert set(seen) == set(range(len(LABELS)))
        assert Counter(seen[clip] for clip in range(23)) == {1: 22, 2: 1}
        assert Counter(seen[clip] for clip in range(23, 32)) == {1: 6, 2: 3}
        assert [seen[32], seen[33]] == [2, 2]


def test_what_fills_a_batch_is_not_in_it_and_changes():
    batches = order(["a"] * 10, ["b"] * 10, size=8)
    filled = set()
    for number in range(5):
        shown = epoch(batches, number)
        assert all(len(set(batch)) == 8 for batch in shown)
        seen = Counter(clip for batch in shown for clip in batch)
        filled.add(frozenset(clip for clip, times in seen.items() if times == 2))
    assert len(filled) > 1


def test_an_epoch_without_rest_shows_every_clip_once_in_another_order():
    batches = order(["a"] * 12, ["b"] * 12)
    first, second = ([clip for batch in epoch(batches, number) for clip in batch] for number in (0, 1))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second and first != list(range(12))


def test_the_batches_of_buckets_come_mixed():
    batches = order(["a"] * 80, ["long"] * 40 + ["wide"] * 40)
    names = [batches.bucket(step) for step in range(len(batches))]
    assert sum(one != other for one, other in pairwise(names)) > 4


@pytest.mark.parametrize("balance", [0.0, 0.7])
def test_any_step_can_be_asked_for_first(balance):
    expected = [order(balance=balance)(step) for step in range(30)]
    backward = order(balance=balance)
    assert [backward(step) for step in reversed(range(30))] == expected[::-1]
    assert [order(balance=balance, seed=2)(step) for step in range(30)] != expected


def test_the_order_is_the_same_everywhere():
    """Written down once: a run may resume on another machine and after updates."""
    assert [order()(step) for step in (0, 1, 12)] == FIXED_PLAIN
    assert [order(balance=1.0)(step) for step in (0, 1, 12)] == FIXED_BALANCED


@pytest.mark.parametrize(("world", "accumulation", "batch"), [(1, 1, 8), (2, 1, 4), (2, 2, 2), (1, 8, 1)])
def test_processes_share_the_same_global_batch(world, accumulation, batch):
    """As the trainer slices: together they take every row once."""
    whole = order(size=8)(3)
    rows = []
    for micro in range(accumulation):
        for rank in range(world):
            start = (micro * world + rank) * batch
            rows += order(size=world * accumulation * batch)(3)[start : start + batch]
    assert rows == whole


@pytest.mark.parametrize(("balance", "share"), [(1.0, 0.5), (0.5, 0.25), (0.0, 0.1)])
def test_balance_sets_the_share_of_a_rare_emotion(balance, share):
    """9 : 1 in the data; weights count ** (1 - balance) leave 1 : 1, 3 : 1 and 9 : 1."""
    batches = order(["common"] * 90 + ["rare"] * 10, ["b"] * 100, size=5, balance=balance)
    seen = Counter(clip >= 90 for step in range(400) for clip in batches(step))
    assert seen[True] / 2000 == pytest.approx(share, abs=0.01)
    assert len({clip for step in range(400) for clip in batches(step)}) == 100


def test_balance_holds_across_buckets():
    """The rare emotion lies mostly in one bucket, which then gets more of the batches than it has of the clips."""
    labels = ["common"] * 70 + ["common"] * 10 + ["rare"] * 20
    buckets = ["long"] * 70 + ["wide"] * 30
    batches = order(labels, buckets, size=2, balance=1.0)
    seen = Counter(labels[clip] for number in range(10) for batch in epoch(batches, number) for clip in batch)
    assert seen["rare"] / seen.total() == pytest.approx(0.5, abs=0.02)


def test_it_says_how_often_clips_are_shown():
    assert order().describe().splitlines() == [
        "34 clips in batches of 4: 10 batches an epoch",
        "  long: 23 clips, 6 batches, each clip 1.04 times on average",
        "  wide: 9 clips, 3 batches, each clip 1.33 times on average",
        "  rare: 2 clips, 1 batches, each clip 2.00 times on average",
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": [], "buckets": []}, "0 clips"),
        ({"buckets": ["b"]}, "34 clips, 1 buckets"),
        ({"size": 0}, "size is 0"),
        ({"balance": 1.5}, "balance 1.5"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        order(**wrong)


def test_there_is_no_step_before_the_first():
    with pytest.raises(ValueError, match="no step -1"):
        order()(-1)


FIXED_PLAIN = [[27, 31, 30, 28], [20, 17, 15, 0], [29, 28, 30, 26]]
FIXED_BALANCED = [[26, 30, 27, 28], [12, 7, 20, 15], [24, 28, 29, 24]]
