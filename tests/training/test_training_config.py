"""The settings of a training run: what they are, how they go together, what the shipped files say."""

from pathlib import Path

import pytest
import yaml

from emogen.settings import keys_of
from emogen.training.config import ConfigError, TrainingConfig, config_from_dict, load_config

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
         "--target_modules", "[to_q, to_v]", "--lora_alpha", "null", "--optimizer_args", "{eps: 1e-6, fused: yes}"],
    )  # fmt: skip
    assert (config.lora.rank, config.lora.lora_alpha, config.lora.target_modules) == (8, None, ["to_q", "to_v"])
    assert config.model.gradient_checkpointing is True
    assert (config.optimizer.learning_rate, config.optimizer.adapter_learning_rate) == (2e-4, 3e-4)
    assert config.optimizer.optimizer_args == {"eps": 1e-6, "fused": True}
    assert config.objective.shift is None


def test_a_saved_configuration_reads_back_the_same(write, tmp_path):
    config = load_config(write(MINIMAL), ["--report_to", "tensorboard", "--mixed_precision", "no", "--base_dtype",
                                          "fp32", "--output_dir", "2025-11-24", "--revision", "1e3"])  # fmt: skip
    saved = tmp_path / "saved.yaml"
    saved.write_text(config.to_yaml())
    assert load_config(saved) == config == config_from_dict(yaml.safe_load(config.to_yaml()))


MISTAKES = [
    # keys
    ("optimizer:\n  learning_rat: 1\n", [], r"c\.yaml:9: unknown key .*'optimizer\.learning_rate'"),
    ("lora:\n  learning_rate: 1\n", [], r"c\.yaml:9: unknown key .*'optimizer\.learning_rate'"),
    ("lorra:\n  rank: 1\n", [], r"c\.yaml:8: unknown key 'lorra'; did you mean 'lora'"),
    ("", ["--optimizr.learning_rate", "1"], r"--optimizr\.learning_rate: .*'optimizer\.learning_rate'"),
    ("", ["--rankk", "1"], r"--rankk: unknown key 'rankk'; did you mean 'lora\.rank'"),
    ("  max_train_steps: 11\n", [], r"c\.yaml:8: 'run\.max_train_steps' is set twice \(first at .*c\.yaml:7\)"),
    # flags
    ("", ["--lora.rank"], r"--lora\.rank: needs a value"),
    ("", ["lora.rank", "3"], r"expected a flag"),
    ("", ["--lora.rank", "-1"], r"^--lora\.rank: lora\.rank must be at least 0, not -1$"),
    # types and ranges
    ("lora:\n  rank: many\n", [], r"c\.yaml:9: lora\.rank must be a whole number, not 'many'"),
    ("lora:\n  rank: true\n", [], r"lora\.rank must be a whole number"),
    ("lora: 5\n", [], r"c\.yaml:8: lora must be a section"),
    ("lora: 5\n", ["--lora.rank", "3"], r"c\.yaml:8: lora must be a section"),
    ("", ["--optimizer_args", "3"], r"must be a mapping"),
    ("", ["--learning_rate", "0"], r"must be above 0"),
    ("", ["--learning_rate", "0,1"], r"must be a number such as 0\.5, not '0,1'; write 0\.1"),
    ("", ["--optimizer.learning_rate", ".nan"], r"must be finite"),
    ("", ["--shift", "inf"], r"must be finite"),
    ("", ["--optimizer_args", "{eps: .inf}"], r"must be finite"),
    ("", ["--base_dtype", "int4"], r"one of bf16, fp16, fp32, not 'int4'"),
    ("", ["--validation_quantiles", "[0.5, 1.0]"], r"below 1"),
    ("", ["--validation_quantiles", "0.5"], r"must be a list"),
    ("", ["--export_formats", "[webui]"], r"export_formats\[0\] must be one of comfyui, diffsynth"),
    ("", ["--seed", str(2**70)], r"--seed: run\.seed must be"),
    ("", ["--seed", "-1"], r"run\.seed must be at least 0"),
    ("", ["--max_train_steps", "9" * 400], r"at most 40 characters, not of 400"),
    ("", ["--output_dir", ""], r"--output_dir: run\.output_dir must be text|must not be empty"),
    # keys together
    ("", ["--attention_backend", "sage"], r"--attention_backend: .*no backward pass"),
    ("", ["--look_prior", "p.json"], r"look_prior is held against previews"),
    ("", ["--preview_steps", "5"], r"needs validation\.validation_prompts"),
    ("", ["--validation_prompts", "[a, b]", "--validation_images", "[x.png]"], r"1 images for 2 prompts"),
    ("validation:\n  validation_prompts: [a cat, on a mat]\n", [], r'c\.yaml:9: .*\["a cat, on a mat"\]'),
    ("", ["--validation_emotions", "[va:0.8,0.3]"], r'quotes: \["va:0\.8,0\.3"\]'),
    ("", ["--validation_emotions", "[joyy]"], r"validation_emotions: .*joy"),
    ("", ["--buckets", "[5x16x16]", "--height", "32"], r"leave data\.height"),
    ("", ["--push_to_hub"], r"needs run\.hub_model_id"),
    ("", ["--cpu", "--base_storage", "nf4"], r"needs a GPU"),
    ("", ["--cpu", "--mixed_precision", "fp16", "--base_dtype", "fp16"], r"fp16 needs a GPU"),
    ("", ["--mixed_precision", "fp16"], r"base_dtype: fp16 or fp32"),
    ("", ["--compile", "--base_storage", "fp8"], r"does not go with"),
    ("", ["--use_dora", "--export_formats", "[comfyui]"], r"use_dora: comfyui cannot hold"),
    ("", ["--lora_weights", "x", "--rank", "0"], r"needs a lora\.rank above 0"),
    ("", ["--adapter_weights", "x", "--train_adapter", "false"], r"needs adapter\.train_adapter: true"),
    ("", ["--num_frames", "80"], r"--num_frames: .*4k\+1: 77 or 81"),
    ("", ["--lora.rank", "0", "--train_adapter", "false"], r"nothing would be trained"),
    ("", ["--joint_dropout", "0.95"], r"at most 1"),
    ("", ["--adapter_rank", "100"], r"multiple of adapter\.adapter_head_dim"),
    ("", ["--mixed_precision", "no"], r"model\.base_dtype: fp32"),
]


@pytest.mark.parametrize(("more", "overrides", "message"), MISTAKES)
def test_mistakes_are_named(write, more, overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write(MINIMAL + more), overrides)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL.replace("  max_train_steps: 10\n", ""), r"run\.max_train_steps must be set \(in the file or as --max"),
        (MINIMAL.partition("run:")[0], r"run\.output_dir must be set"),
        ("model: [1]\n", r"c\.yaml:1: model must be a section"),
        ("model:\n  revision: [\n", r"c\.yaml:3: not valid YAML"),
        ("- 1\n", r"expected keys such as model"),
        ("", r"expected keys such as model"),
    ],
)
def test_what_is_no_configuration_is_said(write, text, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write(text))


def test_sections_from_python_are_checked_alike():
    for raw, message in (({"model": 3}, "model must be a section"), ({"lora": {"rank": "x"}}, "whole number"),
                         ({"data": {5: 1}}, "unknown key 'data.5'")):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            config_from_dict({**yaml.safe_load(MINIMAL), **raw})


def test_a_no_that_yaml_took_for_false_is_the_word():
    raw = yaml.safe_load(MINIMAL + "  mixed_precision: no\nmodel: {pretrained_model_name_or_path: m, base_dtype: fp32}")
    assert raw["run"]["mixed_precision"] is False and config_from_dict(raw).run.mixed_precision == "no"


def test_a_section_may_be_empty(write):
    assert load_config(write(MINIMAL + "lora:\n  # rank: 3\n")).lora.rank == 32
    assert load_config(write(MINIMAL + "lora:\n"), ["--rank", "3"]).lora.rank == 3


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path):
    load_config(path)


def test_the_reference_configuration_explains_every_key():
    written = yaml.safe_load((CONFIGS / "wan2.1_t2v_1.3b.yaml").read_text())
    keys = {f"{section}.{key}" for section, values in written.items() for key in values}
    assert keys == set(keys_of(TrainingConfig))


def test_no_key_has_the_name_of_another():
    """So that every key can be a flag of its own."""
    names = [key.partition(".")[2] for key in keys_of(TrainingConfig)]
    assert sorted(names) == sorted(set(names))
    assert "config" not in names and "dry_run" not in names


def test_a_flag_may_stand_alone_or_with_a_number(write):
    assert load_config(write(MINIMAL), ["--gradient_checkpointing", "3"]).model.gradient_checkpointing == 3
    assert load_config(write(MINIMAL), ["--compile", "--rank", "4"]).model.compile is True
    assert load_config(write(MINIMAL), ["--compile", "false"]).model.compile is False
    with pytest.raises(ConfigError, match="at least 0"):
        load_config(write(MINIMAL), ["--gradient_checkpointing", "-1"])
