from pathlib import Path

import pytest
import yaml

from emogen.training.config import _KEYS, ConfigError, load_config

MINIMAL = """\
model:
  path: some/model
data:
  metadata: clips
run:
  output_dir: out
  steps: 10
"""
CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "c.yaml"
        path.write_text(text)
        return path

    return write


def test_defaults_and_overrides(write):
    config = load_config(
        write(MINIMAL + "optimizer:\n  lora_lr: 2e-4\n"),
        ["--lora.rank", "8", "--model.gradient_checkpointing=true", "--optimizer.adapter_lr", "3e-4",
         "--lora.targets", "[to_q, to_v]", "--lora.alpha", "null"],
    )  # fmt: skip
    assert (config.lora.rank, config.lora.alpha, config.lora.targets) == (8, None, ["to_q", "to_v"])
    assert config.model.gradient_checkpointing is True
    assert (config.optimizer.lora_lr, config.optimizer.adapter_lr) == (2e-4, 3e-4)
    assert config.objective.shift == 2.0


def test_a_saved_configuration_reads_back_the_same(write, tmp_path):
    config = load_config(write(MINIMAL), ["--run.log_with", "tensorboard", "--run.mixed_precision", "no",
                                          "--model.dtype", "fp32"])  # fmt: skip
    saved = tmp_path / "saved.yaml"
    saved.write_text(config.to_yaml())
    assert load_config(saved) == config


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (MINIMAL + "optimizer:\n  lora_rl: 1\n", [], r"c\.yaml:9: unknown key .*'optimizer\.lora_lr'"),
        (MINIMAL, ["--optimizr.lora_lr", "1"], r"--optimizr\.lora_lr: unknown key.*'optimizer\.lora_lr'"),
        (MINIMAL, ["--rank", "1"], r"unknown key 'rank'; did you mean 'lora\.rank'"),
        (MINIMAL + "lora:\n  rank: many\n", [], r"c\.yaml:9: lora\.rank must be int, not 'many'"),
        (MINIMAL + "lora:\n  rank: true\n", [], r"must be int"),
        (MINIMAL, ["--lora.rank", "-1"], r"must be at least 0"),
        (MINIMAL, ["--optimizer.lora_lr", "0"], r"must be above 0"),
        (MINIMAL, ["--optimizer.lora_lr", ".nan"], r"must be finite"),
        (MINIMAL, ["--model.dtype", "fp16"], r"one of bf16, fp32"),
        (MINIMAL, ["--validation.quantiles", "[0.5, 1.0]"], r"below 1"),
        (MINIMAL, ["--validation.quantiles", "0.5"], r"must be a list"),
        (MINIMAL, ["--lora.rank"], r"needs a value"),
        (MINIMAL, ["lora.rank", "3"], r"expected an override"),
        (MINIMAL, ["--data.num_frames", "80"], r"4k\+1: 77 or 81"),
        (MINIMAL, ["--lora.rank", "0", "--adapter.enabled", "false"], r"nothing would be trained"),
        (MINIMAL, ["--objective.joint_dropout", "0.95"], r"at most 1"),
        (MINIMAL, ["--adapter.rank", "100"], r"multiple of adapter\.head_dim"),
        (MINIMAL, ["--run.mixed_precision", "no"], r"model\.dtype: fp32"),
        (MINIMAL.replace("  steps: 10\n", ""), [], r"run\.steps must be set"),
        (MINIMAL + "  steps: 11\n", [], r"c\.yaml:8: 'run\.steps' is set twice"),
        ("model: [1]\n", [], r"c\.yaml:1: 'model' must be a section"),
        ("model:\n  path: [\n", [], r"not valid YAML"),
        ("- 1\n", [], r"expected sections"),
    ],
)  # fmt: skip
def test_mistakes_are_named(write, text, overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write(text), overrides)


def test_a_section_may_be_empty(write):
    assert load_config(write(MINIMAL + "lora:\n  # rank: 3\n")).lora.rank == 32


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("train_*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path):
    load_config(path)


def test_the_reference_configuration_explains_every_key():
    written = yaml.safe_load((CONFIGS / "train_wan21_t2v_1.3b.yaml").read_text())
    keys = {f"{section}.{key}" for section, values in written.items() for key in values}
    assert keys == set(_KEYS)
