"""Specifications, cards, warnings, ensembles, and judges inside a benchmark."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from judge_parts import save_clips

from emogen.cli import main
from emogen.emotion import MIKELS
from emogen.eval.benchmark.config import eval_config
from emogen.eval.benchmark.run import run_benchmark
from emogen.eval.judges import (
    EnsembleJudge,
    JudgeCard,
    JudgeError,
    TrainingData,
    check_judge,
    kappa_table,
    load_judge,
    train_probe,
    warnings_for,
)
from emogen.eval.judges.card import clip_hash
from emogen.eval.judges.data import labelled_records
from emogen.eval.judges.embedded import Verdict
from emogen.stickers.content import sample_spec
from emogen.stickers.render import render


class Fixed:
    """A judge that says what it is told."""

    def __init__(self, name, shares, va=(0.0, 0.0), sure=1.0):
        self.name, self.shares, self.va, self.sure = name, np.asarray(shares, float), va, sure

    def __call__(self, clips):
        n = len(clips)
        return Verdict(np.tile(self.shares, (n, 1)), np.tile(self.va, (n, 1)), np.full(n, self.sure))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_clips(tmp_path_factory.mktemp("clips"), labels=["awe", "fear", "neutral"], label_source="Fixed-7B v1")


def test_folders_that_hold_no_judge_are_named(tmp_path):
    from emogen import embedded_model

    with pytest.raises(JudgeError, match=r"'embeded' is no judge.*did you mean 'embedded'"):
        load_judge("embeded")
    with pytest.raises(JudgeError, match=r"'some/model' is no judge: .*kind: vlm"):
        load_judge("some/model")
    with pytest.raises(JudgeError, match=r"config\.json cannot be read"):
        load_judge(str(tmp_path))
    with pytest.raises(JudgeError, match="is a folder of kind WanTransformer3DModel"):
        load_judge(embedded_model() + "/transformer")
    from emogen.embedded import embedded_judge

    with pytest.raises(JudgeError, match="no heads emotion and valence_arousal"):
        load_judge(embedded_judge("content"))


def test_the_embedded_judge_is_as_it_was_and_carries_its_card():
    from emogen.embedded import embedded_judge
    from emogen.eval.judges.embedded import EmbeddedJudge

    rng = np.random.default_rng(0)
    clips = np.stack([render(sample_spec(rng, "test", label), 5, 96, 12) for label in ("fear", "awe")])
    judge, folder = load_judge("embedded"), load_judge(embedded_judge())
    plain = EmbeddedJudge()(clips)
    assert np.array_equal(judge(clips).distribution, plain.distribution)
    assert np.array_equal(folder(clips).distribution, plain.distribution)
    own = json.loads((Path(embedded_judge()) / "card.json").read_text())["held_out"]
    assert judge.card.held_out["test_real"]["accuracy"]["value"] == own["test_real"]["EA-8"]
    assert "5400 rendered" in judge.card.training.about
    warm = load_judge({"kind": "embedded", "temperature": 5.0})(clips)
    expected = plain.distribution.astype(float) ** 0.2
    assert warm.distribution == pytest.approx(expected / expected.sum(1, keepdims=True), abs=1e-4)
    assert np.array_equal(warm.valence_arousal, plain.valence_arousal) and warm.labels == plain.labels
    # of the embedded generator it is known that the judge saw none of its clips; of others it is not
    assert warnings_for(judge, "embedded") == []
    assert "cannot be told" in warnings_for(folder, "embedded")[0]


def test_pools_by_hand(folder):
    a, b = np.full(8, 0.02), np.full(8, 0.05)
    a[0], b[3] = 0.86, 0.65
    members = [Fixed("a", a, (1, 0), 1.0), Fixed("b", b, (0, 0.5), 0.4)]
    clips = np.zeros((2, 1, 4, 4, 3), np.uint8)
    linear = EnsembleJudge(members, [3, 1], mean="probability")(clips)
    assert linear.distribution[1] == pytest.approx(0.75 * a + 0.25 * b)
    log = EnsembleJudge(members, [3, 1])(clips)
    pooled = a**0.75 * b**0.25
    assert log.distribution[0] == pytest.approx(pooled / pooled.sum())
    assert log.valence_arousal[0] == pytest.approx([0.75, 0.125]) and log.confidence == pytest.approx([0.85] * 2)
    veto = EnsembleJudge([Fixed("a", np.eye(8)[0]), Fixed("b", np.full(8, 1 / 8))])(clips)
    assert veto.distribution[0, 0] > 0.999
    for wrong in ([1], [1, 0], [1, True], ["1", 2]):
        with pytest.raises(JudgeError, match="weights must be 2 positive numbers"):
            EnsembleJudge(members, wrong)
    with pytest.raises(JudgeError, match="mean 'median' is none of log, probability"):
        EnsembleJudge(members, mean="median")


def test_kappa_by_hand():
    said = {"a": ["awe", "awe", "fear", "fear"], "b": ["awe", "fear", "fear", "fear"], "c": ["fear"] * 4}
    found = kappa_table(said)
    assert list(found) == ["a and b", "a and c", "b and c"]
    assert found["a and b"] == pytest.approx((0.75 - 0.5) / 0.5) and found["a and c"] == pytest.approx(0)
    assert kappa_table({"a": ["awe"], "b": ["awe"]}) == {"a and b": None}


def test_check_measures_and_writes_a_card_that_can_be_used(folder, tmp_path, capsys, monkeypatch):
    shares = np.full(8, 0.05)
    shares[MIKELS.index("awe")] = 0.65
    records = labelled_records(folder)
    figures, excluded = check_judge(Fixed("fixed", shares, sure=0.3), records)
    assert figures["n"] == 12 and figures["accuracy"]["value"] == 0.5 and not excluded
    assert {name: r["value"] for name, r in figures["recall"].items()} == {"awe": 1.0, "fear": 0.0}
    assert figures["ece_before"] == pytest.approx(0.15) and figures["ece_after"] is None
    assert figures["neutral"] == {"n": 6, "confidence": pytest.approx(0.3)}
    assert figures["confusion"][MIKELS.index("fear")][MIKELS.index("awe")] == 6
    monkeypatch.chdir(tmp_path)
    assert main(["judge", "check", "--judge", "embedded", "--data", str(folder), "--quiet"]) == 0
    said = capsys.readouterr()
    assert "4 clips" in said.out and "recall" in said.out and "ECE" in said.out  # the two labels' val clips
    assert "its card lists no training clips" in said.err and "it saw these cannot be told" in said.err
    card = JudgeCard.load(tmp_path / "embedded.card.json")
    assert set(card.held_out) == {"test_rendered", "test_real", f"{folder.name} (held_out)"}
    judge = load_judge({"kind": "embedded", "card": "embedded.card.json", "licence": "MIT"})
    assert judge.card == dataclasses.replace(card, licence="MIT")
    call = ["judge", "check", "--data", str(folder), "--judge"]
    assert main([*call, "{kind: clip, model: ./nowhere, card: embedded.card.json}"]) == 2
    assert main([*call, "{kind: [}"]) == 2 and "--judge: not valid YAML" in capsys.readouterr().err
    assert main([*call, "embedded", "--split", "test"]) == 2
    assert "no clip is of split 'test' (there are train, val)" in capsys.readouterr().err


def test_cards_survive_and_others_are_refused(tmp_path, folder):
    training = TrainingData.of(labelled_records(folder), "noise")
    held_out = {"x": {"n": 1, "accuracy": {"value": 0.5}, "recall": {}}}
    card = JudgeCard("a", "probe", "pixels", "MIT", 1.5, training, held_out, (JudgeCard("b", "clip"),))
    assert JudgeCard.load(card.save(tmp_path / "card.json")) == card
    short = card.to_dict(hashes=False)
    assert short["training"]["clip_hashes"] == 18 and short["members"][0]["training"]["clip_hashes"] is None
    (tmp_path / "other.json").write_text('{"steps": 3}')
    with pytest.raises(JudgeError, match=r"other\.json: is no judge's card"):
        JudgeCard.load(tmp_path / "other.json")
    with pytest.raises(JudgeError, match="is the card of another judge"):
        load_judge({"kind": "embedded", "card": str(tmp_path / "card.json")})


def test_a_judge_that_saw_or_labelled_the_training_data_is_found_out(folder, tmp_path):
    records = labelled_records(folder)
    hashes = tuple(clip_hash(r.path) for r in records[:5])
    saw = JudgeCard("judge", "probe", training=TrainingData(clip_hashes=hashes, prompt_hashes=()))
    assert warnings_for(saw, records) == ["judge: was trained on 5 of the 18 clips that the generator was trained on"]
    assert warnings_for(saw, records[5:]) == []
    captions = TrainingData.of(records[:4], "").prompt_hashes
    read = JudgeCard("judge", "vlm", training=TrainingData(prompt_hashes=captions))
    spaced = [dataclasses.replace(r, caption=r.caption.upper() + " ") for r in records]
    assert "the captions of 4 of the 18 clips" in warnings_for(read, spaced)[0]
    named = JudgeCard("second", "vlm", "Org/Fixed-7B", training=TrainingData(clip_hashes=()))
    assert warnings_for(named, records) == ["second: gave 18 of the 18 labels that the generator was trained on "
                                            "(label_source)"]  # fmt: skip
    assert warnings_for(JudgeCard("v", "vlm", "Org/Fix", training=TrainingData(clip_hashes=())), records) == []
    both = JudgeCard("all", "ensemble", members=(saw, named))
    assert len(warnings_for(both, records)) == 2
    # a trained adapter's folder names its data; it may have gone
    run = tmp_path / "run"
    run.mkdir()
    (run / "training_config.yaml").write_text(f"data:\n  dataset_name: {folder}\n")
    assert "5 of the 18 clips that run was" in warnings_for(saw, run)[0]
    (run / "training_config.yaml").write_text("data:\n  dataset_name: gone\n")
    assert warnings_for(saw, run) == ["judge: whether it saw the training data of run cannot be told: gone is not here"]
    assert "there is no such folder here" in warnings_for(saw, "org/adapter")[0]


def test_the_benchmark_takes_several_judges_and_tells_about_them(tmp_path):
    folder = save_clips(tmp_path / "data", labels=["awe", "fear"])
    train_probe(folder, "pixels", tmp_path / "probe", quiet=True, say=lambda line: None)
    systems = {"mine": {"clips": str(tmp_path / "made")}}
    judges = ["embedded", {"name": "mine-too", "kind": "probe", "folder": str(tmp_path / "probe")}]
    made = eval_config({"name": "t", "num_prompts": {"rendered": 1}, "emotions": ["awe", "fear"], "systems": systems,
                        "judges": judges})  # fmt: skip
    from emogen.eval.benchmark.items import make_items
    from emogen.eval.report.tables import latex, text_table

    rows = []
    for item in make_items(made):
        # a clip that the probe was fitted on
        source = (folder / f"{item.emotion}_0.png").read_bytes()
        (tmp_path / "made").mkdir(exist_ok=True)
        (tmp_path / "made" / f"{item.key}.png").write_bytes(source)
        rows.append({"file_name": f"{item.key}.png", "prompt": item.prompt.text, "emotion": item.emotion, "seed": 0})
    (tmp_path / "made/metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    results = run_benchmark(made, tmp_path / "out", quiet=True)
    assert set(results["judges"]) == {"embedded", "mine-too"}
    for name, figures in results["summary"]["systems"].items():
        hits = [row["judges"]["mine-too"]["EA-8"] for row in results["rows"] if row["system"] == name]
        assert figures["EA-8 by mine-too"]["value"] == pytest.approx(np.mean(hits))
    assert "EA-8cls by mine-too" in text_table(results) and r"by mine-too &" in latex(results)
    assert results["judges"]["mine-too"]["training"]["clip_hashes"] == 2 * 5
    assert results["warnings"] == ["mine: mine-too: was trained on 2 of the 2 clips that it judges here"]
    assert list(results["summary"]["judges"]) == ["embedded and mine-too"] and len(results["rows"]) == 2
    assert [row["judges"]["mine-too"]["read"] for row in results["rows"]] == ["awe", "fear"]
    page = (tmp_path / "out/report.html").read_text()
    assert "The judges" in page and "embedded and mine-too" in page and "was trained on 2 of the 2" in page
    saved = json.loads((tmp_path / "out/results.json").read_text())
    assert saved["judges"]["embedded"]["held_out"]["test_real"]["n"] == 252
