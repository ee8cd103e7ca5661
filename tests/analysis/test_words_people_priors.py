"""Phrases and leaks in captions, annotators, and the file of priors."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from analysis_parts import chain, film_rows, look_rows, walk

from emogen.analysis import REGISTRY, Settings
from emogen.analysis.people import against_others
from emogen.analysis.priors import FILE
from emogen.analysis.run import analyze
from emogen.analysis.sources import clips_of
from emogen.analysis.words import log_odds, phrase_counts, phrases
from emogen.emotion import MIKELS, read_transitions, sample_arc

QUICK = Settings(resamples=300)


def test_phrases():
    assert phrases("A red car in the rain, stops. Then it's gone") == {"red car", "car in the rain", "it's gone"}
    assert phrases("the of a") == set() and "rain stops" not in phrases("rain, stops")
    counts = phrase_counts(["old red car"] * 3 + ["red car"], np.array([0, 0, 1, 1]))
    assert set(counts) == {"old red car", "red car"}, "old red stands only inside old red car"
    assert list(counts["red car"][:2]) == [2, 2]


def test_log_odds_by_hand():
    counts, prior = np.array([[8.0, 2.0], [1.0, 9.0]]), np.array([1.0, 1.0])
    odds, error = log_odds(counts, prior)
    assert odds[0, 0] == pytest.approx(np.log(9 / 3) - np.log(2 / 10), abs=1e-12)
    assert error[0, 0] == pytest.approx(np.sqrt(1 / 9 + 1 / 2), abs=1e-12)
    assert odds[1, 0] == pytest.approx(-odds[0, 0], abs=1e-12)


def test_words_and_leaks():
    places = {"fear": "dark stairs", "awe": "wide valley"}
    rows = [
        {"clip_id": f"c{k}", "group": f"g{k}", "emotion": emotion,
         "caption": f"a {'scared ' if k % 4 == 0 else ''}person number {k} near {places[emotion]}"}
        for k in range(80) for emotion in [("fear", "awe")[k % 2]]
    ]  # fmt: skip
    found = REGISTRY["words"].run(clips_of(rows), QUICK)
    first = {row["emotion"]: row["phrase"] for row in found.tables["phrases"] if row["rank"] == 1}
    assert "dark stairs" in first["fear"] and "wide valley" in first["awe"]
    named = {result.name: result for result in found.results}
    assert named["captions with a word of emotion"].value == 0.25 and named["the word is the label"].value == 1
    assert {row["emotion"]: row["with_word"] for row in found.tables["leakage"]} == {"fear": 0.5, "awe": 0}
    same = [{**row, "group": "one", "caption": "a dog near dark stairs"} for row in rows]
    assert REGISTRY["words"].run(clips_of(same), QUICK).tables["phrases"] == [], "a caption counts once a group"


def votes(clips=200, seed=0):
    """Three people right 90, 80 and 50 % of the time."""
    rng = np.random.default_rng(seed)
    given = {}
    for clip in range(clips):
        truth = rng.integers(8)
        given[f"c{clip}"] = {
            who: MIKELS[truth if rng.random() < right else rng.integers(8)]
            for who, right in (("ann", 0.9), ("bob", 0.8), ("cem", 0.5))
        }
    return given


def test_people():
    from sklearn.metrics import cohen_kappa_score

    given = votes()
    clips = clips_of([{**row, "model_emotion": "awe", "confidence": 0.9} for row in look_rows(200)], given)
    found = REGISTRY["people"].run(clips, QUICK)
    rows = {row["annotator"]: row for row in found.tables["annotators"]}
    assert rows["ann"]["agrees"] > rows["bob"]["agrees"] > rows["cem"]["agrees"]
    assert "cem" in found.sentence
    for who, row in rows.items():
        judged = against_others(given, who)
        assert all(given[clip][who] == said for clip, _, said in judged) and len(judged) == row["clips"]
        right = cohen_kappa_score([most for _, most, _ in judged], [said for _, _, said in judged])
        assert row["kappa"] == pytest.approx(right, abs=1e-9)
    hard = found.tables["hard_clips"]
    assert hard[0]["entropy_bits"] == pytest.approx(np.log2(3)) and hard == sorted(
        hard, key=lambda row: (-row["entropy_bits"], row["clip_id"])
    )


def test_priors_and_arcs(tmp_path):
    truth = chain(0.7, 0.08)
    states = walk(truth, 40, 100, np.random.default_rng(0))
    rows = [{**row, "tempo": 90.0 if row["emotion"] == "fear" else None} for row in film_rows(states)]
    parts = analyze(clips_of(rows), tmp_path, QUICK, ["priors"])
    assert parts[0].found
    file = tmp_path / FILE
    value = json.loads(file.read_text())
    counted = np.array([[value["transitions"][a][b] for b in MIKELS] for a in MIKELS])
    right = np.zeros((8, 8), int)
    np.add.at(right, (states[:, :-1].ravel(), states[:, 1:].ravel()), 1)
    assert (counted == right).all() and value["emotions"]["fear"]["duration"]["mean"] == 5
    assert value["emotions"]["fear"]["tempo"]["mean"] == 90 and "tempo" not in value["emotions"]["awe"]
    rates = read_transitions(file, prior=0)
    assert np.array([list(row.values()) for row in rates.values()]) == pytest.approx(truth, abs=0.06)
    assert rates["fear"]["fear"] == right[6, 6] / right[6].sum()
    arcs = [sample_arc(2, "fear", seed=k, transitions=rates) for k in range(400)]
    assert np.mean([arc.at(1).dominant == "fear" for arc in arcs]) == pytest.approx(rates["fear"]["fear"], abs=0.07)
    file.write_text('{"transitions": {}}')
    with pytest.raises(ValueError, match=r"emogen_priors\.json: holds no transitions"):
        read_transitions(file)


@pytest.mark.parametrize(("name", "given", "why"), [
    ("words", None, "No labelled clip has a caption"),
    ("people", {"c1": {"ann": "awe"}}, "answers of two people"),
    ("people", {"c1": {"ann": "awe", "bob": "awe"}}, "takes three people"),
])  # fmt: skip
def test_what_cannot_be_said(name, given, why):
    clips = clips_of([{**row, "caption": None} for row in look_rows(30)], given)
    with pytest.raises(ValueError, match=why):
        REGISTRY[name].run(clips, QUICK)
