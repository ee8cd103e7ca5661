"""The studio's pictures: well formed, true to their numbers, and safe with any prompt."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from emogen.emotion import MIKELS, MIKELS_VA, EmotionArc, EmotionState, parse_emotion
from emogen.studio import cards
from emogen.studio.drawing import SIZE, arc_svg, bars_html, emotion_html, plane_position, plane_svg, small_plane_svg
from emogen.studio.plane import _MARK, _SCRIPT
from emogen.studio.result import Reading, Result


def _result(number=1, prompt="a face", emotion="fear", reading=None):
    state = EmotionArc.parse(emotion) if emotion[0].isdigit() else parse_emotion(emotion)
    return Result(number, prompt, state, 3, Path("/tmp/out dir/clip.webp"), Path("/none.npy"), 12, 1.0, reading)


READING = Reading(tuple(0.65 if name == "fear" else 0.05 for name in MIKELS), -0.5, 0.8, 0.9, "a judge")


def test_plane_has_the_eight_at_their_places():
    tree = ElementTree.fromstring(plane_svg())
    assert plane_position(0, 0) == (SIZE / 2, SIZE / 2)
    assert plane_position(1, 1)[0] > SIZE / 2 > plane_position(1, 1)[1], "pleasant is right, stirred is up"
    found = {g.find("text").text: (float(g.find("circle").get("cx")), float(g.find("circle").get("cy")))
             for g in tree.iter("g") if g.get("class") == "point"}  # fmt: skip
    assert found.pop("neutral") == plane_position(0, 0)
    assert set(found) == set(MIKELS)
    for name, place in found.items():
        assert place == pytest.approx(plane_position(*MIKELS_VA[name]), abs=0.06)


def test_page_moves_the_point_by_the_same_measure_as_it_is_drawn():
    # The browser has its own arithmetic (a template and a script); it must agree with plane_position.
    middle, reach = plane_position(0, 0)[0], plane_position(1, 0)[0] - plane_position(0, 0)[0]
    assert f"{middle:g} + {reach:g} *" in _MARK and f"{middle:g} - {reach:g} *" in _MARK
    assert f"(x - {middle:g}) / {reach:g}" in _SCRIPT and f"({middle:g} - y) / {reach:g}" in _SCRIPT
    assert f"box.width * {SIZE}" in _SCRIPT


def test_bars_have_widths_of_the_shares_and_ticks_where_asked():
    shares = [0.25, *[0.0] * 6, 0.75]
    widths = re.findall(r"width:([\d.]+)%", bars_html(shares))
    assert [float(w) for w in widths] == [25, 0, 0, 0, 0, 0, 0, 75]
    assert "tick" not in bars_html(shares)
    ticks = re.findall(r'left:([\d.]+)%" title="asked', bars_html(shares, EmotionState.of("awe").distribution))
    assert ticks == ["100.0"]


def test_arc_draws_the_emotions_that_it_has_and_no_others():
    svg = arc_svg(EmotionArc.parse("0:fear 0.5:fear 1:amusement:0.5"))
    tree = ElementTree.fromstring(svg)
    lines = [[tuple(map(float, p.split(","))) for p in e.get("points").split()] for e in tree.iter("polyline")]
    assert [t.text for t in tree.iter("text") if t.get("class") == "name"] == ["amusement", "fear"]
    amusement, fear = lines
    assert fear[0][1] < fear[-1][1], "fear begins high and ends low (y grows downwards)"
    height = max(y for _, y in fear) - min(y for _, y in fear)
    assert amusement[0][1] - amusement[-1][1] == pytest.approx(height / 2, abs=0.5), "half as strong as fear"
    assert len([e for e in tree.iter("path") if e.get("class") == "key"]) == 3


def test_neutral_and_negative_emotions_have_pictures_too():
    ElementTree.fromstring(arc_svg(EmotionArc.constant("neutral")))
    ElementTree.fromstring(arc_svg(EmotionArc.constant(EmotionState.of("fear", -0.5))))
    assert "away from" in emotion_html(EmotionState.of("fear", -1), "fear:-1")
    ElementTree.fromstring(small_plane_svg({"asked": (0, 1), "read": (-1, -1)}))


def test_one_number_for_one_thing():
    html = emotion_html(parse_emotion("amusement:0.6+awe:0.2"), "text")
    assert re.findall(r"<span>(\w+)</span>", html) == ["amusement", "awe"]
    assert re.findall(r"<em>([\d%]+)</em>", html) == ["75%", "25%"]
    assert re.findall(r"width:([\d.]+)%", html) == ["75.0", "25.0"]
    assert html.count("%</em>") == html.count("intensity 0.80") * 2


def test_whatever_is_typed_is_text_on_the_page():
    bad = '<img src=x onerror="alert(1)">'
    result = _result(prompt=bad, reading=READING)
    for html in (cards.gallery_html([result]), cards.clip_html(result), emotion_html(result.emotion, bad)):
        assert bad not in html and "onerror=&quot;" in html


def test_gallery_shows_the_newest_first_and_marks_the_chosen():
    html = cards.gallery_html([_result(1, reading=READING), _result(2, emotion="0:fear 1:joy")], selected=1)
    assert re.findall(r'data-number="(\d+)"', html) == ["2", "1"]
    assert html.index('data-number="2"') < html.index("card selected")
    assert "read as fear 65%" in html and "not judged" in html
    assert 'src="gradio_api/file=/tmp/out%20dir/clip.webp"' in html
    assert cards.gallery_html([]) == cards.EMPTY


def test_reading_stands_beside_what_was_asked():
    html = cards.reading_html(_result(reading=READING))
    assert "asked: 100%" in html and "mark asked" in html and "mark read" in html and "valence -0.50" in html
    arc = cards.reading_html(_result(emotion="0:fear 1:joy", reading=READING))
    assert "as a whole" in arc and "mark asked" not in arc
    assert "--judge FOLDER" in cards.reading_html(_result())
    assert cards.reading_html(None) == "" and "Generate" in cards.clip_html(None)


def test_reading_s_label_and_metadata():
    assert READING.label == "fear"
    assert READING.to_dict()["distribution"]["fear"] == 0.65
    assert np.isclose(sum(READING.to_dict()["distribution"].values()), 1)
