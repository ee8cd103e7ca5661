"""The tokenizer that ComfyUI keeps inside the file of its text encoder: a SentencePiece model, bytes `spiece_model`.

transformers reads such a model with two more packages. The few fields that a unigram tokenizer needs are read here, and
the rest is the library `tokenizers`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_SPACE = "\u2581"  # what SentencePiece writes for a space
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # how a field is stored


@dataclass
class _Model:
    """What is read of a SentencePiece model; the defaults are the format's."""

    pieces: list[tuple[str, float]] = field(default_factory=list)
    unknown: int = 0
    byte_fallback: bool = False
    unigram: bool = True
    charsmap: bytes = b""
    dummy_prefix: bool = True
    remove_extra_spaces: bool = True


def tokenizer_of(content: bytes) -> Any:
    """The tokenizer of a SentencePiece unigram model that closes every text with `</s>`, as UMT5's does.

    Raises:
        ValueError: it is no such model.
    """
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import Unigram
    from transformers import PreTrainedTokenizerFast

    try:
        model = _read(content)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"no SentencePiece model ({error})") from error
    names = {piece: index for index, (piece, _) in enumerate(model.pieces)}
    if not model.unigram or not {"<pad>", "</s>", "<unk>"} <= names.keys():
        raise ValueError("no unigram model with <pad>, </s> and <unk>, as UMT5's is")
    tokenizer = Tokenizer(Unigram(model.pieces, unk_id=model.unknown, byte_fallback=model.byte_fallback))
    steps = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
    if model.remove_extra_spaces:
        steps += [normalizers.Replace(Regex(r"\A +| +\z"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    scheme = "always" if model.dummy_prefix else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme=scheme, split=False)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", names["</s>"])])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )


def _read(content: bytes) -> _Model:
    model = _Model()
    for number, value in _fields(content):
        if number == 1:
            piece, score = "", 0.0
            for inner, what in _fields(value):
                piece = what.decode("utf-8") if inner == 1 else piece
                score = struct.unpack("<f", what)[0] if inner == 2 else score
            model.pieces.append((piece, score))
        elif number == 2:  # how it was trained
            for inner, what in _fields(value):
                model.unigram = what == 1 if inner == 3 else model.unigram
                model.byte_fallback = bool(what) if inner == 35 else model.byte_fallback
                model.unknown = what if inner == 40 else model.unknown
        elif number == 3:  # how texts are normalised
            for inner, what in _fields(value):
                model.charsmap = what if inner == 2 else model.charsmap
                model.dummy_prefix = bool(what) if inner == 3 else model.dummy_prefix
                model.remove_extra_spaces = bool(what) if inner == 4 else model.remove_extra_spaces
    return model


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of every field of a message of protocol buffers: whole numbers as such, others as bytes."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(content, place)
            yield number, value
            continue
        if kind == _BYTES:
            length, place = _varint(content, place)
        else:
            length = {_EIGHT: 8, _FOUR: 4}[kind] if kind in (_EIGHT, _FOUR) else len(content) + 1
        if place + length > len(content):
            raise IndexError("it ends inside a field")
        yield number, content[place : place + length]
        place += length


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
