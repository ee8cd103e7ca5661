"""Training on clips whose emotion changes: each latent frame is told its own."""

import json
import shutil

import numpy as np
import pytest
import torch

from emogen.emotion import EmotionArc
from emogen.models import EmotionTensors, latent_frame_times
from emogen.training.data.plan import make_plan
from emogen.training.run import make_cache, prepare_data, run


@pytest.fixture
def changing(clips_folder, tmp_path):
    """The ten clips, the first and the last with an arc."""
    folder = tmp_path / "clips"
    shutil.copytree(clips_folder, folder)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    rows[0]["emotion"], rows[-1]["emotion"] = "0:neutral 1:fear", "0:joy@hold 0.5:sadness"
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def read(config):
    from accelerate import Accelerator

    plan = make_plan(config, lambda text: None)
    return prepare_data(plan, make_cache(plan), Accelerator(cpu=True))


def test_each_latent_frame_has_its_own_emotion(make_config, changing):
    _, train, _ = read(make_config(data={"dataset_name": str(changing)}))
    row = next(i for i, record in enumerate(train.records) if record.arc is not None)
    other = next(i for i, record in enumerate(train.records) if record.label == "sadness")
    emotion = train.batch([row, other]).emotion
    assert emotion.intensity.shape == (2, 2) and emotion.distribution.shape == (2, 2, 8)
    arc = EmotionArc.parse("0:neutral 1:fear")
    assert torch.equal(emotion.intensity[0], EmotionTensors.from_arcs([arc], latent_frame_times(2, 4)).intensity[0])
    assert emotion.intensity[0, 0] == 0 and emotion.intensity[0, 1] > 0.4
    assert emotion.intensity[1].tolist() == [0.5, 0.5]
    dropped = train.batch([row, other], torch.tensor([False, False]), torch.tensor([True, False])).emotion
    assert not dropped.intensity[0].any() and dropped.intensity[1].all()
    assert train.batch([other]).emotion.intensity.shape == (1,)  # no change, no axis


def test_a_run_learns_from_them_and_the_change_matters(make_config, changing, tmp_path):
    settings = {"max_train_steps": 3}
    checks = {"validation_steps": 3}
    probe = {"timesteps": "logit_normal", "shift": 2.0, "probe_weight": 0.1}

    def losses(dataset, name):
        config = make_config(run={**settings, "output_dir": str(tmp_path / name)}, validation=checks, objective=probe,
                             data={"dataset_name": str(dataset)})  # fmt: skip
        run(config)
        lines = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        return [line[key] for line in lines for key in ("loss", "val/loss", "val/loss_swapped") if key in line]

    moving = losses(changing, "moving")
    still = tmp_path / "still"
    shutil.copytree(changing, still)
    text = (still / "metadata.jsonl").read_text()
    (still / "metadata.jsonl").write_text(text.replace("0:neutral 1:fear", "fear"))
    assert np.isfinite(moving).all() and moving != losses(still, "same")


def test_the_mean_over_time_weighs_by_strength():
    arc = EmotionTensors.from_arcs([EmotionArc.parse("0:neutral 0.5:fear@hold 1:joy")], [0.0, 0.5, 1.0])
    mean = arc.mean_over_time()
    assert mean.intensity.tolist() == pytest.approx([2 / 3])
    assert mean.distribution.sum().item() == pytest.approx(1)
    assert mean.distribution[0].max().item() == pytest.approx(0.5)
    assert mean.mean_over_time() is mean
