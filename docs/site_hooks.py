"""What the documentation site needs beyond `docs/`, done as MkDocs builds it.

Files that belong elsewhere in the repository (a model's card, the list of changes) become pages; links to files outside
of `docs/` lead to those pages, or are shown as the file's name. And mkdocstrings is given the package laid out as it is
installed, where `pipelines/` and `eval/` stand inside `emogen`.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
PAGES = {
    "embedded_model.md": "emogen/embedded/README.md",
    "changes.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "comfyui.md": "comfyui/README.md",
}
"""Pages of the site and the files of the repository that they are; a file that is not there makes no page."""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_layout = tempfile.TemporaryDirectory(prefix="emogen-docs-")


@event_priority(100)
def on_config(config):
    """Give mkdocstrings the package as it is installed, before it reads its settings."""
    home = Path(_layout.name) / "emogen"
    python = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.json", "*.csv", "*.yaml")
    for source, target in (("emogen", home), ("pipelines", home / "pipelines"), ("eval", home / "eval")):
        shutil.copytree(ROOT / source, target, ignore=python, dirs_exist_ok=True)
    config.plugins["mkdocstrings"].config["handlers"]["python"]["paths"] = [_layout.name]
    return config


def on_files(files, config):
    """Add the pages that are files of the repository."""
    for page, source in PAGES.items():
        if (ROOT / source).is_file():
            files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown, page, config, files):
    """Lead links that leave `docs/` to a page, where there is one, and show the file's name where there is none."""
    at = ROOT / PAGES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    pages = {source: name for name, source in PAGES.items()}

    def led(match):
        picture, text, target, anchor = match.groups(default="")
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = os.path.relpath(os.path.normpath(at.parent / target), ROOT).replace(os.sep, "/")
        if path.startswith("docs/"):
            wanted = path.removeprefix("docs/")
        elif path in pages:
            wanted = pages[path]
        elif (ROOT / path).exists() and not picture:
            return f"{text} (`{path}`)"
        else:
            return match[0]  # MkDocs says that it leads nowhere
        here = os.path.dirname(page.file.src_uri)
        return f"{picture}[{text}]({os.path.relpath(wanted, here or '.').replace(os.sep, '/')}{anchor})"

    parts = re.split(r"(^```.*?^```\s*?$)", markdown, flags=re.M | re.S)
    return "".join(part if part.startswith("```") else _LINK.sub(led, part) for part in parts)
