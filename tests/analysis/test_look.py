"""Look: every statistic against scipy, statsmodels or scikit-learn, and the relations that are built in are found."""

import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent))
from analysis_parts import look_clips, look_rows

from emogen.analysis import REGISTRY, Settings
from emogen.analysis.hue import apart, direction, rayleigh
from emogen.analysis.look import correlation
from emogen.analysis.prediction import held_out
from emogen.analysis.sources import clips_of
from emogen.analysis.variance import (
    equal_means,
    eta_bounds,
    eta_squared,
    hedges,
    holm,
    moments,
    omega_squared,
    one_way,
    pair_tests,
    robust_means,
    welch,
)

QUICK = Settings(resamples=300)


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(3)
    label = rng.integers(5, size=300)
    group = rng.integers(25, size=300)
    return rng.normal(0.25 * label, 0.5 + 0.2 * label) + rng.normal(0, 0.3, 25)[group], label, group


def test_analysis_of_variance(drawn):
    from statsmodels.stats.oneway import anova_oneway

    x, label, _ = drawn
    parts = [x[label == k] for k in range(5)]
    sums = moments(x, label).sum(0)  # three of the eight categories are empty
    fisher, unequal = one_way(sums), welch(sums)
    assert (fisher.statistic, fisher.p) == pytest.approx(tuple(stats.f_oneway(*parts)), abs=1e-9)
    right = anova_oneway(parts, use_var="unequal", welch_correction=True)
    assert (unequal.statistic, unequal.p) == pytest.approx((right.statistic, right.pvalue), abs=1e-9)
    f, (a, b) = fisher.statistic, fisher.df
    assert eta_squared(sums) == pytest.approx(f * a / (f * a + b), abs=1e-9)
    assert omega_squared(sums) == pytest.approx(a * (f - 1) / (a * (f - 1) + 300), abs=1e-9)
    low, high = eta_bounds(fisher, 300)
    for share, bound in ((0.975, low), (0.025, high)):
        assert stats.ncf.cdf(f, a, b, 300 * bound / (1 - bound)) == pytest.approx(share, abs=1e-6)
    assert eta_bounds(replace(fisher, statistic=0.2), 300)[0] == 0


def test_tests_robust_to_groups_are_statsmodels(drawn):
    import statsmodels.api as sm

    x, label, group = drawn
    hot = np.eye(5)[label]
    fit = sm.OLS(x, hot).fit(cov_type="cluster", cov_kwds={"groups": group}, use_t=True)
    contrast = np.hstack([-np.ones((4, 1)), np.eye(4)])
    right = fit.f_test(contrast)
    means = robust_means(x[:, None], label, group)
    mine = equal_means(means)
    assert (mine.statistic, mine.p) == pytest.approx((float(right.fvalue), float(right.pvalue)), abs=1e-9)
    for (a, b), p in pair_tests(means).items():
        row = np.zeros(5)
        row[[a, b]] = 1, -1
        assert p == pytest.approx(float(fit.t_test(row).pvalue), abs=1e-9)
    assert equal_means(robust_means(x[:, None], label, group % 4)) is None, "four groups are too few"


def test_effect_sizes_and_holm(drawn):
    from statsmodels.stats.multitest import multipletests

    x, label, _ = drawn
    sums = moments(x, label).sum(0)
    for a, b in combinations(range(5), 2):
        one, other = x[label == a], x[label == b]
        n, m = len(one), len(other)
        pooled = np.sqrt(((n - 1) * one.var(ddof=1) + (m - 1) * other.var(ddof=1)) / (n + m - 2))
        right = (one.mean() - other.mean()) / pooled * (1 - 3 / (4 * (n + m) - 9))
        assert hedges(sums, a, b) == pytest.approx(right, abs=1e-9)
    p = np.array([0.01, 0.04, 0.001, 0.2, 0.04])
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)


def test_circle():
    rng = np.random.default_rng(0)
    hue = rng.normal(355, 40, 200) % 360
    angle = np.radians(hue)
    mean, length = direction(np.array([200, np.cos(angle).sum(), np.sin(angle).sum()]))
    assert mean == pytest.approx(stats.circmean(hue, high=360), abs=1e-9)
    right = stats.directional_stats(np.stack([np.cos(angle), np.sin(angle)], 1))
    assert length == pytest.approx(right.mean_resultant_length, abs=1e-9)
    assert apart(np.array([10.0]), np.array([350.0])) == 20 and apart(np.array([350.0]), np.array([10.0])) == -20
    drawn = np.exp(1j * rng.uniform(0, 2 * np.pi, (20_000, 30)))
    longer = (np.abs(drawn.mean(1)) > 0.3).mean()
    assert rayleigh(0.3, 30) == pytest.approx(longer, abs=0.006), "the probability that it says"


def test_correlation_is_scipys(drawn):
    x, label, group = drawn
    assert correlation(x, label.astype(float), group, QUICK)[0] == pytest.approx(stats.pearsonr(x, label)[0], abs=1e-9)


def test_what_is_built_in_is_found_with_its_sign():
    for effect, way in ((0.1, "rises with"), (-0.1, "falls with")):
        found = REGISTRY["look"].run(look_clips(clips=800, effect=effect), QUICK)
        assert f"{way} colourfulness" in found.sentence
        named = {result.name: result for result in found.results}
        trend = named["positive share with colourfulness, raw: r"]
        assert (trend.low > 0) if effect > 0 else (trend.high < 0)
        assert (
            named["positive share with brightness, raw: r"].low
            < 0
            < named["positive share with brightness, raw: r"].high
        )
    hue = REGISTRY["hue"].run(look_clips(clips=800), QUICK)
    named = {result.name: result.value for result in hue.results}
    assert named["hue, raw: mean, awe"] == pytest.approx(65, abs=8)
    assert named["hue, raw: mean, fear"] == pytest.approx(40, abs=8)
    assert named["hue: paper's more than 30 degrees off"] < 0.3


def test_clips_of_one_film_are_not_independent():
    """Groups with looks of their own, each of one emotion, and no relation: the naive test finds one, the other not."""
    naive = robust = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(40), 20)
        label = np.repeat(rng.integers(4, size=40), 20)
        x = rng.normal(0, 1, 40)[group] + rng.normal(0, 0.5, 800)
        naive += one_way(moments(x, label).sum(0)).p < 0.01
        robust += equal_means(robust_means(x[:, None], label, group)).p < 0.01
    assert naive > 40 and robust <= 6


def test_prediction_is_held_out_by_group():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(60), 10)
    label = rng.integers(2, size=60)[group]
    tells_the_group = rng.normal(size=(60, 3))[group] + rng.normal(0, 0.01, (600, 3))
    assert abs((held_out(tells_the_group, label, group, 0) == label).mean() - 0.5) < 0.2
    tells_the_label = label[:, None] + rng.normal(0, 0.5, (600, 1))
    assert (held_out(tells_the_label, label, group, 0) == label).mean() > 0.75
    found = REGISTRY["prediction"].run(look_clips(clips=600, effect=0.25), QUICK)
    named = {result.name: result for result in found.results}
    assert named["valence from all attributes"].low > 0.6
    shuffled = named["valence, labels shuffled"]
    assert shuffled.low < 0.5 < shuffled.high or abs(shuffled.value - 0.5) < 0.06


@pytest.mark.parametrize(("name", "change", "why"), [
    ("look", {"emotion": "fear"}, "one emotion"),
    ("prediction", {"group": "one film"}, "holding some out takes 5"),
    ("hue", {"hue": None, "paper_hue": None}, "Fewer than 16 clips have a hue"),
])  # fmt: skip
def test_what_cannot_be_said(name, change, why):
    clips = clips_of([{**row, **change} for row in look_rows(60)])
    with pytest.raises(ValueError, match=why):
        REGISTRY[name].run(clips, QUICK)
