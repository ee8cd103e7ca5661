"""Labels by models beside those of people: the probe, agreement of both, corrected rates, and votes in other forms."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "eval"))
from judge_parts import clip_of

from emogen.commands.data import main
from emogen.curation.agreement import share
from emogen.curation.agreement_report import agreement_report
from emogen.curation.judging import disagreement, judged_row
from emogen.curation.rates import corrected_rates
from emogen.curation.stage import StageError
from emogen.curation.vote_files import read_vote_files, to_csv, to_label_studio
from emogen.emotion import MIKELS
from emogen.media import write_video

EACH, VOTED = 10, 8


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Eight emotions by colour, ten clips each in folders of one film; people have voted on eight of each."""
    films = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    for place, emotion in enumerate(MIKELS):
        for number in range(EACH):
            write_video(films / f"{emotion}{number}" / "clip.webp", clip_of(place, rng), 8)
    out = tmp_path_factory.mktemp("set") / "set"
    quiet = ["--workers", "0", "--quiet"]
    assert main(["ingest", str(films), "--output_dir", str(out), *quiet]) == 0
    assert main(["scenes", str(out), "--detector", "none", *quiet]) == 0
    lines = ["clip_id,annotator,emotion,round,audit"]
    for row in parquet.read_table(out / "clips.parquet").to_pylist():
        emotion, number = row["source_path"].split("/")[0][:-1], int(row["source_path"].split("/")[0][-1])
        if number < VOTED:
            other = MIKELS[(MIKELS.index(emotion) + 1) % 8]
            for person, answer in (("ann", emotion), ("bob", emotion), ("cem", other if number == 0 else emotion)):
                lines.append(f"{row['clip_id']},{person},{answer},1,{number < 4}")
    (out / "votes.csv").write_text("\n".join(lines))
    assert main(["votes", str(out), "--votes", str(out / "votes.csv")]) == 0
    assert main(["merge", str(out)]) == 0
    return out


def rows(out):
    return parquet.read_table(out / "clips.parquet").to_pylist()


def truth(row):
    return row["source_path"].split("/")[0][:-1]


def test_a_probe_of_peoples_labels_labels_the_rest(out, capsys):
    assert main(["split", str(out), "--shares", "0.8", "0.1", "0.1", "--benchmark", "1"]) == 0
    benchmark = {row["clip_id"] for row in rows(out) if row["split"] == "benchmark"}
    assert len(benchmark) == 8
    assert main(["probe", str(out), "--encoder", "pixels", "--frames", "4", "--quiet"]) == 0
    learned = {json.loads(line)["clip_id"] for line in (out / "people/metadata.jsonl").read_text().splitlines()}
    assert len(learned) == 8 * (VOTED - 1) and not learned & benchmark
    command = ["judge", str(out), "--judge", str(out / "probe"), "--frames", "4", "--workers", "0", "--quiet"]
    assert main(command) == 0 and list((out / "judges").glob("*.card.json"))
    found = rows(out)
    rest = [row for row in found if row["label_kind"] == "model"]
    assert len(rest) == 8 * (EACH - VOTED)
    assert np.mean([row["emotion"] == truth(row) for row in rest]) > 0.8
    assert all(row["label_kind"] == "human" for row in found if row["votes"]) and all(r["judge"] for r in found)
    assert main(["agree", str(out)]) == 0
    report = json.loads((out / "agreement.json").read_text())
    assert report["people and model"]["random share"] and report["people and model"]["clips"] == 32
    assert set(report["rates"]) == set(MIKELS) and "rate of awe" in capsys.readouterr().out
    assert main(["judge", str(out), "--judge", "nowhere", "--quiet"]) == 2
    (out / "said.csv").write_text("source_path,emotion\nfear9/clip.webp,anger\n")
    assert main(["about", str(out), str(out / "said.csv"), "--label_kind", "curated"]) == 0
    imported = next(row for row in rows(out) if row["source_path"] == "fear9/clip.webp")
    assert (imported["emotion"], imported["label_kind"], imported["judge_emotion"]) == ("anger", "curated", "fear")


def test_a_model_that_is_unsure_gives_no_label():
    assert judged_row("a", np.array([[0.3] + [0.1] * 7]), ["j"], 0.5).get("emotion") is None
    row = judged_row("a", np.array([[0.65] + [0.05] * 7]), ["j"], 0.5)
    assert (row["emotion"], row["label_kind"], row["disagreement"]) == (MIKELS[0], "model", pytest.approx(0.35))


def test_disagreement_of_judges():
    one, other = np.eye(8)[0], np.eye(8)[3]
    assert disagreement(np.stack([one, other])) == pytest.approx(1) and disagreement(np.stack([one, one])) == 0
    assert 0 < disagreement(np.stack([one, (one + other) / 2])) < 0.5


def test_people_and_model_are_compared_on_the_random_share_alone():
    """The model agrees on what was drawn at random and on nothing else: the figures are those of the random share."""
    votes, clips = [], []
    for number in range(40):
        audit, answer = number < 20, MIKELS[number % 8]
        votes += [{"clip_id": f"c{number}", "annotator": who, "emotion": answer, "audit": audit} for who in "abc"]
        said = answer if audit else MIKELS[(number + 1) % 8]
        clips.append({"clip_id": f"c{number}", "group": f"g{number}", "judge_emotion": said})
    report = agreement_report(votes, clips)
    figures = report["people and model"]["figures"]
    assert figures["Cohen's kappa, a and the model"]["value"] == pytest.approx(1)
    assert figures["Krippendorff's alpha of people and the model"]["clips"] == 20
    assert report["people"]["share with a label"]["value"] == 1
    votes[0]["gold"] = MIKELS[0]
    votes.append({"clip_id": "c1", "annotator": "a", "emotion": MIKELS[5], "round": 2})
    report = agreement_report([*votes, {"clip_id": "c2", "annotator": "a", "emotion": MIKELS[2], "round": 2}], clips)
    assert report["people"]["right on known clips, a"]["value"] == 1
    assert report["people"]["Cohen's kappa, a and a again"]["clips"] == 2


def test_corrected_rates_cover_the_truth_where_the_models_do_not():
    """A model that calls half of all fear awe: its own rates are off by far, the corrected intervals hold the truth."""
    held, off, narrower = 0, 0, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        true = rng.choice(["fear", "awe"], 2000, p=[0.6, 0.4])
        said = np.where((true == "fear") & (rng.random(2000) < 0.5), "awe", true)
        names = [f"c{k}" for k in range(2000)]
        model = dict(zip(names, said.tolist(), strict=True))
        people = {names[k]: str(true[k]) for k in rng.choice(2000, 200, replace=False)}
        found = corrected_rates(model, people)["fear"]
        held += found.low <= 0.6 <= found.high
        off += abs(found.model - 0.6) > 0.25
        classic = 2 * 1.96 * (found.people * (1 - found.people) / 200) ** 0.5
        narrower.append((found.high - found.low) / classic)
    assert held >= 34 and off == 40 and np.mean(narrower) < 0.95
    with pytest.raises(ValueError, match="no clip in common"):
        corrected_rates({"a": "awe"}, {"b": "awe"})


def test_the_share_of_flags():
    assert share({"a": True, "b": False}).value == 0.5 and share({}).value is None


CLIPS = [{"clip_id": "id1", "source_path": "a/one.mp4", "start": 0.0, "end": 2.0},
         {"clip_id": "id2", "source_path": "film.mp4"}, {"clip_id": "id3", "source_path": "film.mp4"}]  # fmt: skip
VOTES = [{"clip_id": "id1", "annotator": "ann", "emotion": "fear", "round": 1, "seconds": 2.5, "audit": True},
         {"clip_id": "id1", "annotator": "ann", "emotion": "awe", "round": 2, "seconds": 1.0, "audit": True},
         {"clip_id": "id3", "annotator": "bob", "emotion": "none", "round": 1, "seconds": None}]  # fmt: skip


@pytest.mark.parametrize(("name", "write"), [
    ("v.json", lambda: to_label_studio(CLIPS, VOTES)), ("v.csv", lambda: to_csv(VOTES)),
])  # fmt: skip
def test_votes_go_out_and_come_back(name, write, tmp_path):
    (tmp_path / name).write_text(write())
    found, strangers = read_vote_files([tmp_path / name], CLIPS)
    keys = ("clip_id", "annotator", "emotion", "round", "seconds", "audit")
    assert strangers == 0
    assert [{k: v.get(k) for k in keys} for v in found] == [{k: v.get(k) for k in keys} for v in VOTES]


def test_label_studio_as_it_exports_itself(tmp_path):
    """Tasks made elsewhere know files, not our clips; a file of several scenes could mean any and means none."""
    tasks = [
        {"data": {"video": "one.mp4"}, "annotations": [
            {"completed_by": 7, "result": [{"type": "choices", "value": {"choices": ["Anger"]}}]},
            {"completed_by": 8, "was_cancelled": True, "result": []}]},
        {"data": {"video": "film.mp4"}, "annotations": [
            {"completed_by": {"id": 3, "email": "x@y"}, "result": [{"value": {"choices": ["awe"]}}]}]},
    ]  # fmt: skip
    (tmp_path / "t.json").write_text(json.dumps(tasks))
    found, strangers = read_vote_files([tmp_path / "t.json"], CLIPS)
    assert strangers == 1 and [(v["clip_id"], v["annotator"]) for v in found] == [("id1", "7")]
    (tmp_path / "bad.json").write_text('{"colour": 1}')
    with pytest.raises(StageError, match=r"bad\.json: is neither"):
        read_vote_files([tmp_path / "bad.json"], CLIPS)


def test_votes_of_a_study(tmp_path):
    key = {"study": "s1", "systems": ["x", "y"], "questions": {
        "q1": {"clip": "one", "emotion": "fear", "prompt": "", "system": "x", "judge": "awe"},
        "q2": {"clip": "one", "emotion": "fear", "prompt": "", "left": "x", "right": "y"}}}  # fmt: skip
    votes = {"study": "s1", "voter": "v9", "votes": {"q1": {"answer": "fear", "seconds": 3}, "q2": {"answer": "left"}}}
    (tmp_path / "k.json").write_text(json.dumps(key))
    (tmp_path / "v.json").write_text(json.dumps(votes))
    found, _ = read_vote_files([tmp_path / "v.json"], CLIPS, tmp_path / "k.json")
    assert [(v["clip_id"], v["annotator"], v["emotion"]) for v in found] == [("id1", "v9", "fear")]
    with pytest.raises(StageError, match="give its key"):
        read_vote_files([tmp_path / "v.json"], CLIPS)
    (tmp_path / "k.json").write_text(json.dumps(key | {"study": "s2"}))
    with pytest.raises(StageError, match="belongs to study 's1'"):
        read_vote_files([tmp_path / "v.json"], CLIPS, tmp_path / "k.json")
