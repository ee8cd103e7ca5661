"""CLIP and image-text-to-text judges on tiny random models; scores are recomputed by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from judge_parts import clip_of, save_clip, save_llava, save_videomae

from emogen.emotion import MIKELS, MIKELS_VA
from emogen.eval.judges import CLIPJudge, JudgeError, VLMJudge, load_judge
from emogen.eval.judges.base import LABELS, expected_va, pick_frames, verdict_of
from emogen.eval.judges.clip import label_texts


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    return np.stack([clip_of(place, rng, frames=5) for place in (0, 3, 6)])


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    return save_llava(tmp_path_factory.mktemp("llava"))


def test_a_verdict_of_scores():
    scores = torch.zeros(2, 9)
    scores[0, 8] = 50.0
    scores[1, MIKELS.index("fear")] = 50.0
    verdict = verdict_of(scores)
    assert verdict.distribution[0] == pytest.approx([1 / 8] * 8) and verdict.labels[1] == "fear"
    assert verdict.confidence == pytest.approx([0, 1]) and verdict.confidence.shape == (2,)
    assert verdict.valence_arousal[1] == pytest.approx(MIKELS_VA["fear"])
    assert expected_va(np.eye(8)[[2]] * 0.5 + np.eye(8)[[4]] * 0.5)[0] == pytest.approx([0.0, 0.125])
    assert verdict_of(torch.zeros(1, 8)).confidence == [1.0]


def test_frames_are_picked_evenly():
    clip = np.arange(9).reshape(1, 9, 1, 1, 1)
    assert [pick_frames(clip, k)[0, :, 0, 0, 0].tolist() for k in (3, 1, 20)] == [[0, 4, 8], [4], list(range(9))]


def test_clip_scores_are_the_scaled_mean_cosine(tmp_path, clips):
    judge = CLIPJudge(save_clip(tmp_path / "clip"), frames=3, name="zero")
    encoder, texts = judge.encoder, label_texts()
    assert len(texts) == len(LABELS) and len({line for lines in texts for line in lines}) == 9 * 4
    frames = torch.from_numpy(clips[1][[0, 2, 4]]).permute(0, 3, 1, 2)
    seen = encoder.images(frames)
    label = F.normalize(encoder.texts(texts[6]).mean(0), dim=0)
    expected = (seen @ label).mean() * encoder.model.logit_scale.exp().item()
    assert judge.scores(clips)[1, 6].item() == pytest.approx(expected.item(), rel=1e-5)
    verdict = judge(clips)
    assert verdict.distribution.sum(1) == pytest.approx([1] * 3) and (verdict.confidence < 1).all()
    assert verdict.valence_arousal == pytest.approx(expected_va(verdict.distribution))
    assert judge.card.kind == "clip" and judge.card.training.clip_hashes is None
    hot = load_judge({"kind": "clip", "model": str(tmp_path / "clip"), "frames": 3, "temperature": 1e6})
    assert hot(clips).distribution == pytest.approx(1 / 8, abs=1e-3) and hot.card.temperature == 1e6


def by_hand(judge, clip, label):
    """The log-probability of a label, token by token, from a plain forward pass of one row."""
    from PIL import Image

    prompt = judge.prompt(len(clip))
    images = [Image.fromarray(frame) for frame in clip]
    row = judge.processor(text=f"{prompt} {label}", images=images, return_tensors="pt")
    answer = judge.processor.tokenizer(f" {label}", add_special_tokens=False)["input_ids"]
    assert row["input_ids"][0, -len(answer) :].tolist() == answer
    with torch.no_grad():
        told = judge.model(**row).logits[0].log_softmax(-1)
    start = row["input_ids"].shape[1] - len(answer)
    parts = [told[start + k - 1, token].item() for k, token in enumerate(answer)]
    return parts[1:]  # the space is the same before every label and so counts for none


def test_vlm_scores_are_the_labels_log_probabilities(llava, clips):
    judge = VLMJudge(llava, frames=2, batch_size=2)
    scores = judge.scores(clips)
    assert scores.shape == (3, 9)
    prompt = judge.prompt(2)
    assert prompt.count("<image>") == 2 and prompt.endswith("assistant:") and "2 frames" in prompt
    assert all(label in prompt for label in LABELS)
    chosen = pick_frames(clips, 2)
    for clip, label in ((0, "awe"), (1, "contentment"), (2, "neutral"), (2, "fear")):
        expected = sum(by_hand(judge, chosen[clip], label))
        assert scores[clip, LABELS.index(label)].item() == pytest.approx(expected, abs=1e-4)
    one = VLMJudge(llava, frames=2, batch_size=1).scores(clips)
    assert torch.allclose(scores, one, atol=1e-4)
    assert not torch.allclose(scores[0], scores[1], atol=1e-3)  # it does look
    judge._keeps = False  # as for models that know no logits_to_keep
    assert torch.allclose(judge.scores(clips), one, atol=1e-4)


def test_mean_scoring_divides_by_the_number_of_tokens(llava, clips):
    judge = VLMJudge(llava, frames=2, scoring="mean")
    parts = by_hand(judge, pick_frames(clips, 2)[0], "awe")
    assert judge.scores(clips[:1])[0, 1].item() == pytest.approx(sum(parts) / len(parts), abs=1e-4)
    assert len(parts) < len(by_hand(judge, pick_frames(clips, 2)[0], "sadness"))
    with pytest.raises(JudgeError, match="scoring 'meen' is none of sum, mean"):
        VLMJudge(llava, scoring="meen")


def test_a_line_break_is_answered_without_a_space(tmp_path, clips):
    judge = VLMJudge(save_llava(tmp_path, "<image>say{{ '\n' }}"), frames=1)
    seen = {}
    judge.model.register_forward_pre_hook(lambda m, a, kw: seen.update(kw), with_kwargs=True)
    judge.scores(clips[:1])
    text = judge.processor.tokenizer.batch_decode(seen["input_ids"], skip_special_tokens=True)
    assert [line.split("\n")[-1] for line in text] == list(LABELS)


def test_models_that_cannot_judge_are_named(tmp_path, llava):
    with pytest.raises(JudgeError, match=r"nowhere.*neither"):
        load_judge({"kind": "vlm", "model": str(tmp_path / "nowhere")})
    with pytest.raises(JudgeError, match=r"mae is no image-text-to-text model"):
        load_judge({"kind": "vlm", "model": str(save_videomae(tmp_path / "mae"))})
    with pytest.raises(JudgeError, match="llava model, not CLIP"):
        load_judge({"kind": "clip", "model": str(llava), "name": "c"})
    plain = save_llava(tmp_path / "plain", template=None)
    with pytest.raises(JudgeError, match="has no chat template; take an instruct model"):
        VLMJudge(plain)


def test_weights_in_8_bits_read_as_their_originals(tmp_path):
    """A classifier with a matrix and a convolution in 8 bits answers as before to a hundredth, and takes less room."""
    from safetensors.torch import load_file, save_file

    from emogen.eval.judges.classifier import ClipClassifier, in_8_bits

    torch.manual_seed(0)
    whole = ClipClassifier({"shape": ["a", "b", "c"]}, size=16, frames=2, width=8).eval()
    whole.save_pretrained(tmp_path / "whole")
    whole.save_pretrained(tmp_path / "small")
    file = tmp_path / "small" / "diffusion_pytorch_model.safetensors"
    before = file.stat().st_size
    save_file(in_8_bits(load_file(file), ["mix.0.weight", "stages.5.conv2.weight"]), file)
    small = ClipClassifier.from_pretrained(tmp_path / "small")
    clips = torch.rand(4, 3, 3, 16, 16)
    assert file.stat().st_size < 0.8 * before and not small.training
    for name, answer in ClipClassifier.from_pretrained(tmp_path / "whole").eval()(clips).items():
        torch.testing.assert_close(small(clips)[name], answer, atol=0.01, rtol=0.01)
