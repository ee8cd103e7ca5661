import math
import random
from dataclasses import FrozenInstanceError

import pytest

from emogen.emotion import (
    MIKELS,
    MIKELS_VA,
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    WARRINER_VA,
    EmotionState,
    is_positive,
    valence_of,
)

NEUTRAL_STATE = EmotionState.neutral()


def test_the_eight_are_in_emogen_order_and_halves():
    assert MIKELS == ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness")
    assert POSITIVE + NEGATIVE == MIKELS and len(POSITIVE) == 4
    assert [valence_of(n) for n in MIKELS] == [1] * 4 + [-1] * 4 and valence_of(NEUTRAL) == 0
    assert [is_positive(n) for n in MIKELS] == [True] * 4 + [False] * 4
    for name in MIKELS:
        assert valence_of(name) == math.copysign(1, MIKELS_VA[name][0]) == math.copysign(1, WARRINER_VA[name][0])
    with pytest.raises(ValueError, match="'joy' is not one of amusement"):
        valence_of("joy")


def test_positions_suit_pictures_and_norms_say_otherwise():
    arousal = {name: MIKELS_VA[name][1] for name in MIKELS}
    assert min(arousal["excitement"], arousal["fear"], arousal["anger"]) > arousal["awe"] > 0.2
    assert arousal["amusement"] > arousal["disgust"] > 0 > max(arousal["contentment"], arousal["sadness"])
    assert WARRINER_VA["awe"][1] < 0 and WARRINER_VA["amusement"][1] < 0
    assert (WARRINER_VA["sadness"], WARRINER_VA["excitement"]) == ((-0.65, -0.55), (0.66, 0.30))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (((1.0,) * 3, 0, 0), "has 3 shares; it needs 8: amusement, awe"),
        (((2.0,) + (0,) * 7, 0, 0), "sums to 2; it must sum to 1"),
        (((2.0, -1) + (0,) * 6, 0, 0), "negative or not a number"),
        (((math.nan,) * 8, 0, 0), "negative or not a number"),
        (("joy", 0, 0), "distribution is 'joy'; it must be 8 numbers"),
        (((1,) + (0,) * 7, 1.5, 0), "valence is 1.5; it must be between -1 and 1"),
        (((1,) + (0,) * 7, 0, -2), "arousal is -2; it must be between -1 and 1"),
        (((1,) + (0,) * 7, "0.3", 0), "valence is '0.3'; it must be a finite number"),
        (((1,) + (0,) * 7, 0, 0, math.inf), "intensity is inf; it must be a finite number"),
        (((0,) * 8, 0, 0, 1), "has intensity 0: use EmotionState.neutral"),
    ],
)
def test_bad_values_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        EmotionState(*values)


def test_a_state_is_a_value():
    fear = EmotionState.of("fear")
    with pytest.raises(FrozenInstanceError):
        fear.valence = 0.0
    assert {fear: 1}[EmotionState.parse("fear")] == 1
    assert fear.dominant == "fear" and not fear.is_neutral
    with pytest.raises(ValueError, match=r"'joy' is not one of .*EmotionState\.parse"):
        EmotionState.of("joy")


def test_there_is_one_neutral():
    assert EmotionState.of("fear", 0.0) == EmotionState.of("awe").scaled(0) == NEUTRAL_STATE
    assert EmotionState.of("neutral") == NEUTRAL_STATE
    assert NEUTRAL_STATE.is_neutral and NEUTRAL_STATE.dominant == "neutral" and str(NEUTRAL_STATE) == "neutral"
    assert NEUTRAL_STATE.scaled(3) == NEUTRAL_STATE == EmotionState.mix([]) == EmotionState.mix([(NEUTRAL_STATE, 1.0)])


def test_numpy_scalars_become_floats():
    numpy = pytest.importorskip("numpy")
    state = EmotionState(numpy.eye(8)[6], numpy.float32(-0.5), numpy.float64(0.25), numpy.float32(0.5))
    assert type(state.valence) is float and type(state.distribution[0]) is float
    assert EmotionState.parse(str(state)) == state


def test_a_category_is_recovered_from_its_place_on_the_plane():
    for name in MIKELS:
        state = EmotionState.from_va(*MIKELS_VA[name])
        assert state.dominant == name and 0.7 <= state.intensity <= 1
        assert (state.valence, state.arousal) == MIKELS_VA[name]


def test_the_plane_is_covered_without_jumps():
    assert EmotionState.from_va(0, 0) == NEUTRAL_STATE
    for step in range(24):
        angle = 2 * math.pi * step / 24
        before = None
        for radius in (0.01 * k for k in range(1, 100)):
            state = EmotionState.from_va(radius * math.cos(angle), radius * math.sin(angle))
            assert sum(state.distribution) == pytest.approx(1) and state.intensity == pytest.approx(radius)
            if before is not None:
                assert max(abs(a - b) for a, b in zip(state.distribution, before, strict=True)) < 0.05
            before = state.distribution
    assert EmotionState.from_va(1, 1).intensity == 1
    for bad in ((1.1, 0), (0, -1.01), (math.nan, 0)):
        with pytest.raises(ValueError, match="off the plane; both must be between -1 and 1"):
            EmotionState.from_va(*bad)


def test_a_mixture_weighs_by_strength():
    awe, fear = EmotionState.of("awe"), EmotionState.of("fear", 0.5)
    mix = EmotionState.mix([(awe, 0.5), (fear, 0.5)])
    assert mix.intensity == 0.75
    assert mix.distribution[MIKELS.index("awe")] == pytest.approx(2 / 3)
    assert mix.valence == pytest.approx((2 * MIKELS_VA["awe"][0] + MIKELS_VA["fear"][0]) / 3)
    with pytest.raises(ValueError, match="at least 0"):
        EmotionState.mix([(awe, 1.0), (fear, -0.3)])
    with pytest.raises(ValueError, match="finite"):
        EmotionState.mix([(awe, 1e308), (awe, 1e308), (fear, 1e308)])


def test_mixing_with_neutral_only_lowers_the_intensity():
    joy = EmotionState.parse("joy:0.9")
    for weight in (0.1, 0.3, 0.7, 1.0):
        mix = EmotionState.mix([(joy, weight), (NEUTRAL_STATE, 1 - weight)])
        assert mix == joy.scaled(weight)


def test_scaling_keeps_the_kind():
    half = EmotionState.of("anger").scaled(0.5)
    assert (half.intensity, half.dominant, half.valence) == (0.5, "anger", MIKELS_VA["anger"][0])
    assert half.scaled(-1).intensity == -0.5 and half.scaled(4).intensity == 2


def test_dicts_go_and_come_back():
    random.seed(1)
    for _ in range(200):
        parts = [(EmotionState.of(n, random.uniform(0, 2)), random.random()) for n in random.sample(MIKELS, 3)]
        state = EmotionState.mix(parts)
        assert EmotionState.from_dict(state.to_dict()) == state
    assert EmotionState.from_dict(NEUTRAL_STATE.to_dict()) == NEUTRAL_STATE
    blend = EmotionState.from_dict({"distribution": {"awe": 3, "fear": 1}})
    assert blend.distribution[1] == 0.75 and blend.intensity == 1
    assert blend.valence == pytest.approx(0.75 * MIKELS_VA["awe"][0] + 0.25 * MIKELS_VA["fear"][0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"distribution": {"joy": 1}}, "'joy' is not one of amusement"),
        ({"distribution": {"awe": 1}, "valance": 1}, "unknown key 'valance'"),
        ({"valence": 1}, "needs 'distribution'"),
        ({"distribution": {"awe": -1}}, "negative"),
        ({"distribution": {"awe": "much"}}, "must map emotions to numbers"),
        ({"distribution": [1, 2]}, "has 2 shares; it needs 8"),
        ({"distribution": {}, "intensity": 0.5}, "no emotion in it"),
        ({"distribution": {"awe": 1}, "arousal": "high"}, "arousal is 'high'"),
    ],
)
def test_bad_dicts_are_named(data, message):
    with pytest.raises(ValueError, match=message):
        EmotionState.from_dict(data)
