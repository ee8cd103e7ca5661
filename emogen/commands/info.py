"""`emogen info`: what can be asked for."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

from emogen.emotion import LEXICON, MIKELS, MIKELS_VA, parse_emotion
from emogen.failure import fail


def main(argv: Sequence[str] | None = None) -> int:
    """Print the eight emotions, or the whole lexicon, or how one expression is read."""
    parser = argparse.ArgumentParser(prog="emogen info", description="List emotions, words and the embedded model.")
    parser.add_argument("--lexicon", action="store_true", help="every known word, its reading and its source")
    parser.add_argument("--emotion", metavar="TEXT", help="show how a word, mixture or point is read")
    parser.add_argument("--model", nargs="?", const="embedded", metavar="FOLDER",
                        help="what the embedded model draws, or what a folder holds")  # fmt: skip
    args = parser.parse_args(argv)
    if args.model is not None:
        try:
            _model(args.model)
        except (OSError, ValueError) as error:
            return fail(error, 2)
    elif args.emotion is not None:
        try:
            state = parse_emotion(args.emotion)
        except ValueError as error:
            parser.error(str(error))
        shares = ", ".join(f"{n} {p:.2f}" for n, p in zip(MIKELS, state.distribution, strict=True) if p >= 0.005)
        print(
            f"{args.emotion}: {shares or 'neutral'}; valence {state.valence:+.2f}, arousal {state.arousal:+.2f}, "
            f"intensity {state.intensity:.2f}"
        )
    elif args.lexicon:
        for word in sorted(LEXICON):
            entry = LEXICON[word]
            blend = " + ".join(f"{name} {share:g}" for name, share in entry.blend.items()) or "no emotion"
            print(f"{word:18} {blend} | intensity {entry.intensity:g} | {entry.source}")
    else:
        print("emotion       valence  arousal")
        for name, (valence, arousal) in MIKELS_VA.items():
            print(f"{name:12} {valence:+8.2f} {arousal:+8.2f}")
        print(
            f"neutral      {0:+8.2f} {0:+8.2f}\n\n{len(LEXICON)} words are known (`emogen info --lexicon`); mixtures "
            '(joy:0.7+awe:0.3), strengths (sadness:0.6),\npoints (va:0.8,0.3) and arcs ("0:fear 1:amusement") too.'
        )
        _embedded()
    return 0


def _model(model: str) -> None:
    from emogen.models.text_limit import unknown_words
    from emogen.pipelines.loading import find_model, kind_of

    folder = Path(find_model(model, None))
    if model in ("embedded", "embedded_i2v"):
        from emogen.stickers.repertoire import repertoire

        print("A small model to try emogen with. It draws stickers, and knows no other words than these:\n")
        for name, words in repertoire().items():
            print(textwrap.fill(f"{name}: {'; '.join(words)}", 110, subsequent_indent="    "))
        print('\nSuch as: "a flat sticker of a star-shaped red face wearing a crown on a blue background"')
        return
    if not (folder / "model_index.json").is_file():
        raise FileNotFoundError(f"{folder} is no folder of a model: it has no model_index.json")
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    print(f"{folder}: {index.get('_class_name')}, {kind_of(folder)} to video")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    known = not unknown_words(tokenizer, "a dragon sings in an orchard beneath thunderclouds")
    print(f"its tokenizer has {len(tokenizer):,} pieces" + ("" if known else " and does not know every word"))


def _embedded() -> None:
    from emogen.embedded import embedded_adapter, embedded_model

    for name, find in (("model", embedded_model), ("adapter", embedded_adapter)):
        try:
            print(f"embedded {name}: {find()}")
        except FileNotFoundError as error:
            print(f"embedded {name}: {error}")
