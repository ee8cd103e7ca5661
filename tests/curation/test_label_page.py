"""The labelling page in a headless browser: three scripted annotators over sixty clips, at a desk and on a phone."""

from pathlib import Path

import numpy as np
import pytest
from parts import chromium

from emogen.curation.agreement import krippendorff
from emogen.curation.label_server import Shown, serve
from emogen.curation.label_store import LabelStore, Plan
from emogen.curation.labels import ANSWERS, answers
from emogen.local_server import serve_in_background
from emogen.media import write_video

pytest.importorskip("selenium", reason="selenium is not installed")
KEYS = {answer: str(number) for number, answer in enumerate(ANSWERS[:8], start=1)} | {"none": "0"}
CLIPS = 60


@pytest.fixture
def browser():
    yield from chromium()


@pytest.fixture
def labelling(tmp_path):
    rng = np.random.default_rng(0)
    clips = {}
    for number in range(CLIPS):
        path = tmp_path / f"clip{number}.{'webp' if number % 2 else 'webm'}"
        if not number % 2:
            path = path.with_suffix(".mp4")
        frames = np.repeat(rng.integers(0, 256, (6, 3, 4, 3), np.uint8), 40, 1).repeat(40, 2)
        write_video(path, frames, 6)
        clips[f"c{number}"] = Shown(path)
    store = LabelStore(tmp_path / "labels.sqlite", Plan(repeat_every=0))
    store.add_items(list(clips))
    server = serve(store, clips, port=0)
    serve_in_background(server)
    yield store, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def shown_clip(driver, but_not=None):
    """The clip that the page shows, waited for; None at the end."""
    from selenium.webdriver.support.ui import WebDriverWait

    script = """
        if (document.getElementById('end').style.display === 'block') return 'the end';
        const one = document.querySelector('#clip img, #clip video');
        return one && !busy ? decodeURIComponent(one.getAttribute('src').split('/media/')[1].split('?')[0]) : null"""

    def ready(_):
        found = driver.execute_script(script)
        return found if found and found != but_not else None

    found = WebDriverWait(driver, 30, poll_frequency=0.02).until(ready)
    return None if found == "the end" else found


def test_three_people_click_what_is_kept(browser, labelling, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    store, address = labelling
    rng = np.random.default_rng(1)
    truth = {f"c{n}": ANSWERS[rng.integers(9)] for n in range(CLIPS)}
    said = {who: {clip: answer if rng.random() < 0.7 else ANSWERS[rng.integers(9)] for clip, answer in truth.items()}
            for who in ("ann", "bob", "cem")}  # fmt: skip
    for who, own in said.items():
        phone = who == "cem"
        browser.set_window_size(*((390, 844) if phone else (1280, 860)))
        browser.get(f"{address}/?token={store.token_of(who)}")
        clip, number = shown_clip(browser), 0
        while clip:
            page = browser.find_element(By.TAG_NAME, "body")
            if number == 5 and who == "ann":  # a wrong answer, taken back
                page.send_keys("u")
                shown_clip(browser, clip)
                page.send_keys("z")
                assert shown_clip(browser) == clip or shown_clip(browser, shown_clip(browser)) == clip
            if phone:
                browser.find_element(By.CSS_SELECTOR, f"button[data-emotion={own[clip]}]").click()
            else:
                page.send_keys(KEYS[own[clip]])
            number += 1
            before, clip = clip, shown_clip(browser, clip)
            assert clip != before
            if number == 8:
                browser.save_screenshot(str(tmp_path / f"{who}.png"))
                assert not browser.execute_script("return document.documentElement.scrollWidth > innerWidth")
        assert number == CLIPS and "Thank you" in browser.find_element(By.ID, "end").text
        browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    kept = answers(store.votes())
    assert kept == {clip: {who: own[clip] for who, own in said.items()} for clip in truth}
    assert krippendorff(kept) == krippendorff({c: {w: said[w][c] for w in said} for c in truth})
    assert krippendorff(kept).value == pytest.approx(0.5, abs=0.2)
    assert all((Path(tmp_path) / f"{who}.png").stat().st_size > 5000 for who in said)


def test_every_button_is_on_a_phones_screen(browser, labelling):
    from selenium.webdriver.common.by import By

    store, address = labelling
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True})  # fmt: skip
    browser.get(f"{address}/?token={store.token_of('ann')}")
    shown_clip(browser)
    for button in browser.find_elements(By.TAG_NAME, "button"):
        assert button.size["height"] >= 40 and button.size["width"] >= 120
        assert button.location["x"] >= 0 and button.location["x"] + button.size["width"] <= 390
