import numpy as np
import pytest

from emogen.emotion import MIKELS
from emogen.eval.agreement import hits, rate
from emogen.eval.benchmark.heldout import real_prompts, rendered_prompts
from emogen.eval.statistics import clustered_difference, clustered_mean, holm, mcnemar_exact, sign_flip, wilson


def test_wilson_matches_published_values():
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_wilson_covers():
    rng = np.random.default_rng(0)
    inside = [low <= 0.85 <= high for low, high in (wilson(k, 160) for k in rng.binomial(160, 0.85, 4000))]
    assert 0.93 < np.mean(inside) < 0.97


def test_mcnemar_matches_the_binomial():
    stats = pytest.importorskip("scipy.stats")
    a, b = [True] * 15 + [False] * 4 + [True] * 30, [False] * 15 + [True] * 4 + [True] * 30
    assert mcnemar_exact(a, b) == pytest.approx(stats.binomtest(4, 19, 0.5).pvalue)
    assert mcnemar_exact([True], [True]) == 1.0


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
    eight, two = hits(shares, ["awe"])
    assert not eight[0] and two[0]
    assert hits(shares, ["fear"])[0][0] and not hits(shares, ["fear"])[1][0]


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
    assert sign_flip([1.0] * 12, [0.0] * 12, prompts) < 0.005
    assert sign_flip([1.0, -1.0] * 6, [0.0] * 12, prompts) > 0.5
    assert sign_flip([1.0] * 12, [0.0] * 12, ["one"] * 12) > 0.9  # a single prompt shows nothing


def test_clustered_mean_is_wider_than_its_clips():
    values, prompts = [1.0] * 10 + [0.0] * 10, ["a"] * 10 + ["b"] * 10
    mean, low, high = clustered_mean(values, prompts)
    assert (mean, low, high) == (0.5, 0.0, 1.0)
    with pytest.raises(ValueError, match="lengths differ"):
        clustered_mean([], [])
