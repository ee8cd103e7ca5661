"""What the page says of work: how far it is, that it has ended, or why it failed. Each in its own place.

A message leaves by itself, the later the longer it is; it stays while the pointer or the focus is on it.
"""

from __future__ import annotations

import re
from html import escape
from itertools import count
from typing import Any

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""How the page's events are set up: gradio dims nothing while they run, and programs cannot call them."""
_READING = 18.0  # characters a second, slowly read
_SHORTEST = 6.0  # seconds
_TURNS = count()  # two messages after one another leave by two animations, else the second would be gone already


def progress_html(share: float, text: str, seconds: float) -> str:
    """A bar with what is being done and for how long."""
    width = f"{max(0.0, min(1.0, share)):.1%}"
    return (
        f'<div class="working" role="status"><div class="track"><b style="width:{width}"></b></div>'
        f"<p>{escape(text)} · {seconds:.0f} s</p></div>"
    )


def share_of(said: str) -> float:
    """The share that a progress bar on a terminal stands at; a third where there is none."""
    found = re.findall(r"(\d{1,3})%\|", said)
    return int(found[-1]) / 100 if found else 1 / 3


def error_html(title: str, text: object) -> str:
    """What went wrong, with a title. Read out at once by screen readers."""
    return _leaving("bad", title, str(text), "alert")


def said_html(title: str, text: object = "") -> str:
    """What has ended well."""
    return _leaving("good", title, str(text), "status")


def _leaving(kind: str, title: str, text: str, role: str) -> str:
    stays = max(_SHORTEST, len(title + text) / _READING)
    body = f"<p>{escape(text)}</p>" if text else ""
    return (
        f'<div class="notice leaving {kind}" role="{role}" tabindex="0" '
        f'style="animation-name:leave-{next(_TURNS) % 2};animation-delay:{stays:.1f}s">'
        f"<b>{escape(title)}</b>{body}</div>"
    )
