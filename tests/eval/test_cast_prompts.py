"""Prompts about the cast: what they name has trained nothing, and image to video begins where it is told to."""

from collections import Counter

import numpy as np
import pytest

from emogen.emotion import MIKELS
from emogen.eval.benchmark.cast_prompts import cast_prompts
from emogen.eval.benchmark.config import EvalConfigError, load_eval_config
from emogen.eval.benchmark.heldout import draw_sticker, first_frame
from emogen.eval.benchmark.items import make_items
from emogen.eval.benchmark.run import run_benchmark
from emogen.stickers.cast.captions import read
from emogen.stickers.cast.splits import UNSEEN, may_see

COUNTS = {"rendered": 24, "unseen": 8, "expressive": 8, "real": 4}


def test_no_training_sees_what_is_asked_and_the_caption_says_all_of_it():
    prompts = cast_prompts(COUNTS)
    assert Counter(prompt.domain for prompt in prompts) == COUNTS
    for prompt in prompts[:40]:
        spec = prompt.sticker("awe", 0)
        assert not any(may_see(reader, spec) for reader in ("base", "emotion", "judge"))
        assert (spec.character in UNSEEN) == (prompt.domain == "unseen")
        assert prompt.named == {"accessory": "none"} | read(prompt.text)
    contents = [(p.spec.character, p.spec.color, p.spec.style) for p in prompts[:40]]
    assert len(set(contents)) == 40
    assert len({prompt.spec.character for prompt in prompts[:20]}) == 20
    assert cast_prompts(COUNTS) == prompts
    assert cast_prompts({"rendered": 3}) == prompts[:3]


def test_an_expressive_first_picture_is_not_asked_for_what_it_shows(tmp_path):
    file = tmp_path / "e.yaml"
    file.write_text(
        "name: e\nprompts: cast\nnum_prompts: {expressive: 8}\nmetrics: [temporal_flickering]\n"
        "systems:\n  drawn: {clips: stickers}\n"
    )
    items = make_items(load_eval_config(file))
    assert Counter(item.emotion for item in items) == dict.fromkeys(MIKELS, 7)
    prompt = items[0].prompt
    assert prompt.start == "amusement" and all(item.emotion != item.prompt.start for item in items)
    start = np.asarray(first_frame(prompt, 3))
    assert np.array_equal(start, draw_sticker(prompt.sticker("amusement", 3), 1)[0])
    assert not np.array_equal(start, draw_sticker(prompt.sticker("neutral", 3), 1)[0])


@pytest.mark.parametrize(
    "prompts, domain, known",
    [("stickers", "unseen", "rendered, real"), ("cast", "drawn", "rendered, unseen, expressive, real")],
)
def test_a_domain_that_the_prompts_do_not_have_is_refused(tmp_path, prompts, domain, known):
    file = tmp_path / "e.yaml"
    file.write_text(
        f"name: e\nprompts: {prompts}\nnum_prompts: {{{domain}: 3}}\nsystems:\n  drawn: {{clips: stickers}}\n"
    )
    with pytest.raises(EvalConfigError, match=rf"e\.yaml:3: num_prompts: .* no domain '{domain}'; it has {known}"):
        load_eval_config(file)


def test_drawn_characters_are_the_ceiling_and_a_reader_of_other_things_is_refused_first(tmp_path):
    file = tmp_path / "e.yaml"
    text = (
        "name: e\nprompts: cast\nnum_prompts: {rendered: 1, unseen: 1}\nemotions: [anger]\nmetrics: [METRIC]\n"
        "systems:\n  drawn: {clips: stickers}\n"
    )
    file.write_text(text.replace("METRIC", "content"))
    with pytest.raises(EvalConfigError, match="prompts name character, which the content reader cannot"):
        run_benchmark(load_eval_config(file), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out/clips").exists()
    file.write_text(text.replace("METRIC", "temporal_flickering"))
    results = run_benchmark(load_eval_config(file), tmp_path / "out", quiet=True)
    assert [row["emotion"] for row in results["rows"]] == ["anger", "anger"]
    assert len(list((tmp_path / "out/clips/drawn").glob("*.png"))) == 2
