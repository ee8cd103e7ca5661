"""Commands that documents tell people to type, and what the programs' own parsers say of them."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import inspect
import io
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from emogen.extras import EXTRAS

ROOT = Path(__file__).parents[2]
PROGRAMS = ("python", "python3", "py", "pip", "uv", "conda", "docker", "emogen", "accelerate", "torchrun", "mkdocs",
            "npm", "pytest", "sbatch", "ruff")  # fmt: skip
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*?$", flags=re.M | re.S)
"""(language, text) of a fenced block."""


def documents() -> list[Path]:
    """Every Markdown file that people read."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "emogen/embedded/README.md"]
    return sorted(found + list((ROOT / "comfyui").rglob("*.md")))


def commands_in(text: str) -> Iterator[str]:
    """Command lines of shell blocks (continued lines joined), and of spans of code in prose and tables."""
    for language, block in FENCE.findall(text):
        if language in ("", "bash", "console", "sh"):
            yield from filter(is_command, (plain(line) for line in block.replace("\\\n", " ").splitlines()))
    prose = FENCE.sub("", text)
    for span in re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", prose):
        if is_command(span) and len(span.split()) > 1:
            yield " ".join(span.split()) + " --help" * is_name(span)


def is_name(span: str) -> bool:
    """Whether prose only names a command, so that all to be asked is whether there is one that can explain itself."""
    words = span.split()
    named = (words[0] in ("emogen", "accelerate") and len(words) <= 3) or words[:2] == ["python", "-m"]
    return named and not any(word.startswith("--") for word in words)


def plain(line: str) -> str:
    """Without the prompt of a console."""
    return line.strip().removeprefix("$ ")


def is_command(line: str) -> bool:
    """Whether a line begins with a program that is known here (`... && ...` and `# notes` may follow)."""
    words = line.split()
    return bool(words) and words[0] in PROGRAMS


def check(line: str) -> str | None:
    """What is wrong with a command line, or None. Nothing of it is run: only the programs' parsers read it."""
    for part in re.split(r"\s&&\s", line):
        # In lists of steps a remark stands behind the command, set off by spaces.
        typed = re.sub(r"\[(--[^\]]+)\]", r"\1", re.split(r"\s{3,}(?=[a-z(])", part)[0])  # brackets: may be left out
        words = shlex.split(typed, comments=True)
        if words and (wrong := check_words(words)):
            return wrong
    return None


def check_words(words: list[str]) -> str | None:
    program, rest = words[0], words[1:]
    if program in ("pip", "uv"):
        return check_extras(rest)
    if program == "docker":
        files = [rest[index + 1] for index, word in enumerate(rest) if word == "-f"]
        return next((f"no file {file}" for file in files if not (ROOT / file).is_file()), None)
    if program in ("conda", "npm", "pytest", "ruff", "mkdocs", "sbatch"):
        scripts = [word for word in rest if word.endswith(".sh")]
        return next((f"no file {file}" for file in scripts if not (ROOT / file).is_file()), None)
    if program == "accelerate":
        return check_launch(rest)
    if program == "torchrun":
        if not any(word.endswith(".py") or word == "-m" for word in rest):
            return None  # prose names the launcher and its options
        from torch.distributed.run import get_args_parser

        return parsed(lambda: get_args_parser().parse_args(rest), rest, follow=True)
    if program == "emogen":
        return None if rest[:1] in ([], ["--help"], ["--version"]) else check_main("emogen.cli", rest)
    if rest[:1] == ["-m"]:
        return None if rest[1] in ("venv", "pip") else check_module(rest[1], rest[2:])
    if not rest or rest[0] == "-c":
        return compiled(rest[1]) if rest else None
    return check_script(rest[0], rest[1:])


def check_extras(words: list[str]) -> str | None:
    """Of `pip install`: extras are the project's."""
    for word in words:
        extras = re.fullmatch(r"\.\[([\w,]+)\]", word)
        if extras and (unknown := set(extras[1].split(",")) - set(EXTRAS)):
            return f"no extra {', '.join(sorted(unknown))}"
    return None


def check_launch(words: list[str]) -> str | None:
    if words[:1] != ["launch"]:
        return None
    from accelerate.commands.launch import launch_command_parser

    return parsed(lambda: launch_command_parser().parse_args(words[1:]), words, follow=True)


def parsed(parse, words: list[str], follow: bool = False) -> str | None:
    """What a parser says; with `follow`, what the parser of the script that it launches says."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            found = parse()
    except SystemExit as left:
        return None if left.code in (0, None) else said.getvalue().strip().splitlines()[-1]
    if not follow:
        return None
    config = getattr(found, "config_file", None)
    if config and not (ROOT / config).is_file():
        return f"no file {config}"
    script, arguments = found.training_script, found.training_script_args
    return check_module(script, arguments) if found.module else check_script(script, arguments)


def check_script(script: str, arguments: list[str]) -> str | None:
    if not (ROOT / script).is_file():
        return f"no file {script}"
    if script == "train_lora.py":
        return check_training(arguments)
    if script == "sample.py":
        return check_main("emogen.commands.sample", arguments)
    spec = importlib.util.spec_from_file_location(f"_document_{Path(script).stem}", ROOT / script)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str((ROOT / script).parent))
    try:
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return called(module.main, arguments, script)
    finally:
        sys.path.pop(0)


def check_module(name: str, arguments: list[str]) -> str | None:
    if name.endswith((".sh", ".py")):
        return check_script(name, arguments)
    if name.startswith("recipe") and str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    try:
        is_package = importlib.util.find_spec(name).submodule_search_locations is not None
    except (ImportError, AttributeError):
        return f"no module {name}"
    return check_main(f"{name}.__main__" if is_package else name, arguments)


def check_main(name: str, arguments: list[str]) -> str | None:
    if name == "emogen.cli" and arguments[:1] == ["train"]:
        return check_training(arguments[1:])
    module = importlib.import_module(name)
    home = sys.modules[module.main.__module__]  # `__main__` may have its main from another file
    if name != "emogen.cli" and "pars" not in Path(home.__file__).read_text():
        return None if not arguments or arguments == ["--help"] else f"{name} takes no arguments"
    return called(module.main, arguments, name)


def check_training(arguments: list[str]) -> str | None:
    """Flags of a training are the keys of its configuration, so that is what reads them."""
    from emogen.settings import ConfigError
    from emogen.training.config import load_config

    words = [word for word in arguments if word != "--dry_run"]
    if "--config" not in words:
        return "a training needs --config"
    at = words.index("--config")
    config = words[at + 1]
    if config == "...":
        return None
    try:
        load_config(ROOT / config, [word for word in words[:at] + words[at + 2 :] if word != "..."])
    except ConfigError as error:
        return str(error)
    return None


class Read(Exception):
    """The command line was read; nothing of it is to be done."""


def called(main, arguments: list[str], name: str) -> str | None:
    """What the parser inside of a `main` says of the arguments; the function gets no further than that."""
    original = argparse.ArgumentParser.parse_known_args

    def read(self, args=None, namespace=None):
        original(self, args, namespace)
        raise Read

    said, argv = io.StringIO(), sys.argv
    strict = argparse.ArgumentParser.parse_args

    def read_strictly(self, args=None, namespace=None):
        _, left = original(self, args, namespace)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        raise Read

    argparse.ArgumentParser.parse_args, argparse.ArgumentParser.parse_known_args = read_strictly, read
    sys.argv = [name, *arguments]
    subparsers = argparse._SubParsersAction.__call__

    def of_a_part(self, parser, namespace, values, option_string=None):
        # A part's own parser is asked through parse_known_args: let it answer.
        argparse.ArgumentParser.parse_known_args = original
        try:
            subparsers(self, parser, namespace, values, option_string)
        finally:
            argparse.ArgumentParser.parse_known_args = read

    argparse._SubParsersAction.__call__ = of_a_part
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            status = main(arguments) if inspect.signature(main).parameters else main()
    except Read:
        return None
    except SystemExit as left:
        return None if left.code in (0, None) else (said.getvalue().strip() or str(left.code)).splitlines()[-1]
    finally:
        argparse.ArgumentParser.parse_args, argparse.ArgumentParser.parse_known_args = strict, original
        argparse._SubParsersAction.__call__ = subparsers
        sys.argv = argv
    return None if status in (None, 0) else said.getvalue().strip().splitlines()[-1]


def compiled(code: str) -> str | None:
    try:
        compile(code, "document", "exec")
    except SyntaxError as error:
        return f"no Python: {error}"
    return None
