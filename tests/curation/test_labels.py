"""Votes to labels, agreement against other implementations, and parts that share nothing."""

import itertools

import numpy as np
import pytest

from emogen.curation.agreement import cohen, confusion, fleiss, krippendorff, pairs_of_annotators
from emogen.curation.labels import ANSWERS, VoteError, answers, merge
from emogen.curation.split import SplitError, benchmark, beyond, clusters, near_duplicates, split
from emogen.emotion import MIKELS


@pytest.mark.parametrize(
    "votes, emotion, dropped, soft",
    [
        ("fear fear awe", "fear", None, "fear:0.67+awe:0.33"),
        ("fear fear fear", "fear", None, "fear"),
        ("fear awe anger", None, "no majority", "awe:0.33+anger:0.33+fear:0.33"),
        ("none none fear", None, "no specific emotion", "fear"),
        ("none fear fear", "fear", None, "fear"),
        ("fear fear", None, "2 of 3 votes", "fear"),
        ("", None, "0 of 3 votes", None),
        ("fear fear awe awe", None, "no majority", "awe:0.50+fear:0.50"),
        ("fear fear fear awe anger", None, "no majority", "fear:0.60+awe:0.20+anger:0.20"),
        ("fear fear fear fear awe anger", "fear", None, "fear:0.67+awe:0.17+anger:0.17"),
    ],
)
def test_the_papers_rule(votes, emotion, dropped, soft):
    merged = merge({f"p{number}": answer for number, answer in enumerate(votes.split())})
    assert (merged.emotion, merged.dropped, merged.soft) == (emotion, dropped, soft)


def test_votes_that_count():
    rows = [
        {"clip_id": "a", "annotator": "x", "emotion": "Fear "},
        {"clip_id": "a", "annotator": "x", "emotion": "awe"},
        {"clip_id": "a", "annotator": "y", "emotion": "unsure"},
    ]
    assert answers(rows) == {"a": {"x": "fear"}}
    with pytest.raises(VoteError, match="clip a, annotator z: 'happy'"):
        answers([{"clip_id": "a", "annotator": "z", "emotion": "happy"}])


def drawn(clips=120, people=3, right=0.7, missing=0.0, seed=0):
    rng = np.random.default_rng(seed)
    found = {}
    for clip in range(clips):
        truth = rng.integers(len(ANSWERS))
        given = {
            f"p{person}": ANSWERS[truth if rng.random() < right else rng.integers(len(ANSWERS))]
            for person in range(people)
            if rng.random() >= missing
        }
        if given:
            found[f"c{clip}"] = given
    return found


@pytest.mark.parametrize("right", [0.2, 0.7, 0.95])
def test_kappas_equal_statsmodels(right):
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    given = drawn(right=right)
    counts, _ = inter_rater.aggregate_raters(
        [[ANSWERS.index(answer) for answer in row.values()] for row in given.values()], n_cat=len(ANSWERS)
    )
    assert fleiss(given).value == pytest.approx(inter_rater.fleiss_kappa(counts), abs=1e-9)
    one, other = ({clip: row[who] for clip, row in given.items()} for who in ("p0", "p1"))
    expected = inter_rater.cohens_kappa(confusion(one, other)).kappa
    assert cohen(one, other).value == pytest.approx(expected, abs=1e-9)
    assert pairs_of_annotators(given)["p0", "p1"].value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.6])
def test_alpha_equals_krippendorff(missing):
    module = pytest.importorskip("krippendorff")
    given = drawn(people=4, missing=missing, seed=1)
    table = [
        [ANSWERS.index(row[p]) if p in row else np.nan for row in given.values()] for p in ("p0", "p1", "p2", "p3")
    ]
    expected = module.alpha(reliability_data=table, level_of_measurement="nominal")
    assert krippendorff(given).value == pytest.approx(expected, abs=1e-9)


def test_intervals_know_the_groups():
    """Clips of a film that are alike tell less than as many clips apart: the interval is wider. Few films, none."""
    given = drawn(clips=20, seed=2)
    copied = {f"{clip}.{copy}": row for clip, row in given.items() for copy in range(6)}
    groups = {name: name.partition(".")[0] for name in copied}
    apart, together = krippendorff(copied), krippendorff(copied, groups)
    assert apart.value == together.value and (together.clips, together.groups) == (120, 20)
    assert together.high - together.low > 1.8 * (apart.high - apart.low)
    few = krippendorff(given, {name: "one film" for name in given})
    assert few.value is not None and few.low is None


def test_answers_that_are_all_the_same_have_no_kappa():
    assert cohen({"a": "fear"}, {"a": "fear"}).value is None
    assert fleiss({}).value is None and krippendorff({"a": {"x": "fear"}}).value is None


def rows_of(films=60, each=10):
    rng = np.random.default_rng(3)
    return [
        {
            "clip_id": f"f{film}c{clip}",
            "group": f"film{film}",
            "domain": ("movie", "sticker")[film % 2],
            "emotion": MIKELS[rng.integers(8)],
            "label_kind": "human",
        }
        for film in range(films)
        for clip in range(each)
    ]


def test_no_group_and_no_near_duplicate_on_two_sides():
    rows = rows_of()
    planted = ("f0c0", "f33c5")
    rng = np.random.default_rng(4)
    hashes = {row["clip_id"]: rng.bytes(24).hex() for row in rows}
    near = bytearray(bytes.fromhex(hashes[planted[0]]))
    near[0] ^= 0b101
    hashes[planted[1]] = near.hex()
    pairs = near_duplicates(hashes)
    assert pairs == [planted]
    parts = split(rows, pairs, {"train": 0.8, "val": 0.1, "test": 0.1})
    by_group = {row["group"]: {parts[r["clip_id"]] for r in rows if r["group"] == row["group"]} for row in rows}
    assert all(len(found) == 1 for found in by_group.values())
    assert parts[planted[0]] == parts[planted[1]]
    for part, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        here = [row for row in rows if parts[row["clip_id"]] == part]
        assert len(here) / len(rows) == pytest.approx(share, abs=0.04)
        assert {row["emotion"] for row in here} == set(MIKELS) and len({row["domain"] for row in here}) == 2
    with pytest.raises(SplitError, match=r"add up to 1\.5"):
        split(rows, shares={"train": 1.0, "test": 0.5})


def test_thousands_that_look_the_same_are_no_millions_of_pairs():
    """Three thousand black clips, a chain of ten each a little further, and one that is like none."""
    chain = [bytes([255] * number + [0] * (24 - number)) for number in range(1, 11)]
    hashes = {f"black{number:04}": bytes(24).hex() for number in range(3000)}
    hashes |= {f"chain{number}": one.hex() for number, one in enumerate(chain)}
    hashes["alone"] = bytes([0b10101010] * 24).hex()
    pairs = near_duplicates(hashes)
    assert len(pairs) == 3009
    joined = clusters([{"clip_id": name} for name in hashes], pairs)
    assert sorted(map(len, joined)) == [1, 3010] and ["alone"] in joined


def test_of_one_domain_no_more_is_trained_on_than_is_asked_for():
    rows = rows_of()
    parts = split(rows, shares={"train": 0.8, "val": 0.1, "test": 0.1})
    movies = {row["clip_id"] for row in rows if row["domain"] == "movie" and parts[row["clip_id"]] == "train"}
    out = beyond(rows, parts, {"movie": 100, "sticker": 10_000})
    assert len(movies - set(out)) == 100 and set(out) < movies
    assert out != beyond(rows, parts, {"movie": 100}, seed=1)


def test_clusters_chain():
    rows = [{"clip_id": name, "group": group} for name, group in (("a", "x"), ("b", "x"), ("c", None), ("d", "y"))]
    assert clusters(rows) == [["a", "b"], ["c"], ["d"]]
    assert clusters(rows, [("b", "d"), ("c", "gone")]) == [["a", "b", "d"], ["c"]]


def test_the_benchmark_is_even_or_names_what_is_short():
    rows = [
        {"clip_id": f"{d}{e}{n}", "group": f"{d}{e}{n}", "domain": d, "emotion": e, "label_kind": "human"}
        for d, e, n in itertools.product(("movie", "sticker"), MIKELS, range(12))
    ]
    chosen = benchmark(rows, domains=("movie", "sticker"))
    assert len(chosen) == 160
    rows[0]["label_kind"] = rows[1]["label_kind"] = rows[2]["label_kind"] = "model"
    with pytest.raises(SplitError, match=r"short are: movie/amusement 9$"):
        benchmark(rows, domains=("movie", "sticker"))
