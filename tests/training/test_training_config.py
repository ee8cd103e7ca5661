from pathlib import Path

import pytest
import yaml

from emogen.training.config import _KEYS, ConfigError, load_config

MINIMAL = """\
model:
  pretrained_model_name_or_path: some/model
data:
  dataset_name: clips
run:
  output_dir: out
  max_train_steps: 10
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
        write(MINIMAL + "optimizer:\n  learning_rate: 2e-4\n"),
        ["--rank", "8", "--gradient_checkpointing", "--optimizer.adapter_learning_rate", "3e-4",
         "--target_modules", "[to_q, to_v]", "--lora_alpha", "null"],
    )  # fmt: skip
    assert (config.lora.rank, config.lora.lora_alpha, config.lora.target_modules) == (8, None, ["to_q", "to_v"])
    assert config.model.gradient_checkpointing is True
    assert (config.optimizer.learning_rate, config.optimizer.adapter_learning_rate) == (2e-4, 3e-4)
    assert config.objective.shift is None


def test_a_saved_configuration_reads_back_the_same(write, tmp_path):
    config = load_config(write(MINIMAL), ["--report_to", "tensorboard", "--mixed_precision", "no",
                                          "--base_dtype", "fp32"])  # fmt: skip
    saved = tmp_path / "saved.yaml"
    saved.write_text(config.to_yaml())
    assert load_config(saved) == config


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (MINIMAL + "optimizer:\n  learning_rat: 1\n", [], r"c\.yaml:9: unknown key .*'optimizer\.learning_rate'"),
        (MINIMAL, ["--optimizr.learning_rate", "1"], r"--optimizr\.learning_rate: .*'optimizer\.learning_rate'"),
        (MINIMAL, ["--rankk", "1"], r"--rankk: unknown key 'rankk'; did you mean 'lora\.rank'"),
        (MINIMAL, ["--optimizer_args", "3"], r"must be a mapping"),
        (MINIMAL, ["--attention_backend", "sage"], r"no backward pass"),
        (MINIMAL, ["--preview_steps", "5"], r"needs validation\.validation_prompts"),
        (MINIMAL, ["--validation_prompts", "[a, b]", "--validation_images", "[x.png]"], r"1 images for 2 prompts"),
        (MINIMAL, ["--buckets", "[5x16x16]", "--height", "32"], r"leave data\.height"),
        (MINIMAL, ["--push_to_hub"], r"needs run\.hub_model_id"),
        (MINIMAL, ["--cpu", "--base_storage", "nf4"], r"needs a GPU"),
        (MINIMAL, ["--mixed_precision", "fp16"], r"base_dtype: fp16 or fp32"),
        (MINIMAL, ["--use_dora", "--export_formats", "[comfyui]"], r"use_dora: comfyui cannot hold"),
        (MINIMAL, ["--lora_weights", "x", "--rank", "0"], r"needs a lora\.rank above 0"),
        (MINIMAL + "lora:\n  rank: many\n", [], r"c\.yaml:9: lora\.rank must be int, not 'many'"),
        (MINIMAL + "lora:\n  rank: true\n", [], r"must be int"),
        (MINIMAL, ["--lora.rank", "-1"], r"must be at least 0"),
        (MINIMAL, ["--learning_rate", "0"], r"must be above 0"),
        (MINIMAL, ["--optimizer.learning_rate", ".nan"], r"must be finite"),
        (MINIMAL, ["--base_dtype", "int4"], r"one of bf16, fp16, fp32"),
        (MINIMAL, ["--validation_quantiles", "[0.5, 1.0]"], r"below 1"),
        (MINIMAL, ["--validation_quantiles", "0.5"], r"must be a list"),
        (MINIMAL, ["--lora.rank"], r"needs a value"),
        (MINIMAL, ["lora.rank", "3"], r"expected a flag"),
        (MINIMAL, ["--num_frames", "80"], r"4k\+1: 77 or 81"),
        (MINIMAL, ["--lora.rank", "0", "--train_adapter", "false"], r"nothing would be trained"),
        (MINIMAL, ["--joint_dropout", "0.95"], r"at most 1"),
        (MINIMAL, ["--adapter_rank", "100"], r"multiple of adapter\.adapter_head_dim"),
        (MINIMAL, ["--mixed_precision", "no"], r"model\.base_dtype: fp32"),
        (MINIMAL.replace("  max_train_steps: 10\n", ""), [], r"run\.max_train_steps must be set"),
        (MINIMAL + "  max_train_steps: 11\n", [], r"c\.yaml:8: 'run\.max_train_steps' is set twice"),
        ("model: [1]\n", [], r"c\.yaml:1: 'model' must be a section"),
        ("model:\n  revision: [\n", [], r"not valid YAML"),
        ("- 1\n", [], r"expected sections"),
    ],
)  # fmt: skip
def test_mistakes_are_named(write, text, overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write(text), overrides)


def test_a_section_may_be_empty(write):
    assert load_config(write(MINIMAL + "lora:\n  # rank: 3\n")).lora.rank == 32


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path):
    load_config(path)


def test_the_reference_configuration_explains_every_key():
    written = yaml.safe_load((CONFIGS / "wan2.1_t2v_1.3b.yaml").read_text())
    keys = {f"{section}.{key}" for section, values in written.items() for key in values}
    assert keys == set(_KEYS)


def test_no_key_has_the_name_of_another():
    """So that every key can be a flag of its own."""
    names = [key.partition(".")[2] for key in _KEYS]
    assert sorted(names) == sorted(set(names))
    assert "config" not in names and "dry_run" not in names


def test_a_flag_may_stand_alone_or_with_a_number(write):
    assert load_config(write(MINIMAL), ["--gradient_checkpointing", "3"]).model.gradient_checkpointing == 3
    assert load_config(write(MINIMAL), ["--compile", "--rank", "4"]).model.compile is True
    assert load_config(write(MINIMAL), ["--compile", "false"]).model.compile is False
    with pytest.raises(ConfigError, match="at least 0"):
        load_config(write(MINIMAL), ["--gradient_checkpointing", "-1"])
