"""Samples' looks against those of a data set."""

import json

import numpy as np
import pytest

from emogen.emotion.look import Look, Measured
from emogen.settings import ConfigError
from emogen.training.outputs.look_prior import against_prior
from emogen.training.run import run

PRIOR = Look({"awe": {"brightness": Measured(9, 0.8, 0.1)}, "amusement": {"brightness": Measured(9, 0.6, 0.1)},
              "fear": {"brightness": Measured(9, 0.2, 0.1)}}, {})  # fmt: skip


def clip(brightness):
    return np.full((9, 12, 12, 3), round(255 * brightness), np.uint8)


def test_samples_that_look_as_the_set_does_and_the_other_way_round():
    same = [("awe", clip(0.8)), ("amusement", clip(0.6)), ("fear", clip(0.2)), (None, clip(1.0))]
    values = against_prior(same, PRIOR)
    assert values["val/look_r/brightness"] == pytest.approx(1, abs=1e-4)
    assert values["val/look/brightness/fear"] == pytest.approx(0, abs=0.02)
    turned = against_prior([("awe", clip(0.2)), ("amusement", clip(0.4)), ("fear", clip(0.8))], PRIOR)
    assert turned["val/look_r/brightness"] == pytest.approx(-1, abs=1e-3)
    assert turned["val/look/brightness/fear"] == pytest.approx(6, abs=0.05), "in the set's standard deviations"
    assert set(against_prior(same[:2], PRIOR)) == {"val/look/brightness/awe", "val/look/brightness/amusement"}
    assert against_prior([("awe", clip(0.5))], Look({}, {})) == {}


def test_previews_log_how_far_they_look_from_the_set(make_config, tmp_path):
    held = {name: {"brightness": {"n": 9, "mean": mean, "sd": 0.1}} for name, mean in
            (("awe", 0.8), ("fear", 0.2), ("anger", 0.4))}  # fmt: skip
    (tmp_path / "p.json").write_text(json.dumps({"emotions": held}))
    samples = {"preview_steps": 4, "validation_prompts": ["a red ball"], "num_inference_steps": 2,
               "validation_emotions": ["awe", "fear", "anger"], "guidance_scale": 2.0}  # fmt: skip
    run(make_config(validation={**samples, "look_prior": str(tmp_path / "p.json")}))
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    [line] = [line for line in log if "val/look_r/brightness" in line]
    assert line["step"] == 4 and -1 <= line["val/look_r/brightness"] <= 1
    assert {f"val/look/brightness/{name}" for name in held} <= set(line)
    (tmp_path / "p.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"validation\.look_prior: .*holds no priors"):
        run(
            make_config(
                run={"output_dir": str(tmp_path / "other")},
                validation={**samples, "look_prior": str(tmp_path / "p.json")},
            )
        )
