"""The page's walk: emogen studio opened in a headless browser, a clip made, every tab looked at.

python benchmarks/walks/studio.py --work FOLDER [--pictures docs/pictures]

It needs the extra `studio`, selenium, and Chromium with its driver.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from walk import BROWSERS, StepFailed, Walk, command_line

PATIENCE = 300
TABS = ("Make", "Data", "Train", "Evaluate")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def open_browser(width: int, height: int):
    """Headless Chromium under selenium, or None where one of them is missing."""
    programs = [next(filter(None, map(shutil.which, BROWSERS)), None), shutil.which("chromedriver")]
    try:
        from selenium import webdriver
    except ImportError:
        return None
    if None in programs:
        return None
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))
    driver.set_page_load_timeout(PATIENCE)
    driver.set_window_size(width, height)
    return driver


def wait_for(driver, css: str, text: str = ""):
    """The first displayed element with a text, when there is one."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def look(page):
        return next((e for e in page.find_elements(By.CSS_SELECTOR, css) if e.is_displayed() and text in e.text), None)

    return WebDriverWait(driver, PATIENCE, 0.2).until(look, f"{css} with {text!r}")


def shoot(walk: Walk, driver, name: str) -> None:
    """Keep what the browser shows."""
    shot = walk.work / f"{name}.png"
    driver.save_screenshot(str(shot))
    walk.keep(shot, f"{name}.webp", width=600, quality=32)


def walk_on(walk: Walk) -> None:
    """Open the page, make a clip, look at the tabs; and at a phone's width."""
    driver = open_browser(1280, 1000)
    if driver is None:
        print("no selenium, or no Chromium with its driver: the page is not walked")
        return
    port = free_port()
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"PATH": f"{walk.programs}{os.pathsep}{env['PATH']}"}
    log = open(walk.work / "studio.log", "w")  # noqa: SIM115
    server = subprocess.Popen(
        ["emogen", "studio", "--no_browser", "--port", str(port)], cwd=walk.work, env=env, stdout=log, stderr=log
    )
    try:
        address, end = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if server.poll() is not None or time.monotonic() > end:
                raise StepFailed(f"emogen studio did not open: {Path(log.name).read_text()[-2000:]}")
            time.sleep(0.5)
        driver.get(address)
        wait_for(driver, "#emotions [data-name=fear]").click()
        wait_for(driver, "#generate").click()
        wait_for(driver, "#clip img, #clip video")
        wait_for(driver, "#notice", "Done")
        shoot(walk, driver, "studio_make")
        for tab in TABS[1:]:
            wait_for(driver, "button[role=tab]", tab).click()
            time.sleep(2)
            shoot(walk, driver, f"studio_{tab.lower()}")
        driver.set_window_size(500, 900)
        driver.get(address)
        wait_for(driver, "#emotions [data-name=fear]")
        shoot(walk, driver, "studio_phone")
    finally:
        driver.quit()
        server.terminate()
        server.wait(60)
        log.close()


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    return command_line(__doc__, walk_on, argv)


if __name__ == "__main__":
    raise SystemExit(main())
