"""The frame of every page: style, contents, what made it, and the part about the judges."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape, unescape
from pathlib import Path
from typing import Any

# The pictures are drawn for a white ground, so the page asks for it whatever the browser prefers.
STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:15px/1.45 system-ui,sans-serif;color:#222;background:#fff;max-width:1100px;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:.2rem;line-height:1.2}h2{margin-top:2.4rem;border-bottom:1px solid #ddd;scroll-margin-top:.5rem}
h3{margin:1.2rem 0 .4rem}a{color:#0060a0}
nav{background:#f6f7f8;border-radius:6px;padding:.5rem .8rem}nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;
list-style:none;margin:0;padding:0}
table{display:block;width:max-content;max-width:100%;overflow-x:auto;border-spacing:0;font-size:14px}
td,th{padding:.3rem .5rem;text-align:right;vertical-align:top}th{vertical-align:bottom}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:#fff}
tr+tr>*{border-top:1px solid #eee}tr.main td{background:#eaf3fa}tr.main td:first-child{font-weight:600}
td.domain{padding-left:1.2rem;white-space:nowrap}.range{white-space:nowrap}
.small{color:#666;font-size:13px}pre{white-space:pre-wrap;overflow-wrap:anywhere}summary{cursor:pointer;padding:.2rem 0}
.confusion td{min-width:1.9rem;padding:.3rem .15rem;text-align:center}.confusion th{padding:.3rem .15rem;
font-weight:400;font-size:12px}
.confusion th span{writing-mode:vertical-rl;transform:rotate(180deg)}
.confusion tr>:first-child{padding:.3rem .4rem .3rem 0}
.confusion .zero{color:#bbb}
svg{max-width:100%;font:12px system-ui,sans-serif}.bars{width:440px}.plane{width:336px}
.plane text{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}
.key{margin-right:1rem;display:inline-block}.key i{display:inline-block;width:.8em;height:.8em;margin-right:.35em}
.pair{display:flex;gap:1.5rem;flex-wrap:wrap}.pair>*{max-width:100%}.pair p{max-width:336px;margin:.4rem 0}
.clips{display:grid;grid-template-columns:repeat(auto-fill,minmax(116px,1fr));gap:12px;margin:.6rem 0}
.clip{font-size:12px;line-height:1.25}.clip img{width:100%;border-radius:6px;display:block;margin-bottom:.2rem}
.good{color:#00734f}.bad{color:#b34700}
"""


def document(title: str, lead: str, body: str, style: str = "") -> str:
    """The whole page: title, lead, links to every section of the body, and the body.

    Args:
        title: plain text.
        lead: HTML that stands above the contents.
        body: HTML; each of its `<h2>`, which must have no attributes, is a section and gets an anchor.
        style: more rules.
    """
    links: dict[str, str] = {}

    def anchored(found: re.Match[str]) -> str:
        word = re.sub(r"[^a-z0-9]+", "-", unescape(found[1]).lower()).strip("-") or "section"
        anchor, number = word, 1
        while anchor in links:
            number += 1
            anchor = f"{word}-{number}"
        links[anchor] = found[1]
        return f'<h2 id="{anchor}">{found[1]}</h2>'

    body = re.sub(r"<h2>(.*?)</h2>", anchored, body, flags=re.S)
    contents = "".join(f'<li><a href="#{anchor}">{heading}</a></li>' for anchor, heading in links.items())
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}{style}</style>
<h1>{escape(title)}</h1>
{lead}
<nav aria-label="Contents"><ul>{contents}</ul></nav>
{body}
</html>"""


def made_with(versions: Mapping[str, str]) -> str:
    """`python 3.11.7, torch 2.13.0`, as HTML."""
    return escape(", ".join(f"{name} {version}" for name, version in versions.items()))


def judges_section(results: Mapping[str, Any]) -> str:
    """The page's part: a line a judge from its card, how far the judges agree, and the warnings."""
    cards, kappas = results.get("judges") or {}, results["summary"].get("judges") or {}
    if not cards:  # a results file from before there were cards
        return ""
    lines = "".join(_line(name, card) for name, card in cards.items())
    head = "<th>judge</th><th>kind</th><th>checked on</th><th>n</th><th>accuracy</th><th>ECE</th><th>temperature</th>"
    agree = "".join(f"<li>{escape(pair)}: {_two(kappa)}</li>" for pair, kappa in kappas.items())
    agree = f"<p>Cohen's kappa between judges, over all clips:</p><ul>{agree}</ul>" if agree else ""
    warned = "".join(f'<li class="bad">{escape(line)}</li>' for line in results.get("warnings", ()))
    return (f"<h2>The judges</h2><table><tr>{head}</tr>{lines}</table>{agree}"
            + (f"<ul>{warned}</ul>" if warned else ""))  # fmt: skip


def _line(name: str, card: Mapping[str, Any]) -> str:
    kind = " ".join(dict.fromkeys((card["kind"], Path(card["made_of"]).name)))
    about = f"<td>{escape(name)}</td><td>{escape(kind)}</td>"
    rows = []
    for data, found in card["held_out"].items():
        figure = found["accuracy"]
        interval = "" if figure.get("low") is None else f" [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"
        ece = _two(found.get("ece_before")) + (f" to {_two(found['ece_after'])}" if found.get("ece_after") else "")
        rows.append(f"<tr>{about}<td>{escape(data)}</td><td>{found['n']}</td><td>{100 * figure['value']:.1f}{interval}"
                    f"</td><td>{ece}</td><td>{_two(found.get('temperature'))}</td></tr>")  # fmt: skip
    return "".join(rows) or f"<tr>{about}<td>not checked</td><td></td><td></td><td></td><td></td></tr>"


def _two(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.2f}"
