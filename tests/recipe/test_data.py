"""What the models learn from is honest, whole, and the same every time."""

import numpy as np
import pytest
import torch

from emogen.emotion import MIKELS, EmotionArc, EmotionState, parse_emotion, parse_emotion_or_arc
from emogen.stickers.cast import draw
from emogen.stickers.cast.broken import WAYS
from emogen.stickers.cast.splits import UNSEEN, split_of
from recipe import store, text
from recipe.base import caption_of
from recipe.config import Clips, load
from recipe.latents import write_pixels
from recipe.readers import Shelf, break_some, in_turn, state_of, targets
from recipe.world import EMOTIONS, FACTS, Drawn, judge_characters

SMALL = Clips(size=32, frames=5)


def records(split, kind, count=360):
    drawn = Drawn(split, kind, count, SMALL, 5)
    return [drawn.plan(index) for index in range(count)]


def test_splits_are_what_they_say():
    contents = {split: {(s.character, s.color, s.style) for s, _ in records(split, "plain")}
                for split in ("base", "train", "judge_a", "judge_b", "content", "test", "unseen")}  # fmt: skip
    for split in ("train", "test", "unseen"):
        assert {split_of(*content) for content in contents[split]} == {split}
    assert not {c for c, _, _ in contents["judge_a"]} & {c for c, _, _ in contents["judge_b"]}
    assert {split_of(*content) for content in contents["judge_a"] | contents["judge_b"]} == {"judge"}
    for split in ("base", "content"):  # meets the unseen characters, but none of their emotions
        met = {s.emotion for s, _ in records(split, "plain") if s.character in UNSEEN}
        assert met == {"neutral"} and not contents[split] & contents["test"]
    assert set(judge_characters("judge_a")) | set(judge_characters("judge_b")) | set(UNSEEN) == set(FACTS["character"])


def test_every_kind_is_labelled_with_what_it_shows():
    for spec, record in records("train", "plain", 18):
        assert record["emotion"] == spec.emotion and record["intensity"] == spec.intensity
        assert all(record[name] in FACTS[name] for name in FACTS) and record["captions"][0]
    assert [r["emotion"] for _, r in records("train", "plain", 18)] == list(EMOTIONS) * 2
    kinds = {"+": 0, "va": 0, "arc": 0}
    for spec, record in records("train", "shade"):
        emotion = parse_emotion_or_arc(record["emotion"])
        assert spec.emotion == record["emotion"] and spec.intensity == 1
        if isinstance(emotion, EmotionArc):
            kinds["arc"] += 1
            assert not emotion.is_constant and emotion.keyframes[-1].time <= 1
        else:
            kinds["+" if "+" in record["emotion"] else "va"] += 1
    assert all(count > 30 for count in kinds.values())
    assert not [r for _, r in records("train", "still_shade") if "@" in r["emotion"] or "0:" in r["emotion"][:2]]
    starts = []
    for spec, record in records("train", "turn", 180):
        frames = spec.states(SMALL.frames)
        end = parse_emotion(record["emotion"]).scaled(record["intensity"])
        assert frames[0].dominant == record["start"] and frames[-1].dominant == end.dominant
        assert record["start"] != record["emotion"]
        starts.append(record["start"] == "neutral")
    assert 0.35 < np.mean(starts) < 0.65


def test_emotion_words_enter_captions_and_only_when_asked():
    rng = np.random.default_rng(0)
    record = {"captions": ["a flat sticker of a red cat on a blue background", "cat"], "emotion": "sadness"}
    assert {caption_of(record, rng, 0.0) for _ in range(50)} == set(record["captions"])
    worded = [caption_of(record, rng, 1.0) for _ in range(200)]
    assert all(any(w in t for w in text.EMOTION_WORDS["sadness"]) for t in worded)
    blend = record | {"emotion": "awe:0.5+fear:0.5"}
    assert {caption_of(blend, rng, 1.0) for _ in range(50)} == set(record["captions"])
    assert set(text.EMOTION_WORDS) == set(MIKELS)


def test_tokenizer_is_word_level_and_refuses_to_truncate(tmp_path):
    tokenizer = text.build_tokenizer(["a heart-shaped pink face", "a cat"], tmp_path)
    ids, mask = text.tokenize(tokenizer, ["a Pink face", "a dragon"], 8)
    assert ids[0, 3] == tokenizer.eos_token_id and mask[0].tolist() == [1] * 4 + [0] * 4
    assert ids[1, 1] == tokenizer.unk_token_id
    with pytest.raises(ValueError, match=r"longer than 4 tokens; raise text\.length"):
        text.tokenize(tokenizer, ["a pink face a pink face"], 4)


def test_a_store_that_was_stopped_is_completed_and_equal(tmp_path):
    items = Drawn("train", "plain", 7, SMALL, 5)
    with pytest.raises(FileNotFoundError, match="no whole store"):
        store.Store(tmp_path / "cut")
    write_pixels(items, tmp_path / "whole", 3)

    class Stopping(Drawn):
        def __getitem__(self, index):
            if index == 4:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    with pytest.raises(KeyboardInterrupt):
        write_pixels(Stopping("train", "plain", 7, SMALL, 5), tmp_path / "cut", 3)
    assert 0 < len(list((tmp_path / "cut").glob("*.safetensors"))) < 3
    write_pixels(items, tmp_path / "cut", 3)
    whole, cut = store.Store(tmp_path / "whole"), store.Store(tmp_path / "cut")
    assert whole.records == cut.records and len(cut) == 7
    assert (whole.read_all("clips") == cut.read_all("clips")).all()
    assert (whole.read("clips", 5) == items[5].clip).all() and items[5].clip.std() > 0


def test_judges_learn_shares_and_every_label_as_often():
    half = EmotionState.of("fear", 0.5)
    assert targets(half, by_strength=True)[0][MIKELS.index("fear")] == 0.5
    assert targets(half, by_strength=True)[0][-1] == 0.5
    assert targets(half, by_strength=False)[0][MIKELS.index("fear")] == 1
    neutral, place = targets(EmotionState.neutral(), by_strength=False)
    assert neutral == [0] * 8 + [1] and place == [0, 0]
    assert state_of({"emotion": "awe", "intensity": 0.4}) == EmotionState.of("awe", 0.4)
    some = Shelf([{"emotion": "awe"}] * 30 + [{"emotion": n} for n in EMOTIONS], lambda i: np.array(i))
    few = Shelf([{"emotion": "fear"}], lambda i: np.array(-1))
    blends = Shelf([{"emotion": "awe:0.5+fear:0.5"}], lambda i: np.array(-2))
    pick, rng = in_turn([some, few, blends]), np.random.default_rng(0)
    drawn = [pick(rng, place) for place in range(900)]
    labels = [record["emotion"] for clip, record in drawn if clip >= 0]
    assert {clip.item() for clip, _ in drawn[2::3]} == {-2} and -1 in {clip.item() for clip, _ in drawn[1::3]}
    assert labels.count("awe") < 100 and min(labels.count(name) for name in EMOTIONS if name != "fear") > 30


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("base.schedule.stepz=3", "base.schedule.stepz: Extra inputs"),
        ("clips.size=big", "clips.size: Input should be a valid integer"),
        ("base.schedule.phases.7.steps=3", "there is no 7"),
        ("content.width=20", "content.width: Input should be a multiple of 8"),
        ("base", "write KEY=VALUE"),
    ],
)
def test_a_wrong_configuration_is_refused_by_its_key(override, said):
    from recipe.__main__ import HERE

    with pytest.raises(ValueError, match=said):
        load(HERE / "tiny.yaml", [override])
    assert load(HERE / "second.yaml", ["base.schedule.seed=9"]).base.schedule.seed == 9


def test_items_do_not_depend_on_their_neighbours():
    few, many = (Drawn("test", "turn", count, SMALL, 5) for count in (3, 30))
    assert (few[2].clip == many[2].clip).all() and few[2].record == many[2].record


def test_broken_faces_are_drawn_every_way_with_every_emotion_and_labelled():
    plain, wrong = (Drawn("test", kind, 90, Clips(size=48, frames=5), 5) for kind in ("plain", "broken"))
    plans = [wrong.plan(index) for index in range(90)]
    assert {record["broken"] for _, record in plans[:9]} == set(WAYS)
    assert {spec.emotion for spec, _ in plans} == set(EMOTIONS) and "broken" not in plain.plan(0)[1]
    spec, _ = plans[4]
    assert np.abs(wrong[4].clip.astype(int) - draw(spec, 5, 48, 12)).max() > 40
    x = torch.rand(60, 2, 3, 32, 32)
    out, labels = break_some(x, [k % 4 == 3 for k in range(60)], np.random.default_rng(0))
    assert labels[3::4].all() and torch.equal(out[3::4], x[3::4]) and 20 <= labels.sum() <= 40
    changed = (out - x).abs().amax((1, 2, 3, 4)) > 0
    assert torch.equal(changed, labels.bool() & (torch.arange(60) % 4 != 3))


def test_art_of_others_stands_on_the_backgrounds_of_the_cast():
    from emogen.stickers.cast.backgrounds import background
    from recipe.real import jiggle, over
    from recipe.world import BACKGROUNDS, item_rng

    art = np.zeros((2, 32, 32, 4), np.uint8)
    art[:, 8:24, 8:24] = (250, 10, 20, 255)
    for place in BACKGROUNDS:
        frames = over(art, place)
        assert frames.shape == (2, 32, 32, 3) and (frames[:, 8:24, 8:24] == (250, 10, 20)).all()
        assert (frames[0, 0] == np.asarray(background(place, 32))[0]).all()
    clip = jiggle(art[0], item_rng(0, "jiggle"), SMALL)
    assert clip.shape == (SMALL.frames, SMALL.size, SMALL.size, 3) and clip.dtype == np.uint8
    assert (clip != clip[:1]).any() and (np.abs(clip.astype(int) - (250, 10, 20)).sum(-1) < 9).any()
