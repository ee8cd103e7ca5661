"""What a person reads to follow one training step and one sampling call: files and lines, counted by running both.

    python -m benchmarks.reading                  # this tree
    python -m benchmarks.reading --tree ../other  # another checkout of it

A file counts when one of its functions ran, or when an object of one of its classes was in the hands of one that did
(a configuration, a batch). The step is the second of a run of the embedded model, from `Trainer.train_step` to the
optimizer's update, and the file of `Trainer.fit`, which calls it. The call is the second of `EmotionWanPipeline` with
an emotion; the command is `sample.py` from its words to the written clip. Log lines, validation and checkpoints are not
in it, and neither is what is done once before.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

PROMPT = "a flat sticker of a round yellow face"
_ROOMS = ("emogen", "pipelines", "eval")


class Reading:
    """Watches which functions of a tree run while it is entered.

    Args:
        tree: the root of a checkout.
    """

    def __init__(self, tree: Path):
        self._tree = tree
        self._files: dict[str, str | None] = {}  # as Python names a file -> its place in the tree
        self.ran: dict[str, set[CodeType]] = {}
        self.held: set[str] = set()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        sys.setprofile(self._see)
        try:
            yield
        finally:
            sys.setprofile(None)

    def add(self, function: Callable[..., Any]) -> None:
        """Count a function that is not watched itself."""
        code = inspect.unwrap(function).__code__
        self.ran.setdefault(self._place(code.co_filename) or code.co_filename, set()).add(code)

    def _see(self, frame: FrameType, event: str, _: Any) -> None:
        if event not in ("call", "return"):
            return
        place = self._place(frame.f_code.co_filename)
        if place is None or frame.f_code.co_name == "<module>":
            return
        self.ran.setdefault(place, set()).add(frame.f_code)
        if event == "return":
            for value in list(frame.f_locals.values()):
                module = sys.modules.get(type(value).__module__)
                owner = self._place(getattr(module, "__file__", None) or "")
                if owner is not None:
                    self.held.add(owner)

    def _place(self, file: str) -> str | None:
        if file not in self._files:
            path = Path(file)
            inside = path.is_absolute() and path.is_relative_to(self._tree)
            place = path.relative_to(self._tree) if inside else None
            self._files[file] = place.as_posix() if place is not None and place.parts[0] in _ROOMS else None
        return self._files[file]

    def table(self) -> list[dict[str, Any]]:
        """A row a file: its lines, and the lines of its functions that ran (0: only its objects were in hand)."""
        rows = []
        for place in sorted(self.ran.keys() | self.held):
            lines = len((self._tree / place).read_text(encoding="utf-8").splitlines())
            used: set[int] = set()
            for code in self.ran.get(place, ()):
                numbers = [line for _, _, line in code.co_lines() if line]
                used.update(range(min(numbers), max(numbers) + 1))
            rows.append({"file": place, "lines": lines, "ran": len(used)})
        return rows


def training_step(tree: Path) -> Reading:
    """The second step of a run of the embedded model."""
    from emogen.training import run as training
    from emogen.training.config import load_config
    from emogen.training.trainer import Trainer

    reading, step, count = Reading(tree), Trainer.train_step, 0

    def watched(self: Trainer) -> Any:
        nonlocal count
        count += 1
        if count != 2:
            return step(self)
        with reading.watching():
            return step(self)

    with tempfile.TemporaryDirectory() as folder:
        words = f"--output_dir {folder} --num_stickers 18 --train_batch_size 4 --max_train_steps 2 --cpu true"
        words += " --logging_steps 9 --validation_steps 0"
        config = load_config(tree / "configs" / "embedded_t2v.yaml", words.split())
        Trainer.train_step = watched
        try:
            training.run(config)
        finally:
            Trainer.train_step = step
    reading.add(Trainer.fit)
    return reading


def sampling_call(tree: Path) -> Reading:
    """The second call of a pipeline with an emotion."""
    from emogen import embedded_adapter, embedded_model
    from emogen.pipelines import EmotionWanPipeline

    pipe = EmotionWanPipeline.from_pretrained(embedded_model())
    pipe.load_emotion_adapter(embedded_adapter())
    pipe(PROMPT, emotion="joy", num_inference_steps=1)
    reading = Reading(tree)
    with reading.watching():
        pipe(PROMPT, emotion="joy", num_inference_steps=2)
    return reading


def sampling_command(tree: Path) -> Reading:
    """`sample.py`, from its words to the written clip."""
    from emogen.commands.sample import main

    reading = Reading(tree)
    with tempfile.TemporaryDirectory() as folder:
        words = ["--prompt", PROMPT, "--emotion", "joy", "--num_inference_steps", "2"]
        words += ["--output", str(Path(folder) / "clip.mp4")]
        with reading.watching():
            main(words)
    return reading


WALKS = {"training step": training_step, "sampling call": sampling_call, "sample.py": sampling_command}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[1], help="the root of a checkout")
    parser.add_argument("--walk", choices=list(WALKS), action="append", help="default: all")
    parser.add_argument("--as_json", action="store_true", help="print one walk's rows as JSON")
    given = parser.parse_args()
    tree = given.tree.resolve()
    if given.as_json:
        _prefer(tree)
        with contextlib.redirect_stdout(sys.stderr):
            rows = WALKS[given.walk[0]](tree).table()
        print(json.dumps(rows))
        return
    for walk in given.walk or WALKS:  # each in a process of its own: nothing is warm that a walk does not warm
        words = [sys.executable, __file__, "--tree", str(tree), "--walk", walk, "--as_json"]
        made = subprocess.run(words, capture_output=True, text=True)
        if made.returncode:
            sys.exit(made.stderr)
        rows = json.loads(made.stdout.splitlines()[-1])
        total, ran = (sum(row[key] for row in rows) for key in ("lines", "ran"))
        print(f"{walk}: {len(rows)} files of {total:,} lines, {ran:,} of them in functions that ran")
        for row in rows:
            print(f"  {row['file']:<44}{row['lines']:>5}{row['ran']:>6}")


def _prefer(tree: Path) -> None:
    """Import emogen from a tree, whatever is installed; `pipelines/` and `eval/` stand at its top."""
    sys.path.insert(0, str(tree))
    import emogen

    emogen.__path__ = [str(tree / "emogen"), str(tree)]


if __name__ == "__main__":
    main()
