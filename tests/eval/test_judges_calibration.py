import numpy as np
import pytest

from emogen.eval.judges.calibration import (
    LIMITS,
    calibration,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability_table,
)


def test_ece_by_hand():
    shares = np.array([[0.9, 0.1], [0.95, 0.05], [0.45, 0.55], [0.35, 0.65], [0.4, 0.6]])
    truth = [0, 1, 1, 1, 0]
    rows = reliability_table(shares, truth)
    # 0.6 lies on an edge and belongs below it, with 0.55; 0.9 belongs to (0.8, 0.9]
    assert [(r["low"], r["n"], r["accuracy"]) for r in rows] == [(0.5, 2, 0.5), (0.6, 1, 1), (0.8, 1, 1), (0.9, 1, 0)]
    assert rows[0]["confidence"] == pytest.approx(0.575)
    by_hand = (2 * 0.075 + 0.35 + 0.1 + 0.95) / 5
    assert expected_calibration_error(shares, truth) == pytest.approx(by_hand)
    assert expected_calibration_error(np.eye(3), [0, 1, 2]) == 0
    assert expected_calibration_error(np.eye(3), [1, 2, 0]) == 1


def sample(n, temperature, seed=0):
    """Logits, `temperature` times too large, and targets drawn from their true softmax."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 2, (n, 8))
    shares = np.exp(true) / np.exp(true).sum(1, keepdims=True)
    return true * temperature, [rng.choice(8, p=row) for row in shares]


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_is_found_again(temperature):
    logits, truth = sample(4000, temperature)
    found = fit_temperature(logits, truth)
    assert found == pytest.approx(temperature, rel=0.06)
    best = negative_log_likelihood(logits, truth, found)
    assert all(negative_log_likelihood(logits, truth, found * x) > best for x in (0.97, 1.03))
    assert fit_temperature(logits + 7.0, truth) == pytest.approx(found)  # log-probabilities do as well as logits


def test_a_judge_that_is_always_right_gets_a_limit():
    logits = np.eye(4) * 3
    assert fit_temperature(logits, [0, 1, 2, 3]) == pytest.approx(LIMITS[0], rel=1e-3)
    assert fit_temperature(logits, [1, 2, 3, 0]) == pytest.approx(LIMITS[1], rel=1e-3)


def test_calibration_is_measured_on_the_other_half():
    logits, truth = sample(600, 4.0)
    found = calibration(logits, truth)
    assert found["ece_before"] > 0.2 > 0.07 > found["ece_after"] and found["nll_after"] < found["nll_before"]
    assert found["temperature"] == pytest.approx(4, rel=0.15) and sum(r["n"] for r in found["reliability"]) == 600
    # were a half scaled by its own temperature, the loss could only fall below that of the temperature of all
    own = negative_log_likelihood(logits[:40], truth[:40], fit_temperature(logits[:40], truth[:40]))
    assert calibration(logits[:40], truth[:40])["nll_after"] > own
    few = calibration(logits[:19], truth[:19])
    assert few["ece_after"] is None and few["temperature"] > 0


@pytest.mark.parametrize(
    ("values", "target"),
    [
        (np.zeros((2, 3)), [0]),
        (np.zeros((0, 3)), []),
        (np.zeros(3), [0]),
        (np.zeros((1, 3)), [3]),
        (np.full((1, 3), np.nan), [0]),
    ],
)
def test_what_cannot_be_measured_is_refused(values, target):
    for function in (expected_calibration_error, fit_temperature, calibration):
        with pytest.raises(ValueError):
            function(values, target)
