"""Linear probes: fitted on coloured noise, saved, loaded, and refused where they cannot be trusted."""

import json

import numpy as np
import pytest
import torch
from judge_parts import clip_of, save_clip, save_clips, save_llava, save_videomae

from emogen.cli import main
from emogen.emotion import MIKELS
from emogen.eval.judges import JudgeError, ProbeJudge, load_encoder, load_judge, train_probe, warnings_for
from emogen.eval.judges.data import labelled_records
from emogen.eval.judges.logistic import fit_logistic
from emogen.eval.judges.train import divide


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_clips(tmp_path_factory.mktemp("clips"), labels=[*MIKELS, "neutral"])


def test_logistic_regression_is_at_its_minimum():
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 5, generator=rng), torch.randint(3, (40,), generator=rng)
    x[:, 4] = 2.5  # never changes
    head = fit_logistic(x, y, 4, 0.3)
    z = ((x.double() - head.mean) / head.scale).numpy()
    share = np.exp(head.scores(x).numpy())
    share /= share.sum(1, keepdims=True)
    counts = np.bincount(y, minlength=3)
    weights = 1 / counts[y] / 3  # each class that occurs counts alike
    slope = ((share - np.eye(4)[y]) * weights[:, None]).T @ z + 0.3 * head.weight.numpy()
    assert np.abs(slope).max() < 1e-5 and np.abs(((share - np.eye(4)[y]) * weights[:, None]).sum(0)).max() < 1e-5
    assert share[:, 3].max() < 1e-6 and head.weight[:, 4].abs().max() < 1e-9
    assert fit_logistic(x, y, 4, 30.0).weight.norm() < head.weight.norm()


def test_a_probe_is_fitted_reported_saved_and_loaded(folder, tmp_path, capsys):
    out = tmp_path / "judge"
    assert (
        main(
            [
                "judge",
                "train",
                "--data",
                str(folder),
                "--encoder",
                "pixels",
                "--output_dir",
                str(out),
                "--licence",
                "CC0-1.0",
                "--quiet",
            ]
        )
        == 0
    )
    said = capsys.readouterr().out
    judge = load_judge(str(out))
    (figures,) = judge.card.held_out.values()
    assert figures["n"] == 8 and figures["accuracy"]["value"] == 1.0 and figures["neutral"]["n"] == 1
    assert figures["accuracy"]["low"] == pytest.approx(8 / (8 + 1.959964**2))  # Wilson's bound of 8 in 8
    assert "accuracy 100.0 [67.6, 100.0]" in said and "L2 " in said
    assert (judge.card.licence, judge.card.kind, judge.card.training.clips) == ("CC0-1.0", "probe", 9 * 5)
    assert judge.card.temperature == judge.temperature == json.loads((out / "config.json").read_text())["temperature"]
    assert judge.temperature == 1.0  # all clips to choose by are read right
    rng = np.random.default_rng(9)
    clips = np.stack([clip_of(place, rng) for place in range(9)])
    verdict = judge(clips)
    assert verdict.labels[:8] == list(MIKELS)
    assert verdict.confidence[:8].min() > 0.5 > verdict.confidence[8]
    assert sorted(p.name for p in out.iterdir()) == ["card.json", "config.json", "probe.safetensors"]
    # the report's clips were neither fitted on nor chosen by
    assert len(judge.card.training.clip_hashes) == 45
    parts = divide(labelled_records(folder))
    assert warnings_for(judge, parts["report"]) == []
    assert "trained on 36 of the 36 clips" in warnings_for(judge, parts["fit"])[0]


def test_transformers_encoders_give_one_row_a_clip(tmp_path):
    rng = np.random.default_rng(0)
    clips = np.stack([clip_of(place, rng) for place in (1, 2)])
    clip = load_encoder(str(save_clip(tmp_path / "clip")), frames=2)
    frames = np.stack([clips[0][0], clips[0][3]])
    whole = clip(clips)
    assert whole.shape == (2, 8)
    alone = torch.cat([clip(frames[k][None, None]) for k in range(2)])
    assert torch.allclose(whole[0], alone.mean(0), atol=1e-5) and not torch.allclose(alone[0], alone[1])
    mae = load_encoder(str(save_videomae(tmp_path / "mae")))
    assert mae.video and mae(clips).shape == (2, 16)
    assert torch.allclose(mae(clips[:, :2]), mae(clips[:, [0, 0, 1, 1]]), atol=1e-5)  # short clips are stretched
    backwards = mae(clips[:1, ::-1])
    assert not torch.allclose(backwards, mae(clips[:1]), atol=1e-4)  # it sees order
    embedded = load_encoder("embedded")
    assert embedded(clips).shape == (2, 192) and torch.equal(embedded(clips), embedded(clips))
    assert load_encoder("pixels")(clips[:, :1]).shape == (2, 3 * 3 * 144)
    with pytest.raises(JudgeError, match=r"encoder no/such/folder: neither embedded, pixels"):
        load_encoder("no/such/folder")


def test_a_probe_knows_its_encoder(folder, tmp_path):
    clip = save_clip(tmp_path / "clip")
    train_probe(folder, str(clip), tmp_path / "judge", frames=2, quiet=True, say=lambda line: None)
    clip.rename(tmp_path / "moved")
    with pytest.raises(JudgeError, match=r"clip: neither .*; if it has moved, say \{kind: probe, folder: "):
        load_judge(str(tmp_path / "judge"))
    found = load_judge({"kind": "probe", "folder": str(tmp_path / "judge"), "encoder": str(tmp_path / "moved")})
    assert isinstance(found, ProbeJudge)
    from transformers import CLIPModel

    model = CLIPModel.from_pretrained(tmp_path / "moved")
    model.visual_projection.weight.data.mul_(-1)
    model.save_pretrained(tmp_path / "moved")
    with pytest.raises(JudgeError, match="is not the encoder that the probe was fitted on"):
        load_judge({"kind": "probe", "folder": str(tmp_path / "judge"), "encoder": str(tmp_path / "moved")})
    (tmp_path / "judge/probe.safetensors").write_bytes(b"broken")
    with pytest.raises(JudgeError, match="no whole linear probe"):
        load_judge(str(tmp_path / "judge"))


def test_division_keeps_splits_and_groups_apart(tmp_path):
    plain = labelled_records(save_clips(tmp_path / "plain", each=20, labels=["awe", "fear"], splits=()))
    parts = divide(plain)
    assert {part: len(records) for part, records in parts.items()} == {"fit": 28, "choose": 6, "report": 6}
    assert {r.label for r in parts["report"]} == {"awe", "fear"}
    assert parts == divide(plain) and sum(map(len, parts.values())) == len({r.path for p in parts.values() for r in p})
    three = labelled_records(
        save_clips(tmp_path / "three", each=4, labels=["awe", "fear"], splits=("train", "train", "val", "test"))
    )
    named = {part: {r.split for r in records} for part, records in divide(three).items()}
    assert named == {"fit": {"train"}, "choose": {"val"}, "report": {"test"}}
    rows = [json.loads(line) for line in (tmp_path / "plain/metadata.jsonl").read_text().splitlines()]
    rows = [row | {"character": f"{row['emotion']}{k // 4}"} for k, row in enumerate(rows)]
    (tmp_path / "plain/metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    grouped = divide(labelled_records(tmp_path / "plain"), "character")
    seen = [{r.extra["character"] for r in records} for records in grouped.values()]
    assert [len(part) for part in seen] == [6, 2, 2] and len(set.union(*seen)) == 10
    with pytest.raises(JudgeError, match=r"metadata\.jsonl.* has no 'film', by which"):
        divide(labelled_records(tmp_path / "plain"), "film")
    rows = [row | {"split": "train" if k % 2 else "val"} for k, row in enumerate(rows)]
    (tmp_path / "plain/metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(JudgeError, match=r"character '.*' lies in two splits"):
        divide(labelled_records(tmp_path / "plain"), "character")


def test_a_probe_that_is_wrong_at_times_is_made_less_sure(tmp_path):
    data = save_clips(tmp_path / "data", each=8, labels=["awe", "fear"], splits=("train", "train", "val", "test"))
    rows = [json.loads(line) for line in (data / "metadata.jsonl").read_text().splitlines()]
    for row in rows:
        if row["file_name"] in ("awe_2.png", "fear_3.png"):  # a wrong label to choose by, one to report on
            row["emotion"] = "fear" if row["emotion"] == "awe" else "awe"
    (data / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    judge = train_probe(data, "pixels", tmp_path / "out", quiet=True, say=lambda line: None)
    (figures,) = judge.card.held_out.values()
    assert judge.temperature > 1.2 and figures["accuracy"]["value"] == 0.75
    assert figures["nll_after"] < figures["nll_before"] and figures["ece_after"] < figures["ece_before"]
    assert load_judge(str(tmp_path / "out")).temperature == judge.temperature


@pytest.mark.parametrize(
    ("labels", "each", "message"),
    [(["awe"], 6, "all clips to fit on show awe; two emotions"), (["neutral"], 6, "no clip with an emotion is left"),
     (["awe", "fear"], 1, "left to choose on")],
)  # fmt: skip
def test_too_little_to_fit_on_is_said(tmp_path, labels, each, message, capsys):
    save_clips(tmp_path / "data", each=each, labels=labels)
    call = ["judge", "train", "--data", str(tmp_path / "data"), "--encoder", "pixels", "--output_dir"]
    assert main([*call, str(tmp_path / "out"), "--quiet"]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_missing_labels_and_broken_clips_are_listed(tmp_path):
    data = save_clips(tmp_path / "data", labels=["awe", "fear", "anger"])
    (data / "awe_0.png").write_bytes(b"broken")
    said = []
    judge = train_probe(data, "pixels", tmp_path / "out", quiet=True, say=said.append)
    assert any("left out: awe_0.png: unreadable" in line for line in said)
    assert any("shows amusement, contentment, excitement, disgust, sadness" in line for line in said)
    shares = judge(np.stack([clip_of(place, np.random.default_rng(1)) for place in range(3)])).distribution
    absent = [MIKELS.index(name) for name in ("amusement", "contentment", "excitement", "disgust", "sadness")]
    assert shares[:, absent].max() < 1e-6 and judge.card.training.clips == 3 * 4 - 1 + 3


def test_a_text_model_is_no_encoder(tmp_path):
    from transformers import LlamaConfig, LlamaModel

    save_llava(tmp_path)  # for its image processor
    LlamaModel(
        LlamaConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=8)
    ).save_pretrained(tmp_path)
    with pytest.raises(JudgeError, match="a llama model takes no pixel_values"):
        load_encoder(str(tmp_path))
