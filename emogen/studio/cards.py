"""Results on the page, as HTML: the clip, what was asked for, and how the judge reads it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from emogen.emotion import MIKELS, EmotionArc
from emogen.studio.colours import COLOURS
from emogen.studio.drawing import bars_html, small_plane_svg
from emogen.studio.result import Reading, Result

EMPTY = '<div class="empty">Clips appear here, the newest first.</div>'


def file_url(path: Path) -> str:
    """Where the page finds a file of the results' folder."""
    return "gradio_api/file=" + quote(Path(path).resolve().as_posix())


def gallery_html(results: Sequence[Result], selected: int | None = None) -> str:
    """A card a result, the newest first; `data-number` says which a click means."""
    if not results:
        return EMPTY
    return f'<div class="gallery">{"".join(_card(r, r.number == selected) for r in reversed(results))}</div>'


def _card(result: Result, selected: bool) -> str:
    state = " selected" if selected else ""
    return (
        f'<button class="card{state}" data-number="{result.number}" title="{escape(result.prompt, quote=True)}">'
        f'<img src="{file_url(result.shown)}" alt="{escape(result.prompt, quote=True)}">'
        f'<span class="prompt">{escape(result.prompt)}</span><code>{escape(_short(result.emotion_text))}</code>'
        f"{_strip(result.reading)}</button>"
    )


def _strip(reading: Reading | None) -> str:
    """The judge's reading in one line: shares as pieces of a strip, and the largest by name."""
    if reading is None:
        return '<span class="read none">not judged</span>'
    pieces = "".join(
        f'<i style="width:{share:.1%};background:{COLOURS[name]}" title="{name} {share:.0%}"></i>'
        for name, share in zip(MIKELS, reading.distribution, strict=True)
    )
    share = max(reading.distribution)
    return (f'<span class="strip">{pieces}</span><span class="read">read as {reading.label} {share:.0%} · '
            f"v {reading.valence:+.2f} a {reading.arousal:+.2f}</span>")  # fmt: skip


def clip_html(result: Result | None) -> str:
    """The chosen clip, large."""
    if result is None:
        return '<div class="stage"><span>Say what to show and press <b>Generate</b>.</span></div>'
    return (f'<div class="stage"><img src="{file_url(result.shown)}" alt="{escape(result.prompt, quote=True)}"></div>'
            f'<p class="hint"><b>{escape(result.prompt)}</b> · <code>{escape(result.emotion_text)}</code> · seed '
            f"{result.seed} · {result.seconds:.0f} s</p>")  # fmt: skip


def reading_html(result: Result | None) -> str:
    """The judge's reading beside what was asked for; why there is none, where there is none."""
    if result is None:
        return ""
    reading = result.reading
    if reading is None:
        return (
            '<div class="reading"><p class="hint">Not judged: the judge in the package knows the embedded model\'s '
            "stickers only. Start with <code>--judge FOLDER</code> for a judge of your own.</p></div>"
        )
    asked = result.emotion
    marks = {"read": (reading.valence, reading.arousal)}
    shares, note = None, ""
    if isinstance(asked, EmotionArc):
        note = "The judge reads the clip as a whole; an arc moves within it."
    elif not asked.is_neutral and asked.intensity > 0:
        marks = {"asked": (asked.valence, asked.arousal)} | marks
        shares = asked.distribution
    facts = (f"<b>{reading.label}</b><br>valence {reading.valence:+.2f}<br>arousal {reading.arousal:+.2f}<br>"
             f"any emotion at all {reading.confidence:.0%}")  # fmt: skip
    key = '<span class="key asked"></span>asked <span class="key read"></span>read.' if "asked" in marks else ""
    return (
        f'<div class="reading"><h4>As the judge reads it</h4>{bars_html(reading.distribution, shares)}'
        f'<div class="where">{small_plane_svg(marks)}<p>{facts}</p></div><p class="hint">{key} {escape(note)} '
        f"Judge: {escape(reading.judge)}.</p></div>"
    )


def _short(text: str, length: int = 44) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
