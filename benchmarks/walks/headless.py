"""A headless browser for walks, pictures of the documents and tests, and what a person does with it."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio", "--hide-scrollbars",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
"""Nothing is asked of other machines, and little of this one."""
PATIENCE = 600


class NoBrowser(RuntimeError):
    """selenium, Chromium or its driver is absent; the message says which."""


def open_browser(width: int = 1280, height: int = 860, scale: float = 1.0) -> Any:
    """Headless Chromium under selenium.

    Args:
        width, height: of the window in CSS pixels. scale: pixels of a screenshot for each.

    Raises:
        NoBrowser: a part of it is absent.
    """
    try:
        from selenium import webdriver
    except ImportError as error:
        raise NoBrowser("selenium is not installed") from error
    program, driver = next(filter(None, map(shutil.which, BROWSERS)), None), shutil.which("chromedriver")
    if program is None or driver is None:
        raise NoBrowser("there is no Chromium with its driver here")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--force-device-scale-factor={scale}"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    browser.set_page_load_timeout(PATIENCE)
    browser.set_window_size(width, height)
    return browser


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Person:
    """Somebody before a page: waits for what is to be seen, and presses and writes. Nothing is waited for longer than
    `PATIENCE` seconds.

    Args:
        browser: of `open_browser`.
        address: of the page.
    """

    def __init__(self, browser: Any, address: str):
        self.browser = browser
        browser.get(address)

    def until(self, look: Callable[[], Any], what: str) -> Any:
        """What `look` gives, once it gives something; elements that are replaced while it looks are looked for anew."""
        from selenium.common.exceptions import (
            ElementClickInterceptedException,
            ElementNotInteractableException,
            StaleElementReferenceException,
        )
        from selenium.webdriver.support.ui import WebDriverWait

        passing = [StaleElementReferenceException, ElementClickInterceptedException, ElementNotInteractableException]
        return WebDriverWait(self.browser, PATIENCE, 0.1, passing).until(lambda _: look(), what)

    def found(self, css: str, text: str = "", there: bool = False) -> Any:
        """The first element that is shown (or, with `there`, is in the page at all) and holds a text, now; or None."""
        elements = self.browser.find_elements("css selector", css)
        return next((one for one in elements if there or (one.is_displayed() and text in one.text)), None)

    def sees(self, css: str, text: str = "", there: bool = False) -> Any:
        """The same, waited for."""
        return self.until(lambda: self.found(css, text, there), f"{css} with {text!r}")

    def ends(self, css: str, well: str) -> None:
        """Wait until a notice inside an element says that something went well.

        Raises:
            AssertionError: it says that it went wrong; with what it says.
        """
        shown = self.until(lambda: self.found(css, well) or self.found(f"{css} .bad"), f"{css} with {well!r}")
        assert well in shown.text, shown.text

    def press(self, css: str, text: str = "") -> None:
        """Click it, once it is there and nothing lies above it."""
        self.until(lambda: (one := self.found(css, text)) and (one.click() or True), f"{css} {text!r}, to press it")

    def writes(self, css: str, text: str) -> None:
        """Replace what stands in a field, by its own `input` or `textarea`."""
        from selenium.webdriver.common.keys import Keys

        def write() -> bool:
            field = self.found(f"{css} input, {css} textarea")
            if field is None:
                return False
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(Keys.DELETE, text, Keys.TAB)
            return field.get_attribute("value") == text

        self.until(write, f"{css}, to write {text!r}")

    def gives(self, css: str, *files: Path) -> None:
        """Put files into an upload."""
        self.sees(f"{css} input[type=file]", there=True).send_keys("\n".join(map(str, files)))

    def still(self, css: str) -> None:
        """Wait until the pictures inside an element have been fetched."""
        script = "return [...document.querySelectorAll(arguments[0])].every(i => i.complete && i.naturalWidth > 0)"
        self.until(lambda: self.browser.execute_script(script, f"{css} img"), f"pictures in {css}")
