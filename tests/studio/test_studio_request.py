"""What the page's inputs ask for, and a clip's settings put back into them."""

import time

import pytest

from emogen.emotion import MIKELS, EmotionArc, EmotionState, parse_emotion, parse_emotion_or_arc
from emogen.studio.again import inputs_of, settings_of
from emogen.studio.emotion_input import read
from emogen.studio.job import Job, Opening
from emogen.studio.request import ALL, AMOUNTS, FIELDS, ONE, SET, read_interval, read_request
from emogen.studio.work import watch

VALUES = {
    "prompt": "a face", "image": None, "source": "plane", "point": "fear", **dict.fromkeys(AMOUNTS, 0.0), "arc": "",
    "words": "", "strength": 1.0, "what": ONE, "platform": "telegram", "best_of": 1, "emotion_scale": 1.0,
    "guidance_scale": 2.5, "emotion_guidance_scale": "", "guidance_interval": "", "avoid": "neutral",
    "negative_prompt": "", "steps": 3, "seed": "7", "num_frames": 5, "height": "", "width": "", "loras": "",
    "cache": "none", "offload": "none", "fp8": False, "compile": False, "vae_tiling": False,
}  # fmt: skip


def test_every_field_is_read():
    assert tuple(VALUES) == FIELDS
    request = read_request(VALUES)
    assert request.jobs == (Job("a face", EmotionState.of("fear"), None, None, 1.0, 2.5, None, 3, 5, 7),)
    assert request.best_of == 1 and request.platform is None
    changed = VALUES | {
        "seed": "-1", "emotion_guidance_scale": "3", "guidance_interval": "0 to 0.6", "avoid": "awe", "height": "64",
        "negative_prompt": " text ", "loras": "runs\n\n", "cache": "taylorseer", "fp8": True, "best_of": 4,
    }  # fmt: skip
    job = read_request(changed | {"loras": "a/b:0.5\n\na/c"}).jobs[0]
    assert job.seed is None and job.guidance_interval == (0, 0.6) and job.avoid == parse_emotion("awe")
    assert job.negative_prompt == "text" and job.height == 64
    assert job.opening == Opening(("a/b:0.5", "a/c"), "taylorseer", fp8=True)


def test_all_eight_and_a_set_take_the_strength_and_not_the_chosen_emotion():
    for what in (ALL, SET):
        request = read_request(VALUES | {"what": what, "strength": 0.5, "point": "0.2,0.2"})
        assert [job.emotion for job in request.jobs] == [EmotionState.of(name, 0.5) for name in MIKELS]
        assert {job.seed for job in request.jobs} == {7} and request.platform == (None if what == ALL else "telegram")


@pytest.mark.parametrize(("changes", "message"), [
    ({"source": "words", "words": "feer"}, "did you mean fear"),
    ({"prompt": ""}, "prompt is empty"),
    ({"seed": "seven"}, "seed is 'seven'; it must be a whole number"),
    ({"seed": "-3"}, "seed is"),
    ({"emotion_guidance_scale": "much"}, "emotion guidance scale is"),
    ({"avoid": "grumpf"}, "avoid: unknown emotion"),
    ({"source": "arc"}, "the arc is empty"),
    ({"num_frames": 6}, "4k\\+1"),
    ({"height": "tall"}, "height is 'tall'"),
    ({"guidance_interval": "early"}, "guidance interval is 'early'"),
    ({"guidance_interval": "0 to 0.6"}, "give that too"),
    ({"what": "nothing"}, "there is no 'nothing'"),
])  # fmt: skip
def test_mistakes_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        read_request(VALUES | changes)


@pytest.mark.parametrize("text", ["0 to 0.6", "0,0.6", " 0  0.6 ", "0.0 to .6"])
def test_an_interval_in_several_ways(text):
    assert read_interval(text) == (0, 0.6) and read_interval(" ") is None


@pytest.mark.parametrize("text", [
    "fear", "fear:0.35", "neutral", "fear:-0.5", "va:0.75,0.4", "va:0.75,0.4@0.425", "awe:0.5+fear:0.25",
    "awe:1.2+fear:0.9", "joy:0.7+awe:0.3", "0:fear@hold 0.6:fear 1:amusement", "0:va:0.5,0.2 1:joy:0.7+awe:0.3",
])  # fmt: skip
def test_settings_of_an_emotion_say_the_same_emotion(text):
    emotion = parse_emotion_or_arc(text)
    back = inputs_of(emotion)
    again = read(back.source, point=back.point, amounts=back.amounts, arc=back.arc, words=back.words,
                 strength=back.strength)  # fmt: skip
    if isinstance(emotion, EmotionArc):
        assert again == emotion and back.source == "arc"
    else:
        assert again.distribution == pytest.approx(emotion.distribution, abs=1e-6)
        assert (again.valence, again.arousal, again.intensity) == pytest.approx(
            (emotion.valence, emotion.arousal, emotion.intensity), abs=1e-6)  # fmt: skip


def test_emotions_come_back_in_the_input_in_which_they_were_set():
    found = {text: inputs_of(parse_emotion(text)).source for text in
             ("fear:0.5", "va:0.2,0.1", "awe:0.5+fear:0.25", "joy:0.7+awe:0.3")}  # fmt: skip
    assert list(found.values()) == ["plane", "plane", "mixture", "words"]


def test_settings_of_a_clip_are_its_numbers(engine, tmp_path):
    job = Job("a", EmotionState.of("fear", 0.5), seed=9, steps=2, emotion_guidance_scale=3.0, height=32,
              guidance_interval=(0.0, 0.6), opening=Opening(cache="first_block"))  # fmt: skip
    found = settings_of(engine.generate(job))
    assert (found.prompt, found.seed, found.emotion.point, found.emotion.strength) == ("a", 9, "fear", 0.5)
    expected = {"num_inference_steps": 2, "emotion_guidance_scale": 3, "height": 32, "cache": "first_block"}
    assert {name: found.numbers[name] for name in expected} == expected and found.image is None


def test_work_is_watched_from_the_first_moment_and_its_failure_is_raised():
    def work(progress):
        progress(0.5, "half")
        yield "first"
        time.sleep(0.15)
        raise ValueError("broken")

    steps = []
    with pytest.raises(ValueError, match="broken"):
        for step in watch(work, every=0.02):
            steps.append(step)
    assert steps[0].found in ((), ("first",)) and steps[-1].text == "half" and steps[-1].found == ("first",)
    assert list(watch(lambda progress: iter("ab"), every=0.02))[-1].found == ("a", "b")
