"""A walk: the commands that a newcomer types, typed by a script in a fresh environment, each timed and looked at.

    python benchmarks/walks/artist.py --work FOLDER [--pictures docs/pictures] [--quick]
    python benchmarks/walks/researcher.py --work FOLDER [--pictures docs/pictures] [--quick]
    python benchmarks/walks/comfyui.py --work FOLDER [--pictures docs/pictures] [--quick]
    python benchmarks/walks/studio.py --work FOLDER [--pictures docs/pictures] [--quick]

Three read their commands from the tutorials of docs/tutorials; the page's presses what a person presses. Each prints a
table of its commands with seconds by the clock and CPU seconds. `--quick` takes few sampling steps and few clips: the
same commands, in seconds. What is made is looked at in headless Chromium; without it a walk goes on and says so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fresh import ROOT, build, install
from headless import PATIENCE, NoBrowser, open_browser, port_answers
from PIL import Image

INSTALLING = 4
"""Commands of the README from a checkout to an installed package: environment, its activation, torch, emogen."""


class StepFailed(RuntimeError):
    """A command of the walk failed; the message ends with what it said."""


@dataclass
class Step:
    """A command, seconds by the clock, CPU seconds."""

    command: str
    seconds: float
    cpu: float


@dataclass
class Walk:
    """Attributes: work: the folder it runs in; programs: of the fresh environment; pictures: where they go, if kept;
    left_out: what could not be done here, each with the program that is absent; window: a browser to use, if lent."""

    work: Path
    programs: Path
    quick: bool = False
    pictures: Path | None = None
    steps: list[Step] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    window: Any = None
    _opened: bool = False

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, *error: object) -> None:
        if self._opened:
            self.window.quit()
            self.window, self._opened = None, False

    def browser(self) -> Any:
        """Headless Chromium, the same one till the walk ends.

        Raises:
            NoBrowser: there is none.
        """
        if self.window is None:
            self.window, self._opened = open_browser(1280, 1000), True
        return self.window

    def environment(self) -> dict[str, str]:
        """That of the commands: the fresh programs first."""
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return env | {"PATH": f"{self.programs}{os.pathsep}{env['PATH']}", "TQDM_DISABLE": "1", "CI": "true"}

    def type(self, command: str, timeout: float = 3600, counts: bool = True) -> str:
        """Run a command line as it would be typed, and note what it took; returns what it printed.

        Args:
            counts: the newcomer types it; else it is the walk's own look at a result.

        Raises:
            StepFailed: its exit status is not 0.
        """
        before, start = _children(), time.monotonic()
        made = subprocess.run(["bash", "-c", command], cwd=self.work, env=self.environment(), capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=timeout)  # fmt: skip
        seconds, cpu = time.monotonic() - start, _children() - before
        if made.returncode:
            raise StepFailed(f"{command}: exit status {made.returncode}\n{made.stdout[-2000:]}{made.stderr[-4000:]}")
        if counts:
            self.steps.append(Step(command, seconds, cpu))
        with open(self.work.parent / "printed.txt", "a") as log:
            log.write(f"$ {command}\n{made.stdout}{made.stderr}\n")
        return made.stdout

    @contextlib.contextmanager
    def serving(self, command: Sequence[str | Path], port: int, log: str) -> Iterator[str]:
        """While open, a command serves; gives its address. It and all that it has started are ended afterwards.

        Args:
            log: what it says goes into this file of the walk's folder.

        Raises:
            StepFailed: it ended, or did not listen in time.
        """
        import psutil

        said = self.work.parent / log
        before, start = _children(), time.monotonic()
        with open(said, "w") as file:
            server = subprocess.Popen(list(map(str, command)), cwd=self.work, env=self.environment(), stdout=file,
                                      stderr=file, stdin=subprocess.DEVNULL)  # fmt: skip
        try:
            while not port_answers(port):
                if server.poll() is not None or time.monotonic() - start > PATIENCE:
                    raise StepFailed(f"{command[0]} does not serve: {said.read_text()[-3000:]}")
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                family = psutil.Process(server.pid).children(recursive=True)
                server.terminate()
                for process in psutil.wait_procs([*family, psutil.Process(server.pid)], timeout=20)[1]:
                    process.kill()
            server.wait(60)
        self.steps.append(Step(" ".join(map(str, command)), time.monotonic() - start, _children() - before))

    def made(self, pattern: str, at_least: int = 1) -> list[Path]:
        """The files that a command must have left.

        Raises:
            StepFailed: there are fewer.
        """
        found = sorted(self.work.glob(pattern))
        if len(found) < at_least:
            raise StepFailed(f"{len(found)} files {pattern}; there should be {at_least} or more")
        return found

    def keep(self, picture: Path | Image.Image, name: str, width: int = 600, quality: int = 32) -> None:
        """Keep a picture for the documents, small, as WebP."""
        if self.pictures is None:
            return
        self.pictures.mkdir(parents=True, exist_ok=True)
        image = (Image.open(picture) if isinstance(picture, Path) else picture).convert("RGB")
        if image.width > width:
            image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
        image.save(self.pictures / name, quality=quality, method=6)
        print(f"{self.pictures / name}: {(self.pictures / name).stat().st_size / 1024:.0f} KiB")

    def strip(self, clips: Sequence[Path], name: str, frames: int = 6, side: int = 96) -> None:
        """Keep some frames of clips, a row a clip. Each must move.

        Raises:
            StepFailed: a clip's frames are all alike.
        """
        sheet = Image.new("RGB", (frames * side, len(clips) * side), "white")
        for row, path in enumerate(clips):
            clip = Image.open(path)
            shown = []
            for column in range(frames):
                clip.seek(round(column * (clip.n_frames - 1) / (frames - 1)))
                shown.append(clip.convert("RGB").resize((side, side)))
                sheet.paste(shown[-1], (column * side, row * side))
            if all(frame.tobytes() == shown[0].tobytes() for frame in shown):
                raise StepFailed(f"{path.name} does not move")
        self.keep(sheet, name)

    def look(self, page: Path, name: str, says: str) -> None:
        """Open a page in headless Chromium, and keep a small picture of its first screen.

        Raises:
            StepFailed: it does not say what it should, is wider than the screen, or its script failed.
        """
        try:
            browser = self.browser()
        except NoBrowser as error:
            self.left_out.append(f"{page.name} was not opened: {error}")
            return
        browser.set_window_size(1280, 1000)
        browser.get(page.resolve().as_uri())
        text = browser.find_element("css selector", "body").text
        wide = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
        wrong = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        if says not in text or wide > 0 or wrong:
            raise StepFailed(
                f"{page}: {says!r} is {'' if says in text else 'not '}there, {wide} pixels too wide, {wrong}"
            )
        shot = self.work.parent / f"{Path(name).stem}.png"
        browser.save_screenshot(str(shot))
        self.keep(shot, name)

    def table(self) -> str:
        """The steps, as Markdown."""
        lines = ["| | command | seconds | CPU seconds |", "|---|---|---:|---:|"]
        lines += [
            f"| {number} | `{step.command}` | {step.seconds:.0f} | {step.cpu:.0f} |"
            for number, step in enumerate(self.steps, 1)
        ]
        seconds, cpu = sum(step.seconds for step in self.steps), sum(step.cpu for step in self.steps)
        lines.append(f"| | {INSTALLING} to install, {len(self.steps)} here | {seconds:.0f} | {cpu:.0f} |")
        return "\n".join(lines)


def _children() -> float:
    """CPU seconds of the processes that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


@dataclass(frozen=True)
class Told:
    """A step of a tutorial: a command line to type, or a file to save (`name`) with its text."""

    text: str
    name: str = ""


def told(page: str) -> Iterator[Told]:
    """The steps of docs/tutorials/PAGE.md in order: lines of its `bash` blocks, and blocks with `title="FILE"`."""
    text = (ROOT / f"docs/tutorials/{page}.md").read_text(encoding="utf-8")
    for language, title, block in re.findall(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', text, flags=re.M | re.S):
        if title:
            yield Told(block, title)
        elif language == "bash":
            for line in filter(None, re.sub(r"\\\n\s*", "", block).splitlines()):
                yield Told(line)


def prepare(work: Path, programs: Path | None = None, **options: object) -> Walk:
    """A walk in a folder that holds what a checkout has for people to run; its environment is made unless given."""
    work.mkdir(parents=True, exist_ok=True)
    if programs is None:
        made = work / "environment"
        made.mkdir()
        _, wheel = build(made)
        programs = install(wheel, made)
    here = work / "checkout"
    here.mkdir()
    for name in ("configs", "examples", "comfyui"):
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("sample.py", "train_lora.py"):
        shutil.copy(ROOT / name, here)
    return Walk(here, programs, **options)


def command_line(about: str, walk_on, argv: Sequence[str] | None = None) -> int:
    """The command line of a walk."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="a new folder")
    parser.add_argument("--pictures", type=Path, help="keep screenshots here")
    parser.add_argument("--quick", action="store_true", help="few steps and clips")
    args = parser.parse_args(argv)
    options = {"quick": args.quick, "pictures": args.pictures and args.pictures.resolve()}
    with prepare(args.work.resolve(), **options) as walk:
        walk_on(walk)
    print(walk.table())
    for reason in walk.left_out:
        print(f"left out: {reason}")
    print(f"what the commands printed: {walk.work.parent / 'printed.txt'}")
    return 0
