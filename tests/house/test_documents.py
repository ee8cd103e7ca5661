"""What the documents say exists: commands and their flags, links and anchors, imported names, quoted messages."""

import ast
import importlib
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from document_commands import FENCE, ROOT, check, commands_in, documents

from emogen.extras import how_to_install

NAMES = [path.relative_to(ROOT).as_posix() for path in documents()]


@pytest.mark.parametrize("name", NAMES)
def test_commands_are_such_as_the_programs_read(name):
    wrong = {line: found for line in commands_in((ROOT / name).read_text()) if (found := check(line))}
    assert not wrong, "\n".join(f"{line}\n    {found}" for line, found in wrong.items())


@pytest.mark.parametrize(("line", "said"), [
    ("python sample.py --emotions joy --prompt x", "unrecognized arguments"), ("emogen evaluate", "no command"),
    ("python nothing.py", "no file"), ("python -m emogen.nothing", "no module"),
    ('pip install -e ".[all]"', "no extra"), ("docker build -f nothing .", "no file"),
    ("accelerate launch --quite train_lora.py", "--quite"),
    ("accelerate launch train_lora.py --config configs/embedded_t2v.yaml --steps_ 3", "unknown key"),
    ("torchrun --nproc_per_node 2 -m emogen.eval --config x --output x", "unrecognized"),
    ("emogen data label set --annotator ann", "unrecognized"), ("emogen convert a b --to c", "invalid choice"),
])  # fmt: skip
def test_a_wrong_command_is_seen(line, said):
    """A check of the check."""
    assert said in (check(line) or "")


def slug(heading):
    """The anchor that a heading gets."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text))


def anchors(path):
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), flags=re.M)}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    path = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", path.read_text())):
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{target}: no such file"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{target}: no such heading"


@pytest.mark.parametrize("name", NAMES)
def test_blocks_of_code_are_code(name):
    """Python imports names that are there; YAML can be read."""
    for language, block in FENCE.findall((ROOT / name).read_text()):
        block = textwrap.dedent(block)
        if language == "yaml":
            yaml.safe_load(block)
        elif language == "python":
            try:
                tree = ast.parse(block)
            except SyntaxError:  # a line of a dictionary
                tree = ast.parse(f"{{{block}}}")
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module.startswith("emogen"):
                    module = importlib.import_module(node.module)
                    missing = [a.name for a in node.names if not hasattr(module, a.name)]
                    assert not missing, f"{node.module} has no {', '.join(missing)}"


def strings():
    """Every text of the source; where something is put in, a text says …."""
    for folder in ("emogen", "pipelines", "eval"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_messages_of_the_troubleshooting_page_are_said():
    page = (ROOT / "docs/troubleshooting.md").read_text()
    quoted = re.findall(r"^### .*?`(.+)`$", page, flags=re.M)
    assert len(quoted) > 30
    source = "\n".join(strings())
    for message in quoted:
        for part in filter(None, (part.strip() for part in message.split("…"))):
            assert part in source, f"nothing says {part!r} (of {message!r})"


def test_the_readme_reads_in_three_minutes():
    """Words of its prose, at 230 a minute; tables and code are looked at, not read."""
    text = FENCE.sub("", (ROOT / "README.md").read_text())
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
    assert sum(any(map(str.isalpha, word)) for word in prose.split()) <= 3 * 230


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason=f"the site needs mkdocs: {how_to_install('docs')}")
    pytest.importorskip("material", reason=f"the site needs mkdocs-material: {how_to_install('docs')}")
    pytest.importorskip("mkdocstrings", reason=f"the site needs mkdocstrings: {how_to_install('docs')}")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    made = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    page = (tmp_path / "site/reference/pipelines.html").read_text()
    assert "EmotionWanPipeline" in page and "emotion_scale" in page
    assert (tmp_path / "site/embedded_model.html").is_file(), "a file of the repository became no page"
    loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(https?://[^\"]+)", page)
    assert not loaded, "the pages load nothing from another machine"


def test_every_page_stands_in_the_menu():
    text = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    listed = set(re.findall(r"[\w/]+\.md", text))
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert there <= listed, f"not in the menu of mkdocs.yml: {sorted(there - listed)}"
    assert all(Path(name).suffix == ".md" for name in listed)
