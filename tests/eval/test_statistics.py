import numpy as np
import pytest

from emogen.emotion import MIKELS
from emogen.eval.benchmark.heldout import real_prompts, rendered_prompts
from emogen.eval.metrics.agreement import agreement_figure, read_as_asked
from emogen.eval.statistics import (
    FEWEST_PROMPTS,
    clustered_difference,
    clustered_mean,
    holm,
    independent_worth,
    intraclass_correlation,
    rate,
    sign_flip,
    wilson,
)


def test_wilson_matches_published_values():
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_wilson_covers():
    rng = np.random.default_rng(0)
    inside = [low <= 0.85 <= high for low, high in (wilson(k, 160) for k in rng.binomial(160, 0.85, 4000))]
    assert 0.93 < np.mean(inside) < 0.97


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(0)
    names = [f"p{i // 8}" for i in range(160)]
    shared = np.repeat(rng.normal(0.2, 1.0, 20), 8)
    _, low, high = clustered_difference(shared, np.zeros(160), names)
    _, low_free, high_free = clustered_difference(shared, np.zeros(160), [str(i) for i in range(160)])
    assert high - low > 2 * (high_free - low_free)
    with pytest.raises(ValueError, match="lengths differ"):
        clustered_difference([1.0], [0.0, 1.0], ["a"])


def test_ea2_is_the_larger_half_not_the_top_category():
    # The top category is fear, but the positive half is larger.
    shares = np.array([[0.2, 0.2, 0.2, 0.0, 0.0, 0.0, 0.4, 0.0]])
    eight, two = read_as_asked(shares, ["awe"])
    assert not eight[0] and two[0]
    assert read_as_asked(shares, ["fear"])[0][0] and not read_as_asked(shares, ["fear"])[1][0]


def test_a_rate_carries_its_n():
    assert rate([True, False, True, True])["value"] == 0.75 and rate([True])["n"] == 1


def test_held_out_prompts_are_held_out():
    from emogen.stickers.content import split_of
    from emogen.stickers.fluent import read_table

    prompts = rendered_prompts(20)
    assert len({p.text for p in prompts}) == 20
    kinds = [split_of(p.named["shape"], p.named["color"], p.named["background"]) for p in prompts]
    assert "train" not in kinds and kinds.count("test") == 5
    real = real_prompts(9)
    trained = {row["caption"] for row in read_table().values() if row["split"] == "train"}
    assert not trained & {p.text.split(" on a ")[0] for p in real}
    for prompt in prompts + real:
        assert not any(word in prompt.text for word in MIKELS)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_sign_flip_needs_agreement_between_prompts():
    prompts = [str(n) for n in range(12)]
    assert sign_flip([1.0] * 12, [0.0] * 12, prompts) == 2 / 2**12
    assert sign_flip([1.0, -1.0] * 6, [0.0] * 12, prompts) > 0.5
    assert sign_flip([1.0] * 12, [0.0] * 12, ["one"] * 12) == 1  # a single prompt shows nothing
    assert (
        sign_flip([1.0] * 40, [0.0] * 40, [str(n) for n in range(40)]) < 0.001
    )  # more prompts than can be counted out


def clips_of_prompts(random, correlation, prompts=20, clips=8):
    """Hits of two equally good systems; a system's clips of one prompt correlate."""
    spread = (1 - correlation) / correlation / 2 if correlation else None
    chances = random.beta(spread, spread, (2, prompts, 1)) if spread else np.full((2, prompts, 1), 0.5)
    return (random.random((2, prompts, clips)) < chances).reshape(2, -1)


@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.39])
def test_the_test_of_agreement_keeps_its_level_when_clips_of_a_prompt_are_alike(correlation):
    random, prompts = np.random.default_rng(3), np.repeat(np.arange(20), 8)
    found = [sign_flip(*clips_of_prompts(random, correlation), prompts, draws=400) for _ in range(400)]
    assert np.mean(np.array(found) < 0.05) < 0.09  # an exact test of single clips: 0.04, 0.17 and 0.28


def test_the_correlation_within_prompts_is_found():
    random, prompts = np.random.default_rng(0), np.repeat(np.arange(400), 8)
    for correlation in (0.0, 0.2, 0.39):
        clips = clips_of_prompts(random, correlation, prompts=400)[0]
        assert intraclass_correlation(clips, prompts) == pytest.approx(correlation, abs=0.05)
    assert intraclass_correlation([1, 1, 0, 0], ["a", "a", "b", "b"]) == 1
    for values, names in (([1, 0], ["a", "b"]), ([1, 0], ["a", "a"]), ([1, 1, 1, 1], ["a", "a", "b", "b"])):
        assert intraclass_correlation(values, names) is None
    assert independent_worth(160, 20, 0.2) == pytest.approx(160 / 2.4) and independent_worth(8, 4, None) == 8


@pytest.mark.parametrize(("prompts", "given"), [(1, False), (FEWEST_PROMPTS - 1, False), (FEWEST_PROMPTS, True)])
def test_few_prompts_give_no_interval(prompts, given):
    names = [str(i % prompts) for i in range(40)]
    values = [i % 3 == 0 for i in range(40)]
    assert [bound is not None for bound in clustered_mean(values, names)[1:]] == [given, given]
    assert (agreement_figure(values, names)["by_prompt"] is not None) == given


def test_clustered_mean_is_wider_than_its_clips():
    values, prompts = [1.0] * 30 + [0.0] * 30, [str(i // 10) for i in range(60)]
    mean, low, high = clustered_mean(values, prompts)
    assert mean == 0.5 and high - low > 2 * (wilson(30, 60)[1] - wilson(30, 60)[0])
    with pytest.raises(ValueError, match="lengths differ"):
        clustered_mean([], [])
