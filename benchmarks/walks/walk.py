"""A walk: the commands that a newcomer types, typed by a script in a fresh environment, each timed and looked at.

    python benchmarks/walks/artist.py --work FOLDER [--pictures docs/pictures] [--quick]
    python benchmarks/walks/researcher.py --work FOLDER [--pictures docs/pictures] [--quick]
    python benchmarks/walks/comfyui.py --work FOLDER [--quick]

Each prints a table of its commands with seconds by the clock and CPU seconds. `--quick` takes few sampling steps and
few clips: the same commands, in seconds. Screenshots need Chromium; without it a walk goes on and says so.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fresh import ROOT, build, install

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
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
    """Attributes: work: the folder it runs in; programs: of the fresh environment; pictures: where they go, if kept."""

    work: Path
    programs: Path
    quick: bool = False
    pictures: Path | None = None
    steps: list[Step] = field(default_factory=list)

    def type(self, command: str, timeout: float = 3600, counts: bool = True) -> str:
        """Run a command line as it would be typed, and note what it took; returns what it printed.

        Args:
            counts: the newcomer types it; else it is the walk's own look at a result.

        Raises:
            StepFailed: its exit status is not 0.
        """
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        env |= {"PATH": f"{self.programs}{os.pathsep}{env['PATH']}", "TQDM_DISABLE": "1", "CI": "true"}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        made = subprocess.run(["bash", "-c", command], cwd=self.work, env=env, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout)  # fmt: skip
        after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if made.returncode:
            raise StepFailed(f"{command}: exit status {made.returncode}\n{made.stdout[-2000:]}{made.stderr[-4000:]}")
        if counts:
            self.steps.append(Step(command, seconds, cpu))
        with open(self.work.parent / "printed.txt", "a") as log:
            log.write(f"$ {command}\n{made.stdout}{made.stderr}\n")
        return made.stdout

    def made(self, pattern: str, at_least: int = 1) -> list[Path]:
        """The files that a command must have left.

        Raises:
            StepFailed: there are fewer.
        """
        found = sorted(self.work.glob(pattern))
        if len(found) < at_least:
            raise StepFailed(f"{len(found)} files {pattern}; there should be {at_least} or more")
        return found

    def keep(self, picture: Path, name: str, width: int = 600, quality: int = 32) -> None:
        """Keep a picture for the documents, small, as WebP."""
        if self.pictures is None:
            return
        from PIL import Image

        self.pictures.mkdir(parents=True, exist_ok=True)
        image = Image.open(picture).convert("RGB")
        if image.width > width:
            image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
        image.save(self.pictures / name, quality=quality, method=6)
        print(f"{self.pictures / name}: {(self.pictures / name).stat().st_size / 1024:.0f} KiB")

    def look(self, page: Path | str, name: str, size: tuple[int, int] = (1280, 900), width: int = 600) -> bool:
        """A screenshot of a page in headless Chromium, kept as a small picture; whether there is a browser."""
        browser = next(filter(None, map(shutil.which, BROWSERS)), None)
        if browser is None or self.pictures is None:
            if self.pictures is not None:
                print(f"no browser ({', '.join(BROWSERS)}): {name} is not made")
            return False
        with tempfile.TemporaryDirectory() as folder:
            shot = Path(folder) / "shot.png"
            quiet = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
                     "--disable-sync", "--no-first-run", "--hide-scrollbars"]  # fmt: skip
            address = page if isinstance(page, str) else page.resolve().as_uri()
            command = [browser, "--headless", "--no-sandbox", *quiet, f"--user-data-dir={folder}/profile",
                       f"--screenshot={shot}", f"--window-size={size[0]},{size[1]}", address]  # fmt: skip
            subprocess.run(command, capture_output=True, timeout=180)
            if not shot.is_file():
                raise StepFailed(f"{browser} made no picture of {address}")
            self.keep(shot, name, width=width)
        return True

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
    walk = prepare(args.work.resolve(), quick=args.quick, pictures=args.pictures and args.pictures.resolve())
    walk_on(walk)
    print(walk.table())
    print(f"what the commands printed: {walk.work.parent / 'printed.txt'}")
    return 0
