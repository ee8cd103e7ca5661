"""The `emogen` command: one subcommand a module of `emogen.commands`, imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "sample": ("emogen.commands.sample", "make a clip with an emotion"),
    "train": ("emogen.commands.train", "train an emotion adapter and a LoRA (as train_lora.py)"),
    "convert": ("emogen.commands.convert", "write a LoRA or a model for diffusers, ComfyUI or DiffSynth-Studio"),
    "eval": ("emogen.eval.__main__", "compare systems: emotion agreement, content, motion, with intervals and a page"),
    "controls": ("emogen.eval.controls.__main__", "measure what intensity, blends, the plane and arcs do"),
    "sanity": ("emogen.eval.sanity.__main__", "does the evaluation see what is wrong with a clip?"),
    "data": ("emogen.commands.data", "from a folder of clips or films to a labelled data set"),
    "analyze": ("emogen.commands.analyze", "what a labelled set says of emotion, with intervals, as a page"),
    "judge": ("emogen.commands.judge", "fit a judge to labelled clips, or measure one"),
    "study": ("emogen.eval.study.__main__", "a blind study with people, from the clips of an evaluation"),
    "studio": ("emogen.commands.studio", "a local page: click an emotion, make clips, see how a judge reads them"),
    "info": ("emogen.commands.info", "list emotions, words and the embedded model"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: emogen COMMAND [options]\n\nVideo models that feel. Commands:")
        for name, (_, purpose) in COMMANDS.items():
            print(f"  {name:8} {purpose}")
        print("\n`emogen COMMAND --help` explains one.")
        return 0
    if arguments[0] in ("-V", "--version"):
        from emogen import __version__

        print(f"emogen {__version__}")
        return 0
    if arguments[0] not in COMMANDS:
        print(f"emogen: no command {arguments[0]!r}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    return importlib.import_module(COMMANDS[arguments[0]][0]).main(arguments[1:])


if __name__ == "__main__":
    raise SystemExit(main())
