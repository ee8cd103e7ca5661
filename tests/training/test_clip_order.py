from collections import Counter

import pytest

from emogen.training.dataset import ClipOrder


def test_every_epoch_shows_every_clip_once_in_another_order():
    order = ClipOrder(["a"] * 7 + ["b"] * 3, seed=1)
    first, second = [order(p) for p in range(10)], [order(p) for p in range(10, 20)]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_any_position_can_be_asked_for_first():
    labels = ["a"] * 7 + ["b"] * 3
    forward = ClipOrder(labels, seed=1, balance=0.5)
    expected = [forward(p) for p in range(40)]
    backward = ClipOrder(labels, seed=1, balance=0.5)
    assert [backward(p) for p in reversed(range(40))] == expected[::-1]


@pytest.mark.parametrize(("balance", "share"), [(1.0, 0.5), (0.5, 0.25), (0.0, 0.1)])
def test_balance_sets_the_share_of_a_rare_emotion(balance, share):
    """9 : 1 in the data; weights count ** (1 - balance) leave 1 : 1, 3 : 1 and 9 : 1."""
    order = ClipOrder(["common"] * 90 + ["rare"] * 10, seed=0, balance=balance)
    seen = Counter(order(p) >= 90 for p in range(2000))
    assert seen[True] / 2000 == pytest.approx(share, abs=0.01)
    assert len({order(p) for p in range(2000)}) == 100
