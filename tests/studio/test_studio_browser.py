"""The studio's page in a headless browser: what a person presses, drags and reads, at a desk and on a phone."""

import socket

import numpy as np
import pytest
from parts import chromium

pytest.importorskip("gradio", reason="gradio is not installed (the studio extra)")
pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from emogen.emotion import EmotionArc, EmotionState
from emogen.media.writer import write_video
from emogen.studio.page import build_page, launch

PATIENCE = 90


@pytest.fixture
def browser():
    yield from chromium(1280, 1100)


@pytest.fixture
def address(engine):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    page = build_page(engine)
    yield launch(page, engine, port=port)
    page.close(verbose=False)


class Person:
    """Somebody before the page."""

    def __init__(self, driver, address):
        self.driver = driver
        driver.get(address)
        self.sees("#emotions [data-name=fear]")
        self.sees("#plane svg")

    def sees(self, css, text="", there=False):
        """Wait until an element shows a text (or, with `there`, is in the page at all)."""

        def look(driver):
            found = driver.find_elements(By.CSS_SELECTOR, css)
            return next((one for one in found if there or (one.is_displayed() and text in one.text)), None)

        return self._until(look, f"{css} with {text!r}")

    def _until(self, look, what):
        return WebDriverWait(self.driver, PATIENCE, 0.1, [StaleElementReferenceException]).until(look, what)

    def holds(self, test, what):
        self._until(lambda _: test(), what)

    def press(self, css, text=""):
        self._until(lambda _: self.sees(css, text).click() is None, f"{css} with {text!r}, to press it")

    def opens(self, name, tabs):
        self.press(f"{tabs} > .tab-wrapper button[role=tab], {tabs} button[role=tab]", name)

    def writes(self, css, text):
        field = self.sees(css)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)

    def generates(self, engine):
        before = len(engine.results)
        self.press("#generate")
        self.holds(lambda: len(engine.results) > before, "another clip")
        self.sees("#notice", "Done")
        return engine.results[-1]


def on_plane(person, engine, x, y):
    """Click at a place of the plane's picture, in its own units, and make a clip."""
    svg = person.sees("#plane svg")
    person.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)
    box = person.driver.execute_script(
        "const b = arguments[0].getBoundingClientRect(); return [b.width, b.height]", svg
    )
    offset = [int((place - 160) / 320 * side) for place, side in zip((x, y), box, strict=True)]
    ActionChains(person.driver).move_to_element_with_offset(svg, *offset).click().perform()


def test_making_clips(browser, address, engine):
    from emogen.studio.drawing import plane_position

    person = Person(browser, address)
    person.press("#emotions [data-name=fear]")
    person.sees("#asked code", "fear")
    first = person.generates(engine)
    assert first.emotion == EmotionState.of("fear")
    person.sees("#clip img")
    person.sees("#reading", "As the judge reads it")
    # near a named dot a click means it; elsewhere it is a point
    x, y = plane_position(-0.7, 0.75)
    on_plane(person, engine, x + 5, y + 5)
    person.sees("#asked code", "anger")
    person.sees("#emotions [data-name=anger].on")
    on_plane(person, engine, 190, 250)
    person.sees("#asked code", "va:")
    assert not browser.find_elements(By.CSS_SELECTOR, "#emotions .on")
    # what is wrong stands beside the button, with a title, leaves by itself, and the clip stays
    person.writes("#seed textarea, #seed input", "seven")
    person.press("#generate")
    notice = person.sees("#notice [role=alert]", "Cannot make this")
    assert "seed is 'seven'" in notice.text and browser.find_elements(By.CSS_SELECTOR, "#clip img")
    person.holds(lambda: not notice.is_displayed(), "a message that leaves")
    # Stop leaves the last clip in peace
    person.writes("#seed textarea, #seed input", "7")
    engine.loaded[0].pace = 0.4
    person.press("#generate")
    person.sees("#notice .working", "step")
    person.press("#stop")
    person.sees("#notice", "Stopped")
    assert len(engine.results) == 1 and browser.find_elements(By.CSS_SELECTOR, "#clip img")
    engine.loaded[0].pace = 0.0
    # a clip's settings come back, its tab and seed included
    person.press("#again")
    person.sees("#asked code", "fear")
    assert person.generates(engine).seed == first.seed
    assert (engine.results[-1].frames()[0] == first.frames()[0]).all()
    # all eight at once
    person.press("#what label", "all eight")
    person.press("#generate")
    person.sees("#notice", "8 clips")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#clip .several button")) == 8 and len(engine.results) == 10
    person.press("#clip .several button", "sadness")
    person.sees("#clip .hint", "sadness")


def test_an_arc_is_dragged(browser, address, engine):
    person = Person(browser, address)
    person.opens("Arc", "#sources")
    person.sees("#arc svg")
    dots = browser.find_elements(By.CSS_SELECTOR, "#arc .dot")
    assert len(dots) == 3
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", dots[1])
    ActionChains(browser).click_and_hold(dots[1]).move_by_offset(-120, 40).release().perform()
    text = "#arc-text textarea, #arc-text input"
    field = person.sees(text)
    person.holds(lambda: "0.6:fear" not in field.get_attribute("value"), "a point that has moved")
    moved = EmotionArc.parse(field.get_attribute("value")).keyframes
    assert len(moved) == 3 and 0.1 < moved[1].time < 0.6 and 0.2 < moved[1].state.intensity < 1
    person.press("#arc .palette button[data-emotion=awe]")
    person.holds(lambda: "awe" in field.get_attribute("value"), "a point of another emotion")
    person.press("#arc .palette button", "remove point")
    person.holds(lambda: len(browser.find_elements(By.CSS_SELECTOR, "#arc .dot")) == 2, "a point less")
    person.holds(lambda: field.get_attribute("value") == "0:fear@hold 1:amusement", "the arc without it")
    assert person.generates(engine).emotion == EmotionArc.parse("0:fear@hold 1:amusement")


def test_on_a_phone_generate_and_all_tabs_are_on_the_first_screen(browser, address):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True})  # fmt: skip
    person = Person(browser, address)
    button = person.sees("#generate")
    assert button.location["y"] + button.size["height"] < 700 and button.size["height"] >= 40
    for tabs, names in (("#rooms", "Make Data Train Evaluate"), ("#sources", "Plane Mixture Arc Words")):
        for name in names.split():
            tab = person.sees(f"{tabs} button[role=tab]", name)
            assert tab.location["x"] >= 0 and tab.location["x"] + tab.size["width"] <= 390
    wide = "return document.documentElement.scrollWidth - innerWidth"
    for room in ("Make", "Data", "Train", "Evaluate"):
        person.opens(room, "#rooms")
        person.holds(lambda: browser.execute_script(wide) <= 0, f"no more than the screen's width in {room}")


def test_clips_are_dropped_labelled_and_handed_to_training(browser, address, engine, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (the data extra)")
    files = []
    for shade in (40, 160):
        pixels = np.full((8, 48, 48, 3), shade, np.uint8)
        pixels[:, 10:30, 5:25] = np.arange(8, dtype=np.uint8)[:, None, None, None] * 9
        files.append(tmp_path / f"face{shade}.webp")
        write_video(files[-1], pixels, 8)
    person = Person(browser, address)
    person.opens("Data", "#rooms")
    person.sees("#drop input[type=file]", there=True).send_keys("\n".join(map(str, files)))
    person.sees("#data-problems", "0 of 2 clips are ready")
    person.press("#data-gallery .card")
    for emotion in ("fear", "awe"):
        person.sees("#data-clip img")
        person.writes("#data-caption textarea", f"a grey field that shows {len(emotion)} squares")
        person.press(f"#data-labels [data-name={emotion}]")
        person.sees("#data-gallery .card", emotion)
    person.sees("#data-problems", "2 of 2 clips are ready")
    person.press("#data-write")
    person.sees("#data-notice", "The data set is written")
    person.opens("Train", "#rooms")
    field = person.sees("#train-data textarea, #train-data input")
    person.holds(lambda: field.get_attribute("value").endswith("export"), "the set in the Train tab")
