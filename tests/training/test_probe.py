import shutil

import pytest
import torch
from safetensors.torch import load_file

from emogen.emotion import parse_emotion
from emogen.models import EmotionTensors
from emogen.training.probe import LatentProbe, probe_loss, targets
from emogen.training.run import run


def tensors(*words):
    return EmotionTensors.from_states([parse_emotion(word) for word in words])


def test_targets_are_the_blend_and_the_rest_is_neutral():
    shares = targets(tensors("fear", "sadness:0.4", "neutral"))
    assert torch.allclose(shares.sum(1), torch.ones(3))
    assert shares[0, 6] == 1 and shares[1, 7] == pytest.approx(0.4) and shares[1, 8] == pytest.approx(0.6)
    assert shares[2, 8] == 1


def test_the_loss_counts_only_clips_with_an_emotion_and_fades_with_noise():
    torch.manual_seed(0)
    probe, clean = LatentProbe(4), torch.randn(3, 4, 2, 8, 8)
    loss = probe_loss(probe, clean, tensors("fear", "fear", "neutral"), torch.tensor([0.0, 0.75, 0.0]))
    whole = torch.nn.functional.cross_entropy(probe(clean), torch.tensor([6, 6, 8]), reduction="none")
    assert torch.allclose(loss, whole * torch.tensor([1.0, 0.25, 0.0]))


def test_a_run_with_it_differs_and_resumes_exactly(make_config, tmp_path):
    settings = {"objective": {"timesteps": "logit_normal", "probe_weight": 0.5}}

    def trained(name, step):
        return load_file(tmp_path / name / f"checkpoint-{step}" / "trained.safetensors")

    runs = ("plain", 4, {}), ("whole", 4, settings), ("halves", 2, settings), ("halves", 4, settings)
    for name, steps, more in runs:
        run(make_config(
            run={"max_train_steps": steps, "output_dir": str(tmp_path / name)},
            optimizer={"lr_scheduler": "constant"}, checkpoint={"resume_from_checkpoint": "latest"}, **more,
        ))  # fmt: skip
    whole, halves, plain = trained("whole", 4), trained("halves", 4), trained("plain", 4)
    assert all(torch.equal(whole[key], halves[key]) for key in whole)
    assert any(not torch.equal(whole[key], plain[key]) for key in whole)
    assert not [key for key in whole if "probe" in key]


def test_a_probe_of_other_labels_is_not_taken_over(make_config, tmp_path, capsys):
    """Its recipe holds who is labelled how: an equal one is read back, another is made anew and said."""
    settings = {"objective": {"timesteps": "logit_normal", "probe_weight": 0.5}, "run": {"max_train_steps": 1}}
    probe = tmp_path / "run/probe.safetensors"
    run(make_config(**settings))
    true, written = load_file(probe), probe.stat().st_mtime_ns
    for shuffled, again in ((False, False), (True, True)):
        shutil.rmtree(tmp_path / "run/checkpoint-1")
        run(make_config(**settings, data={"shuffle_labels": shuffled}))
        assert (probe.stat().st_mtime_ns != written) == again
        said = "probe.safetensors is made again: it was made with another clips"
        assert (said in capsys.readouterr().out) == again
    other = load_file(probe)
    assert any(not torch.equal(true[name], other[name]) for name in true)
