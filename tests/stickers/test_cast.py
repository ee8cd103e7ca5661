import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from emogen.emotion import MIKELS, EmotionState, scrub_emotion_words
from emogen.stickers.cast import WAYS, CastSpec, broken, caption, draw, named, random_spec, split_of
from emogen.stickers.cast.accessories import ACCESSORIES
from emogen.stickers.cast.acting import act
from emogen.stickers.cast.backgrounds import BACKGROUNDS, PLAIN
from emogen.stickers.cast.captions import read
from emogen.stickers.cast.colors import COLORS
from emogen.stickers.cast.emotions import LOOPS
from emogen.stickers.cast.roster import CHARACTERS
from emogen.stickers.cast.sheet import main as sheet
from emogen.stickers.cast.splits import SPLITS, UNSEEN, combinations, may_see
from emogen.stickers.cast.styles import STYLES

SIZE = 64


def clip(num_frames=13, size=SIZE, **spec):
    return draw(CastSpec(**spec), num_frames, size)


def distance(a, b):
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


# --- what is drawn


@pytest.mark.parametrize("style", list(STYLES))
@pytest.mark.parametrize("character", list(CHARACTERS))
def test_everybody_is_drawn_whole_in_every_style(character, style):
    """Nothing leaves the picture, however high it jumps, and most of the picture is background."""
    for emotion, accessory in (("neutral", "party hat"), ("excitement", "none"), ("anger", "none")):
        color = CHARACTERS[character].colors[0]
        frames = clip(4, character=character, style=style, color=color, background="none", emotion=emotion,
                      accessory=accessory, effects=False)  # fmt: skip
        assert frames.shape == (4, SIZE, SIZE, 4) and frames.dtype == np.uint8
        shown = (frames[..., 3] > 200).mean(axis=(1, 2))
        assert shown.min() > 0.15 and shown.max() < 0.65, (emotion, shown)
        if accessory == "none":
            edge = np.concatenate([frames[:, 0], frames[:, :, 0], frames[:, :, -1]], axis=1)[..., 3]
            assert (edge > 200).sum() == 0, emotion


@pytest.mark.parametrize("size", [16, 64, 128, 200, 512])
def test_every_size(size):
    frames = clip(1, size, character="fox", emotion="awe", background="meadow", accessory="crown")
    assert frames.shape == (1, size, size, 3)
    whole = np.asarray(frames[0], float).mean(axis=(0, 1))
    small = clip(1, 64, character="fox", emotion="awe", background="meadow", accessory="crown")[0].mean(axis=(0, 1))
    assert np.abs(whole - small).max() < 6  # the same picture


def test_the_same_spec_is_the_same_clip_and_a_seed_another():
    spec = CastSpec("frog", "green", emotion="fear", seed=5)
    np.testing.assert_array_equal(draw(spec, 4, SIZE), draw(spec, 4, SIZE))
    assert distance(draw(spec, 4, SIZE), draw(replace(spec, seed=6), 4, SIZE)) > 0.5


@pytest.mark.parametrize("emotion", ["neutral", *MIKELS, "awe:0.5+fear:0.5", "va:0.6,-0.4"])
def test_a_second_loops_and_moves(emotion):
    frames = clip(13, character="rabbit", color="white", emotion=emotion, seed=2)
    np.testing.assert_array_equal(frames[0], frames[12])
    longer = clip(25, character="rabbit", color="white", emotion=emotion, seed=2)
    np.testing.assert_array_equal(longer[:13], frames)
    steps = [distance(a, b) for a, b in itertools.pairwise(frames)]
    assert max(steps) > 0.1 and max(steps) < 6 * (sum(steps) / 12)  # it moves, and nowhere jumps


def test_alpha_is_the_same_picture_cut_out():
    for character, emotion in (("ghost", "sadness"), ("cactus", "amusement"), ("sun", "excitement")):
        spec = CastSpec(character, "blue", "soft", "none", "glasses", emotion)
        cut = draw(spec, 3, SIZE).astype(float)
        for name in ("white", "black", "pink"):
            floor = np.array(PLAIN[name], float)
            alpha = cut[..., 3:] / 255
            laid = cut[..., :3] * alpha + floor * (1 - alpha)
            assert np.abs(laid - draw(replace(spec, background=name), 3, SIZE)).max() < 6
    solid = draw(spec, 1, SIZE)[0, ..., 3]
    assert solid.max() == 255 and solid[0, 0] == 0 and (solid[1:-1, 1:-1] == 255).any()


# --- what is felt


def test_every_emotion_looks_like_no_other_without_effects():
    assert set(LOOPS) == {"neutral", *MIKELS}
    for character in ("dog", "star", "mushroom"):
        shown = {e: clip(6, character=character, emotion=e, effects=False).astype(float).mean(0) for e in LOOPS}
        for a, b in itertools.combinations(shown, 2):
            assert distance(shown[a], shown[b]) > 1.5, (character, a, b)


@pytest.mark.parametrize("emotion", MIKELS)
def test_intensity_grows_from_neutral(emotion):
    for character, style in (("cat", "flat"), ("drop", "soft"), ("chick", "sketch")):
        spec = CastSpec(character, style=style, background="white", emotion=emotion, seed=4)
        neutral = draw(replace(spec, emotion="neutral"), 5, SIZE)
        steps = [distance(neutral, draw(replace(spec, intensity=i), 5, SIZE)) for i in (0, 0.2, 0.4, 0.6, 0.8, 1)]
        assert steps[0] == 0
        assert all(a < b for a, b in itertools.pairwise(steps)), (character, steps)


def test_a_blend_has_the_eyes_of_one_and_the_mouth_of_the_other():
    both = act([EmotionState.parse("fear:0.5+amusement:0.5")], np.array([0.3]))[0]
    fear = act([EmotionState.of("fear")], np.array([0.3]))[0]
    joy = act([EmotionState.of("amusement")], np.array([0.3]))[0]
    assert (both.pose.iris, both.pose.brow_slant) == (fear.pose.iris, fear.pose.brow_slant)
    assert (both.pose.open, both.pose.smile) == (joy.pose.open, joy.pose.smile)
    assert both.pose.dx == pytest.approx((fear.pose.dx + joy.pose.dx) / 2)
    assert set(both.effects) == {"sweat", "joy_tears"}


def test_an_arc_goes_from_one_emotion_to_another():
    spec = CastSpec("bear", "brown", emotion="0:fear@hold 0.5:amusement", seed=1)
    turn = draw(spec, 13, SIZE)
    fear, joy = (draw(replace(spec, emotion=e), 13, SIZE) for e in ("fear", "amusement"))
    np.testing.assert_array_equal(turn[:6], fear[:6])
    np.testing.assert_array_equal(turn[6:], joy[6:])


def test_effects_can_be_left_out():
    for emotion in MIKELS:
        spec = CastSpec("heart", "pink", emotion=emotion)
        assert distance(draw(spec, 4, SIZE), draw(replace(spec, effects=False), 4, SIZE)) > 0.05
    assert distance(clip(2, emotion="neutral"), clip(2, emotion="neutral", effects=False)) == 0


# --- specs


def test_a_spec_is_plain_data():
    rng = np.random.default_rng(1)
    for split in SPLITS:
        spec = random_spec(rng, split)
        assert CastSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert CastSpec.from_dict({"character": "fox"}) == CastSpec("fox")


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"character": "dragon"}, "character='dragon' is not one of cat"),
        ({"background": "space"}, "background='space' is not one of none"),
        ({"intensity": 1.2}, r"intensity=1\.2 is outside"),
        ({"emotion": "blorp"}, "blorp"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_a_wrong_spec_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        CastSpec.from_dict(wrong)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="at least 1, 16 and 1"):
        draw(CastSpec(), 13, 8)
    with pytest.raises(ValueError, match="2 states for 3 frames"):
        draw(CastSpec(), 3, SIZE, states=[EmotionState.neutral()] * 2)
    with pytest.raises(ValueError, match=r"intensity of 1\.5"):
        draw(CastSpec(), 1, SIZE, states=[EmotionState.of("awe", 1.5)])


# --- splits


def test_splits_share_no_content_and_cover_the_cast():
    contents = {split: set(combinations(split)) for split in SPLITS}
    assert sum(map(len, contents.values())) == len(CHARACTERS) * len(COLORS) * len(STYLES)
    assert len(set.union(*contents.values())) == sum(map(len, contents.values()))
    assert {c for c, _, _ in contents["unseen"]} == set(UNSEEN) and len(UNSEEN) >= 4
    for split in ("train", "judge", "test"):  # every other character, colour and style is in each
        assert {c for c, _, _ in contents[split]} == set(CHARACTERS) - set(UNSEEN)
        assert {c for _, c, _ in contents[split]} == set(COLORS)
        assert {s for _, _, s in contents[split]} == set(STYLES)
    assert split_of("cat", "orange", "flat") == "train"  # the same on every machine
    assert 0.05 < len(contents["test"]) / len(contents["train"]) < 0.3


def test_who_may_see_whom():
    rng = np.random.default_rng(2)
    for split in SPLITS:
        for _ in range(40):
            spec = random_spec(rng, split)
            assert split_of(spec.character, spec.color, spec.style) == split
            assert may_see("emotion", spec) == (split == "train")
            assert may_see("judge", spec) == (split == "judge")
            assert may_see("base", spec) == (split == "train" or (split == "unseen" and spec.emotion == "neutral"))
            assert spec.background != spec.color
    assert random_spec(rng, "train", "awe", transparent=True).background == "none"
    with pytest.raises(ValueError, match="split 'tests' is not one of"):
        random_spec(rng, "tests")


# --- captions


def test_captions_say_what_is_there_and_nothing_of_feelings():
    rng = np.random.default_rng(3)
    texts = set()
    for _ in range(800):
        spec = random_spec(rng, SPLITS[rng.integers(4)])
        assert read(caption(spec)) == {k: v for k, v in named(spec).items() if v != "none"}
        text = caption(spec, rng)
        texts.add(text)
        assert scrub_emotion_words(text)[0] == text
        said = read(text)
        assert said["character"] == spec.character
        assert said.items() <= named(spec).items(), (text, said)
    assert len(texts) > 600
    openings = {" ".join(text.split()[:3]) for text in texts}
    assert len(openings) > 100


def test_a_caption_without_chance_is_whole():
    spec = CastSpec("cat", "orange", "flat", "blue", "crown")
    assert caption(spec) == "a flat sticker of an orange cat wearing a crown on a blue background"
    assert caption(replace(spec, background="orange")).endswith("wearing a crown on an orange background")
    assert caption(replace(spec, background="none", accessory="none")) == "a flat sticker of an orange cat"


def test_every_name_can_be_said():
    for character in CHARACTERS:
        for noun in CHARACTERS[character].nouns:
            assert read(f"a {noun}")["character"] == character, noun
    assert set(BACKGROUNDS) >= set(PLAIN) and "none" in ACCESSORIES


# --- wrong on purpose


@pytest.mark.parametrize("how", WAYS)
def test_a_broken_face_differs_from_the_sound_one(how):
    for character, background in (("pig", "white"), ("moon", "none"), ("panda", "beach")):
        spec = CastSpec(character, "pink", background=background, emotion="amusement", seed=3)
        sound, wrong = draw(spec, 3, SIZE), broken(spec, how, 1, 3, SIZE)
        assert wrong.shape == sound.shape and wrong.dtype == np.uint8
        assert min(distance(a, b) for a, b in zip(sound, wrong, strict=True)) > 0.05
        np.testing.assert_array_equal(wrong, broken(spec, how, 1, 3, SIZE))
    with pytest.raises(ValueError, match="no way to be broken"):
        broken(spec, "fine")


# --- sheets


def test_a_sheet_is_written(tmp_path):
    sheet(
        [
            "--output",
            str(tmp_path / "a.png"),
            "--size",
            "32",
            "--characters",
            "cat,sun,bear",
            "--no_effects",
            "--blocks",
            "2",
        ]
    )
    sheet(["--output", str(tmp_path / "b.jpg"), "--size", "32", "--characters", "cat", "--emotion", "0:fear 1:awe"])
    from PIL import Image

    assert Image.open(tmp_path / "a.png").size == (18 * 32, 2 * 32 + 18)
    assert Image.open(tmp_path / "b.jpg").size == (13 * 32, 32)
