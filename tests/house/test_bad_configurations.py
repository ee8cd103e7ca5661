"""Hundreds of wrong configurations of every kind: each is refused by a sentence or taken, never anything else."""

import json
from pathlib import Path

import pytest
import yaml
from mutations import damaged

from emogen.eval.benchmark.config import eval_config, load_eval_config
from emogen.eval.controls.config import controls_config, load_controls_config
from emogen.eval.judges.spec import check_spec
from emogen.settings import ConfigError
from emogen.training.config import TrainingConfig, config_from_dict, load_config

CONFIGS = Path(__file__).parents[2] / "configs"
JUDGES = [
    {"kind": "vlm", "name": "v", "model": "m", "frames": 4},
    "embedded",
    {"kind": "ensemble", "name": "e", "members": ["embedded", {"kind": "clip", "model": "x"}], "weights": [1, 2]},
]
KINDS = {
    "training": ("wan2.1_t2v_1.3b.yaml", config_from_dict, load_config),
    "evaluation": ("eval/embedded.yaml", eval_config, load_eval_config),
    "controls": ("eval/controls.yaml", controls_config, load_controls_config),
}


def base_of(kind):
    base = yaml.safe_load((CONFIGS / KINDS[kind][0]).read_text())
    if kind != "training":
        base["judges"] = JUDGES
    return base


def is_a_sentence(error, source):
    text = str(error)
    return source in text and "\n" not in text.strip() and len(text) < 600 and "object at 0x" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_from_python(kind):
    refused = 0
    for what, raw in damaged(base_of(kind), 300):
        try:
            KINDS[kind][1](raw, "here")
        except ConfigError as error:
            refused += 1
            assert is_a_sentence(error, "here"), f"{what}: {error}"
        except Exception as error:
            pytest.fail(f"{what}: {type(error).__name__}: {error}")
    assert refused > 150


@pytest.mark.parametrize("kind", KINDS)
def test_from_files(kind, tmp_path):
    refused = 0
    for number, (what, raw) in enumerate(damaged(base_of(kind), 60, seed=1)):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(raw, sort_keys=False, allow_unicode=False))
        try:
            KINDS[kind][2](file)
        except ConfigError as error:
            refused += 1
            assert is_a_sentence(error, f"{number}.yaml"), f"{what}: {error}"
        except Exception as error:
            pytest.fail(f"{what}: {type(error).__name__}: {error}")
    assert refused > 25


def test_judges():
    for what, raw in damaged(JUDGES, 200):
        for spec in raw if isinstance(raw, list) else [raw]:
            try:
                check_spec(spec, "here")
            except ConfigError as error:
                assert is_a_sentence(error, "here"), f"{what}: {error}"
            except Exception as error:
                pytest.fail(f"{what}: {type(error).__name__}: {error}")


def test_what_is_taken_is_what_a_file_says_again(tmp_path):
    """A configuration that was accepted is written and read back as the same one."""
    taken = 0
    file = tmp_path / "c.yaml"
    for what, raw in damaged(base_of("training"), 150, seed=2):
        try:
            config = config_from_dict(raw)
        except ConfigError:
            continue
        taken += 1
        file.write_text(config.to_yaml())
        assert load_config(file) == config, what
        assert config_from_dict(json.loads(json.dumps(config.to_dict()))) == config, what
        assert isinstance(config, TrainingConfig)
    assert taken > 20
