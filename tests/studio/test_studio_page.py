"""The page itself: built, served, and asked for a clip by gradio's client."""

import json

import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed (the studio extra)")

import urllib.error  # noqa: E402
import urllib.request  # noqa: E402

from test_studio_request import VALUES  # noqa: E402

from emogen.emotion import MIKELS, parse_emotion  # noqa: E402
from emogen.media.reader import read_metadata  # noqa: E402
from emogen.studio.actions import SHOWN, Actions, status_html  # noqa: E402
from emogen.studio.engine import Engine, Job  # noqa: E402
from emogen.studio.models import IMAGE, Source  # noqa: E402
from emogen.studio.page import build_page, launch  # noqa: E402
from emogen.studio.pressed import NOBODY  # noqa: E402
from emogen.studio.request import EMOTION_FIELDS, FIELDS  # noqa: E402


def _press(engine, **changes):
    """Press Generate; everything that the page is told, in order: (notice, *shown)."""
    return list(Actions(engine).generate(*(VALUES | changes).values()))


def test_generate_tells_from_the_first_moment_and_shows_the_result(engine):
    told = _press(engine, point="-0.7,-0.45")
    assert "working" in told[0][0] and all(isinstance(value, type(gr.skip())) for value in told[0][1:])
    notice, number, clip, reading, gallery, take, link, _ = told[-1]
    assert "Done" in notice and number == 1 and "<img" in clip and "As the judge reads it" in reading
    assert 'data-number="1"' in gallery and take.visible and not link.interactive
    assert engine.results[0].emotion == parse_emotion("va:-0.7,-0.45") and engine.results[0].seed == 7
    _press(engine, source="arc", arc="0:fear 1:joy", emotion_guidance_scale="3", avoid="fear")
    assert engine.loaded[0].calls[-1]["emotion_guidance_scale"] == 3.0
    assert engine.loaded[0].calls[-1]["negative_emotion"] == [parse_emotion("fear")]


def test_all_eight_at_once_and_best_of(engine):
    told = _press(engine, what="all eight", best_of=2, steps=2)[-1]
    assert "8 clips" in told[0] and told[2].count("data-number=") == 8 and len(engine.results) == 8
    assert "best of 2" in told[2] and {r.seed for r in engine.results} <= {7, 8} and len(engine.loaded[0].calls) == 16


def test_a_sticker_set_is_written_with_a_zip_and_a_sheet(engine):
    import zipfile

    told = _press(engine, what="sticker set", platform="slack", steps=1)[-1]
    (folder,) = (engine.folder / "sets").iterdir()
    assert "The set is written" in told[0] and "stickers.zip" in {path.name for path in folder.iterdir()}
    with zipfile.ZipFile(next(engine.served.glob("*.zip"))) as archive:
        assert {name.removesuffix(".gif") for name in archive.namelist()} >= set(MIKELS)
    assert read_metadata(folder / "fear.gif")["platform"] == "slack"


@pytest.mark.parametrize(("changes", "title", "message"), [
    ({"source": "words", "words": "feer"}, "Cannot make this", "did you mean fear"),
    ({"prompt": ""}, "Cannot make this", "prompt is empty"),
    ({"image": "/no/such.png"}, "Cannot make this", "no file /no/such.png"),
    ({"loras": "<b>.safetensors"}, "Cannot make this", "&lt;b&gt;.safetensors"),
])  # fmt: skip
def test_mistakes_are_shown_in_their_place_with_a_title_and_leave(engine, changes, title, message):
    engine.generate(Job("a face", parse_emotion("fear"), seed=1))
    told = _press(engine, **changes)[-1]
    assert title in told[0] and message in told[0] and "leaving" in told[0] and 'role="alert"' in told[0]
    assert all(isinstance(value, type(gr.skip())) for value in told[1:]), "the clip that is shown stays"
    assert len(engine.results) == 1


def test_people_on_other_machines_name_no_files_of_this_one(engine, tmp_path):
    (tmp_path / "style.safetensors").touch()
    values = (VALUES | {"loras": str(tmp_path / "style.safetensors")}).values()
    (told, *_) = list(Actions(engine, own=False).generate(*values))[-1]
    assert "own machine alone" in told and engine.results == []
    labels = {block.label for block in build_page(engine, workshop=False).blocks.values() if hasattr(block, "label")}
    assert "Make" in labels and not labels & {"Data", "Train", "Evaluate"}


def test_stop_leaves_the_last_clip_in_peace(engine):
    _press(engine)
    engine.loaded[0].pace = 0.01
    last = ()
    for told in Actions(engine).generate(*(VALUES | {"steps": 3000}).values()):
        last = told
        if "step" in told[0]:
            engine.stop()
    assert "Stopped" in last[0] and all(isinstance(value, type(gr.skip())) for value in last[1:])
    assert Actions(engine).latest()[0] == 1


def test_preview_says_what_is_asked_or_what_is_wrong(engine):
    actions = Actions(engine)

    def preview(**changes):
        values = VALUES | changes
        return actions.preview(*(values[name] for name in EMOTION_FIELDS))

    html, name = preview(source="words", words="sadness:0.5", strength=0.5)
    assert "sadness:0.25" in html and name == "sadness"
    assert "notice bad" in preview(source="words", words="sadnes")[0]
    html, name = preview(source="words", words="0:fear 1:joy")
    assert "<svg" in html and name == NOBODY
    assert preview(source="plane", point="0.1,0.1")[1] == NOBODY


def test_a_dragged_arc_is_text_and_text_is_points(engine):
    points = json.loads(Actions.written("0:fear@hold 1:joy:0.7+awe:0.3"))
    assert Actions.dragged(json.dumps(points)).startswith("0:fear@hold 1:state:")
    for bad in ("no arc", "", "0:feer"):
        assert isinstance(Actions.written(bad), type(gr.skip()))
    for bad in ("", "{", '[{"time": 3}]', "[]"):
        assert isinstance(Actions.dragged(bad), type(gr.skip()))


def test_use_these_settings_makes_the_same_clip_after_a_restart(engine):
    _press(engine, point="0.2,0.3", strength=0.5, guidance_interval="0 to 0.6", emotion_guidance_scale="3", avoid="awe",
           negative_prompt="text", height="32", width="48", cache="first_block")  # fmt: skip
    again = Engine(engine.sources, engine._make_judge, "cpu", engine.folder, load=engine._load)
    said, tabs, *values = Actions(again).again(1)
    assert "Settings are back" in said and tabs.selected == "plane"
    given = {name: VALUES[name] if isinstance(value, type(gr.skip())) else value
             for name, value in zip(FIELDS, values, strict=True)}  # fmt: skip
    list(Actions(again).generate(*given.values()))
    first, second = engine.results[0], again.results[-1]
    assert (first.frames()[0] == second.frames()[0]).all()
    same = set(first.metadata) - {"emotion"}
    assert {name: first.metadata[name] for name in same} == {name: second.metadata[name] for name in same}
    assert second.emotion.intensity == pytest.approx(first.emotion.intensity)
    again.sources["text"] = Source("text", again.sources["text"].model, "another")
    assert "this page uses another" in Actions(again).again(1)[0]
    assert "No clip" in Actions(again).again(77)[0] and len(Actions(again).again(77)) == 2 + len(FIELDS)


def test_settings_bring_the_picture_back(engine, tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8), "red").save(tmp_path / "p.png")
    _press(engine, image=str(tmp_path / "p.png"))
    values = dict(zip(FIELDS, Actions(engine).again(1)[2:], strict=True))
    assert values["image"].startswith(str(engine.served))
    _press(engine, image=values["image"])
    assert len({result.metadata["image"] for result in engine.results}) == 1
    (engine.folder / "pictures" / engine.results[0].metadata["image"].rpartition("/")[2]).unlink()
    assert dict(zip(FIELDS, Actions(engine).again(1)[2:], strict=True))["image"] is None


def test_image_says_what_is_missing(engine, tmp_path):
    from PIL import Image

    assert "without an emotion adapter" in status_html(engine, IMAGE)
    engine.sources[IMAGE] = Source(IMAGE, engine.sources[IMAGE].model, "an adapter")
    assert "an adapter" in status_html(engine, IMAGE)
    engine.sources[IMAGE] = Source(IMAGE, str(tmp_path))
    assert "Not available" in status_html(engine, IMAGE) and "--image_model" in status_html(engine, IMAGE)
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    told = _press(engine, image=str(tmp_path / "p.png"))[-1]
    assert "Not available" in told[0] and "--image_model" in told[0]


def test_download_and_pick(engine):
    _press(engine)
    _press(engine, prompt="another face")
    actions = Actions(engine)
    assert actions.latest()[0] == 2 and len(actions.latest()) == SHOWN
    event = gr.EventData(None, {"number": "1"})
    assert actions.pick(event)[0] == 1 and "another" not in actions.pick(event)[1]
    link, note = actions.save(1, "GIF", False, False)
    assert link.label.startswith("GIF, ") and read_metadata(link.value["path"])["seed"] == 7 and note == ""
    assert "no transparency" in actions.save(1, "MP4", True, False)[1]
    assert "no clip" in actions.save(None, "MP4", False, False)[1]


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
