import pytest
import torch

from emogen.training.config import ConfigError, OptimizerConfig
from emogen.training.optim import MovingAverage, find_optimizer, learning_rate_factor, make_optimizer


def test_warmup_then_cosine():
    config = OptimizerConfig(lr_warmup_steps=10, final_lr=0.1)
    factors = [learning_rate_factor(step, 110, config) for step in range(110)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == factors[10] == 1.0
    assert factors[60] == pytest.approx(0.55)
    assert factors[-1] == pytest.approx(0.1, abs=1e-3)
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_warmup_then_constant():
    config = OptimizerConfig(lr_warmup_steps=2, lr_scheduler="constant")
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


def groups():
    return {"lora": [torch.nn.Parameter(torch.ones(2))], "adapter": [torch.nn.Parameter(torch.ones(3))]}


def test_warmup_then_linear():
    config = OptimizerConfig(lr_warmup_steps=0, lr_scheduler="linear", final_lr=0.2)
    assert [learning_rate_factor(step, 4, config) for step in range(5)] == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])


def test_an_optimizer_is_found_by_its_path_and_gets_what_it_knows():
    config = OptimizerConfig(optimizer="torch.optim.SGD", optimizer_args={"momentum": 0.5}, adam_weight_decay=0.25)
    made = make_optimizer(groups(), config)
    assert isinstance(made, torch.optim.SGD)
    assert made.defaults["momentum"] == 0.5 and made.defaults["weight_decay"] == 0.25
    assert [group["name"] for group in made.param_groups] == ["lora", "adapter"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "AdamW"}, "must be a dotted path"),
        ({"optimizer": "no_such_package.AdamW8bit"}, r"pip install no_such_package\?"),
        ({"optimizer": "torch.optim.Adamw"}, "torch.optim has no 'Adamw'"),
        ({"optimizer_args": {"momentun": 1}}, "torch.optim.AdamW refuses: .*momentun"),
        ({"optimizer": "torch.optim.SGD", "optimizer_args": {"momentum": -1}}, "refuses: Invalid momentum"),
    ],
)
def test_an_optimizer_that_cannot_be_had_is_a_clear_error(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_optimizer(groups(), OptimizerConfig(**settings))
    assert find_optimizer("torch.optim.Adam") is torch.optim.Adam
