import pytest
import torch

from emogen.training.config import OptimizerConfig
from emogen.training.optim import MovingAverage, learning_rate_factor


def test_warmup_then_cosine():
    config = OptimizerConfig(warmup_steps=10, final_lr=0.1)
    factors = [learning_rate_factor(step, 110, config) for step in range(110)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == factors[10] == 1.0
    assert factors[60] == pytest.approx(0.55)
    assert factors[-1] == pytest.approx(0.1, abs=1e-3)
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_warmup_then_constant():
    config = OptimizerConfig(warmup_steps=2, schedule="constant")
    assert [learning_rate_factor(step, 9, config) for step in range(4)] == [0.5, 1, 1, 1]


def test_moving_average_follows_and_lends_itself():
    parameter = torch.nn.Parameter(torch.zeros(2))
    average = MovingAverage({"p": parameter}, decay=0.5)
    parameter.data.fill_(1.0)
    average.update(step=1000)  # the decay has warmed up
    assert torch.equal(average.values["p"], torch.full((2,), 0.5))
    with average.applied():
        assert torch.equal(parameter.data, torch.full((2,), 0.5))
    assert torch.equal(parameter.data, torch.ones(2))
    average.update(step=1)  # early steps decay by 2 / 11
    assert torch.allclose(average.values["p"], torch.full((2,), 1 - 0.5 * 2 / 11))
