"""Results on the page, as HTML: the clip, what was asked for, and how the judge reads it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from emogen.emotion import MIKELS, EmotionArc
from emogen.studio.colours import COLOURS
from emogen.studio.drawing import bars_html, small_plane_svg
from emogen.studio.result import Reading, Result

if TYPE_CHECKING:
    from emogen.studio.sets import Made

EMPTY = '<div class="empty">Clips appear here, the newest first.</div>'


def file_url(path: Path) -> str:
    """Where the page finds a file of the results' folder."""
    return "gradio_api/file=" + quote(Path(path).resolve().as_posix())


def gallery_html(results: Sequence[Result], selected: int | None = None) -> str:
    """A card a result, the newest first; `data-number` says which a click means."""
    if not results:
        return EMPTY
    ordered = sorted(results, key=lambda result: -result.number)
    return f'<div class="gallery">{"".join(_card(r, r.number == selected) for r in ordered)}</div>'


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
    took = "" if result.seconds is None else f" · {result.seconds:.0f} s"
    return (f'<div class="stage"><img src="{file_url(result.shown)}" alt="{escape(result.prompt, quote=True)}"></div>'
            f'<p class="hint"><b>{escape(result.prompt)}</b> · <code>{escape(result.emotion_text)}</code> · seed '
            f"{result.seed}{_best(result)}{took}</p>")  # fmt: skip


def several_html(results: Sequence[Result]) -> str:
    """Clips that were made together, side by side; a press on one chooses it."""
    cells = "".join(
        f'<button type="button" data-number="{r.number}"><img src="{file_url(r.shown)}" alt=""><span>'
        f"{escape(_short(r.emotion_text, 24))}</span></button>"
        for r in results
    )
    first = results[0]
    return (f'<div class="several">{cells}</div><p class="hint"><b>{escape(first.prompt)}</b> · seed {first.seed}'
            f"{_best(first)}</p>")  # fmt: skip


def _best(result: Result) -> str:
    """Of how many seeds it is the best, with the scores of the others."""
    chosen = result.metadata.get("chosen")
    if not isinstance(chosen, dict):
        return ""
    scores = chosen.get("mean_scores") or chosen.get("scores") or {}
    listed = ", ".join(f"{seed}: {score:.0%}" for seed, score in scores.items())
    return f', <span title="{escape(listed, quote=True)}">best of {len(scores)}</span>'


def set_html(made: Made, archive: Path, sheet: Path) -> str:
    """A sticker set that was written: where it is, how alike its stickers are, and its sheet."""
    alike = "" if made.alike is None else f" The stickers are {made.alike:.2f} alike (1: the same)."
    odd = f" {escape(made.odd)} differs most." if made.odd else ""
    gone = (
        f"<details><summary>Changed to fit</summary>{escape('; '.join(made.changes))}</details>" if made.changes else ""
    )
    return (
        f'<div class="notice good"><b>The set is written</b><p><a href="{file_url(archive)}" download>'
        f"{escape(archive.name)}</a>, and in {escape(str(made.folder))}.{alike}{odd}</p>"
        f'<img class="sheet" src="{file_url(sheet)}" alt="the stickers of the set">{gone}</div>'
    )


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
