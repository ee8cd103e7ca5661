"""The page itself: built, served, and asked for a clip by gradio's client."""

import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed (the studio extra)")

import urllib.error  # noqa: E402
import urllib.request  # noqa: E402

from emogen.emotion import parse_emotion  # noqa: E402
from emogen.media.reader import read_metadata  # noqa: E402
from emogen.studio.actions import Actions, status_html  # noqa: E402
from emogen.studio.engine import Job  # noqa: E402
from emogen.studio.models import IMAGE, Source  # noqa: E402
from emogen.studio.page import build_page, launch  # noqa: E402

NUMBERS = {"emotion_scale": 1.0, "guidance_scale": 2.5, "emotion_guidance_scale": "", "avoid": "neutral", "steps": 3,
           "seed": "7", "num_frames": 5}  # fmt: skip
AMOUNTS = dict.fromkeys(("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness"), 0.0)


def _press(engine, **changes):
    given = {"kind": "text", "prompt": "a face", "image": None, "source": "plane", "point": "-0.7,-0.45", **AMOUNTS,
             "rows": [], "words": "", "intensity": 1.0, **NUMBERS} | changes  # fmt: skip
    return Actions(engine).generate(lambda *_: None, *given.values())


def test_generate_uses_the_open_tab_and_shows_the_result(engine):
    number, clip, reading, gallery, take, link, _ = _press(engine)
    assert number == 1 and "<img" in clip and "As the judge reads it" in reading and 'data-number="1"' in gallery
    assert take.visible and not link.interactive
    assert engine.results[0].emotion == parse_emotion("va:-0.7,-0.45") and engine.results[0].seed == 7
    _press(engine, source="mixture", awe=0.5, seed="")
    assert engine.results[1].emotion == parse_emotion("awe:0.5")
    _press(engine, source="arc", rows=[[0, "fear", ""], [1, "joy", ""]], emotion_guidance_scale="3", avoid="fear")
    assert engine.loaded[0].calls[-1]["emotion_guidance_scale"] == 3.0
    assert engine.loaded[0].calls[-1]["negative_emotion"] == [parse_emotion("fear")]


@pytest.mark.parametrize(("changes", "message"), [
    ({"source": "words", "words": "feer"}, "did you mean fear"),
    ({"prompt": ""}, "prompt is empty"),
    ({"kind": "image"}, "give the picture"),
    ({"seed": "seven"}, "seed is &#x27;seven&#x27;; it must be a whole number"),
    ({"seed": "-3"}, "seed is"),
    ({"emotion_guidance_scale": "much"}, "emotion guidance scale is"),
    ({"avoid": "grumpf"}, "avoid: unknown emotion"),
    ({"source": "arc", "rows": []}, "no keyframe"),
    ({"num_frames": 6}, "4k\\+1"),
])  # fmt: skip
def test_mistakes_are_shown_as_messages(engine, changes, message):
    with pytest.raises(gr.Error, match=message):
        _press(engine, **changes)
    assert engine.results == []


def test_preview_says_what_is_asked_or_what_is_wrong(engine):
    actions = Actions(engine)
    state = {"source": "words", "point": "0,0"}
    assert "sadness:0.25" in actions.preview(*state.values(), *[0.0] * 8, [], "sadness:0.5", 0.5)
    assert "notice bad" in actions.preview(*state.values(), *[0.0] * 8, [], "sadnes", 1.0)
    assert "<svg" in actions.preview(*state.values(), *[0.0] * 8, [], "0:fear 1:joy", 1.0)


def test_image_tab_says_what_is_missing(engine, tmp_path):
    assert "without an emotion adapter" in status_html(engine, IMAGE)
    engine.sources[IMAGE] = Source(IMAGE, engine.sources[IMAGE].model, "an adapter")
    assert "Ready" in status_html(engine, IMAGE)
    engine.sources[IMAGE] = Source(IMAGE, str(tmp_path))
    assert "Not available" in status_html(engine, IMAGE) and "--image_model" in status_html(engine, IMAGE)
    with pytest.raises(gr.Error, match="--image_model"):
        _press(engine, kind="image")


def test_download_and_pick(engine):
    _press(engine)
    _press(engine, prompt="another face")
    actions = Actions(engine)
    assert actions.latest()[0] == 2
    event = gr.EventData(None, {"number": 1})
    assert actions.pick(event)[0] == 1 and "another" not in actions.pick(event)[1]
    link, note = actions.save(1, "GIF", False, False)
    assert link.label.startswith("GIF, ") and read_metadata(link.value["path"])["seed"] == 7 and note == ""
    with pytest.raises(gr.Error, match="no transparency"):
        actions.save(1, "MP4", True, False)
    with pytest.raises(gr.Error, match="no clip"):
        actions.save(None, "MP4", False, False)


def test_page_is_served_here_without_telemetry_or_foreign_fonts_and_makes_clips(engine, tmp_path):
    client = pytest.importorskip("gradio_client")
    page = build_page(engine)
    assert page.analytics_enabled is False
    address = launch(page, engine, port=_free_port())
    try:
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=30) as answer:
            html = answer.read().decode()
        assert "fonts.googleapis" not in html and "fonts.gstatic" not in html
        caller = client.Client(address, verbose=False, analytics_enabled=False)
        made = caller.predict("a face", "0:fear 1:joy", seed=11, api_name="/make")
        assert made["seed"] == 11 and made["reading"]["judge"] == "fearful" and made["emotion"] == "0:fear 1:joy"
        assert read_metadata(made["clip"])["seed"] == 11
        with urllib.request.urlopen(f"{address}gradio_api/file={made['served']}", timeout=30) as answer:
            assert answer.read() == engine.results[0].path.read_bytes()
        for outside in (tmp_path / "secret.txt", engine.folder / "mine.txt", engine.folder / ".hidden"):
            outside.write_text("mine")
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(f"{address}gradio_api/file={outside}", timeout=30)
        with pytest.raises(Exception, match="unknown emotion"):
            caller.predict("a face", "feer", api_name="/make")
    finally:
        page.close(verbose=False)


def test_a_password_is_asked_for_the_page_and_its_files(engine):
    result = engine.generate(Job("a face", parse_emotion("fear"), seed=1))
    page = build_page(engine)
    address = launch(page, engine, port=_free_port(), password="long enough")
    file = f"{address}gradio_api/file={result.shown}"
    try:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(file, timeout=30)
        jar = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with pytest.raises(urllib.error.HTTPError, match="400"):
            jar.open(f"{address}login", b"username=emogen&password=wrong", timeout=30)
        jar.open(f"{address}login", b"username=emogen&password=long+enough", timeout=30).close()
        assert jar.open(file, timeout=30).read() == result.path.read_bytes()
    finally:
        page.close(verbose=False)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
