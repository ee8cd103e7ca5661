"""Arcs that follow the transitions of films."""

from collections import Counter
from itertools import pairwise

import pytest

from emogen.emotion import MIKELS, NEGATIVE, POSITIVE, EmotionArc, estimate_transitions, sample_arc
from emogen.emotion.plausible import FILM_TRANSITIONS


def test_the_table_keeps_to_what_the_paper_prints():
    for name, row in FILM_TRANSITIONS.items():
        assert sum(row.values()) == pytest.approx(1) and set(row) == set(MIKELS)
        same = set(POSITIVE if name in POSITIVE else NEGATIVE)
        for to, value in row.items():
            if to != name:
                assert 0.08 <= value <= 0.18 if to in same else 0 < value < 0.08, (name, to, value)
        assert row[name] == max(row.values())
    assert FILM_TRANSITIONS["fear"]["fear"] == 0.53 and FILM_TRANSITIONS["anger"]["anger"] == 0.46
    assert FILM_TRANSITIONS["sadness"]["fear"] > FILM_TRANSITIONS["sadness"]["disgust"]


def emotions_of(arc, segments):
    return [arc.at((index + 0.5) / segments).dominant for index in range(segments)]


def test_arcs_are_drawn_from_the_table():
    pairs = Counter()
    for seed in range(400):
        arc = sample_arc(4, seed=seed)
        assert isinstance(arc, EmotionArc)
        pairs.update(pairwise(emotions_of(arc, 4)))
    stays = sum(count for (a, b), count in pairs.items() if a == b) / pairs.total()
    assert abs(stays - 0.46) < 0.05
    within = sum(count for (a, b), count in pairs.items() if a != b and (a in POSITIVE) == (b in POSITIVE))
    across = sum(count for (a, b), count in pairs.items() if (a in POSITIVE) != (b in POSITIVE))
    assert within > 1.4 * across > 0
    always = {name: {"awe": 1.0} for name in MIKELS}
    assert emotions_of(sample_arc(3, "fear", seed=1, transitions=always), 3) == ["fear", "awe", "awe"]


def test_the_same_seed_the_same_arc_and_it_changes_between_stretches():
    assert sample_arc(5, seed=3) == sample_arc(5, seed=3) != sample_arc(5, seed=4)
    assert sample_arc(1, "awe", seed=0).is_constant
    swap = {name: {"fear" if name == "awe" else "awe": 1.0} for name in MIKELS}
    arc = sample_arc(2, "awe", transitions=swap, change=0.4, intensity=0.8)
    assert arc.at(0.3).dominant == "awe" and arc.at(0.7).dominant == "fear"
    assert arc.at(0.3).intensity == pytest.approx(0.8)
    assert 0 < dict(zip(MIKELS, arc.at(0.5).distribution, strict=True))["awe"] < 1


def test_counts_of_ones_own():
    table = estimate_transitions([["fear", "fear", "anger"], ["anger", "joy"][:1]], prior=0.5)
    assert table["fear"]["fear"] == pytest.approx((1 + 0.5 * 0.53) / 2.5)
    assert table["awe"] == pytest.approx(FILM_TRANSITIONS["awe"])
    with pytest.raises(ValueError, match="sequence 2: 'joy' is none of"):
        estimate_transitions([["fear"], ["joy"]])
    with pytest.raises(ValueError, match="nothing follows amusement"):
        estimate_transitions([["fear", "fear"]], prior=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"segments": 0}, "at least one"), ({"start": "joy"}, "none of amusement"), ({"change": 0}, "change is 0"),
     ({"intensity": 2}, "intensity is 2")],
)  # fmt: skip
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        sample_arc(**wrong)
