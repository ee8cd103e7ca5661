"""Captions on their way to the text encoder: scrubbed, with the emotion's sentence, and counted."""

import warnings
from pathlib import Path

import pytest

from emogen.data.records import ClipRecord
from emogen.embedded import embedded_model
from emogen.emotion import EmotionState, emotion_prompt, parse_emotion
from emogen.models.text_limit import TextLimit, fit_prompts
from emogen.training.data.captions import fit_captions, say_scrubbed, scrub_records
from emogen.training.data.plan import DataError, make_plan

PHRASE = "a very detailed shot of a round yellow face on a plain background, "


def record(caption, emotion="fear", row=1):
    return ClipRecord(Path("a.mp4"), "a.mp4", caption, parse_emotion(emotion), row=row)


@pytest.fixture(scope="module")
def limit():
    return TextLimit.from_folder(Path(embedded_model()), 64)


def test_scrubbing_says_what_changed_and_what_is_left():
    records = [record("a sad red ball"), record("a ball", row=2), record("Is he happy?", row=3)]
    scrubbed, found = scrub_records(records)
    assert [one.caption for one in scrubbed] == ["a red ball", "a ball", "Is he happy?"] and scrubbed[1:] == records[1:]
    said = []
    say_scrubbed(found, 3, said.append)
    assert said == [
        "captions: emotion words taken out of 1 of 3",
        "  sad 1",
        "  metadata.jsonl:1: 'a sad red ball' -> 'a red ball'",
        "captions with emotion words left as they are: 1; reword them where the emotion should not show",
        "  metadata.jsonl:3: happy in 'Is he happy?'",
    ]


@pytest.mark.parametrize("emotion", ["joy", "fear"])
def test_the_sentence_survives_a_caption_that_is_too_long(limit, emotion):
    said = []
    sentence = emotion_prompt(parse_emotion(emotion))
    long, short = fit_captions([record(20 * PHRASE, emotion), record("a cat", emotion, 2)], limit, True, said.append)
    assert short.caption == f"a cat {sentence}"
    assert long.caption.endswith(sentence) and limit.count(long.caption) <= limit.limit
    kept = long.caption.removesuffix(sentence).strip()
    assert (20 * PHRASE).startswith(kept)
    next_word = (20 * PHRASE)[len(kept) :].split()[0]
    assert limit.count(f"{kept} {next_word} {sentence}") > limit.limit, "no word that fits is given up"
    assert said[0].startswith("warning: 1 of 2 captions are longer than the 64 tokens")
    assert said[0].endswith("the emotion's sentence is kept")
    lost = (20 * PHRASE)[len(kept) :].split()
    assert f"metadata.jsonl:1: {limit.count(20 * PHRASE + sentence)} tokens" in said[1]
    assert f"({len(lost)} words)" in said[1] and len(said) == 2


def test_without_a_sentence_captions_stay_and_what_is_not_read_is_said(limit):
    said = []
    records = [record(20 * PHRASE), record("a cat", row=2), record("", row=3)]
    assert fit_captions(records, limit, False, said.append) == records
    assert "1 of 3 captions" in said[0] and "not read: " in said[1] and 'background," (' in said[1]
    assert fit_captions(records[1:], limit, False, said.append) == records[1:] and len(said) == 2


def test_a_script_without_spaces_is_cut_between_characters(limit):
    fitted = limit.fit("\u4e00\u4e8c\u4e09" * 60, "The end.")
    assert fitted.text.endswith("The end.") and len(fitted.text) > 12 and limit.count(fitted.text) <= limit.limit


def test_prompts_that_are_cut_are_told(limit):
    tokenizer, sentence = limit._tokenizer, emotion_prompt(EmotionState.of("awe"))
    with pytest.warns(UserWarning, match=r"a prompt has \d+ tokens .* reads 64; the emotion's sentence"):
        first, second = fit_prompts(tokenizer, 64, [20 * PHRASE, "a cat"], [sentence, ""])
    assert first.endswith(sentence) and second == "a cat"
    with pytest.warns(UserWarning, match=r"reads 64. What is not read"):
        assert fit_prompts(tokenizer, 64, [20 * PHRASE]) == [20 * PHRASE]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit_prompts(tokenizer, 64, ["a cat "], [sentence]) == [f"a cat {sentence}"]
        assert fit_prompts(None, 64, [20 * PHRASE], [""]) == [20 * PHRASE]


def test_the_plan_counts_tokens_and_refuses_a_sentence_that_cannot_be_read(make_config, clips_folder):
    said = []
    make_plan(make_config(data={"max_sequence_length": 4}), said.append)
    assert "warning: 10 of 10 captions are longer than the 4 tokens that the text encoder reads" in "\n".join(said)
    plan = make_plan(make_config(data={"emotion_in_caption": True}), lambda line: None)
    for clip in plan.clips:
        if clip.record.label != "neutral":
            assert clip.record.caption.endswith(emotion_prompt(clip.record.emotion)), "12 tokens hold it, and a word"
    with pytest.raises(DataError, match=r"data\.emotion_in_caption: the sentence .* has 11 tokens .* reads 4"):
        make_plan(make_config(data={"max_sequence_length": 4, "emotion_in_caption": True}), said.append)
