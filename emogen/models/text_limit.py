"""What a text encoder reads of a text: its tokens up to a limit, what falls off, and words that it does not know."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WORD_END = re.compile(r"\S(?=\s|$)|[\u2e80-\U0003ffff]")
"""Where a text may be cut: after a word, and after any character of a script that writes without spaces."""


_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


def unknown_words(tokenizer: Any, text: str) -> tuple[str, ...]:
    """The words of a text that a tokenizer does not know: its unknown token stands for them, or for a part of them.

    The published Wan models' tokenizer knows nearly all, a small model's only those of its captions. Of each word once,
    in the text's order; none where the tokenizer is None or has no unknown token.
    """
    unknown = getattr(tokenizer, "unk_token_id", None)
    if unknown is None:
        return ()
    words = dict.fromkeys(_WORD.findall(text))
    return tuple(word for word in words if unknown in tokenizer(word, add_special_tokens=False)["input_ids"])


@dataclass(frozen=True)
class FittedText:
    """A text of which the encoder reads every word.

    Attributes:
        text: with the sentence at its end, if there is one.
        tokens: of the whole text before it was cut.
        lost: what does not fit, "" if nothing.
    """

    text: str
    tokens: int
    lost: str


class TextLimit:
    """Counts tokens as the Wan pipelines do: after their cleaning of the text, the end mark included.

    Args:
        tokenizer: the model's own.
        limit: tokens that the text encoder reads (`max_sequence_length`).
    """

    def __init__(self, tokenizer: Any, limit: int):
        from diffusers.pipelines.wan.pipeline_wan import prompt_clean

        self.limit = limit
        self._tokenizer = tokenizer
        self._clean: Callable[[str], str] = prompt_clean

    @classmethod
    def from_folder(cls, model: Path, limit: int) -> TextLimit:
        """With the tokenizer of a model's folder."""
        from transformers import AutoTokenizer

        return cls(AutoTokenizer.from_pretrained(model / "tokenizer"), limit)

    def count(self, text: str) -> int:
        """Tokens of the whole text, beyond the limit too."""
        return len(self._tokenizer(self._clean(text), truncation=False, verbose=False)["input_ids"])

    def fit(self, text: str, sentence: str = "") -> FittedText:
        """The text with a sentence after it, cut between words, before the sentence, to what the encoder reads. A text
        that fits is kept to the character.

        Raises:
            ValueError: the sentence alone is too long.
        """
        whole = f"{text.rstrip()} {sentence}".strip() if sentence else text
        tokens = self.count(whole)
        if tokens <= self.limit:
            return FittedText(whole, tokens, "")
        alone = self.count(sentence)
        if sentence and alone > self.limit:
            raise ValueError(
                f"the sentence {sentence!r} has {alone} tokens and the text encoder reads {self.limit}; "
                "raise max_sequence_length, or leave the sentence out"
            )
        ends = [0, *(match.end() for match in _WORD_END.finditer(text))]

        def cut(index: int) -> str:
            return f"{text[: ends[index]].rstrip(' ,;:')} {sentence}".strip()

        low, high = 0, len(ends) - 1
        while low < high:  # the longest part that fits
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.count(cut(middle)) <= self.limit else (low, middle - 1)
        return FittedText(cut(low), tokens, text[ends[low] :].strip())


def fit_prompts(
    tokenizer: Any, limit: int, prompts: Sequence[str], sentences: Sequence[str] | None = None
) -> list[str]:
    """Prompts with a sentence after each ("" for none), so that the encoder reads every sentence; warns of what it does
    not read, and of words that the tokenizer does not know. Prompts without a sentence come back as they are: the
    encoder itself leaves off what is too long.

    Args:
        tokenizer: the pipeline's; None (prompts embedded elsewhere) takes no part in this.
        limit: `max_sequence_length`.

    Raises:
        ValueError: a sentence alone is too long.
    """
    sentences = [""] * len(prompts) if sentences is None else sentences
    if tokenizer is None:
        return [f"{p.rstrip()} {s}".strip() if s else p for p, s in zip(prompts, sentences, strict=True)]
    text_limit, found = TextLimit(tokenizer, limit), []
    for prompt in dict.fromkeys(prompts):
        if unknown := unknown_words(tokenizer, prompt):
            warnings.warn(not_known(unknown), stacklevel=4)
    for prompt, sentence in zip(prompts, sentences, strict=True):
        fitted = text_limit.fit(prompt, sentence)
        if fitted.lost:
            kept = "; the emotion's sentence is kept" if sentence else ""
            warnings.warn(
                f"a prompt has {fitted.tokens} tokens and the text encoder reads {limit}{kept}. What is not read: "
                f"{shortened(fitted.lost)}",
                stacklevel=4,
            )
        found.append(fitted.text if sentence else prompt)
    return found


def not_known(words: Sequence[str]) -> str:
    """The sentence that names words of `unknown_words`."""
    return f"the model does not know: {', '.join(words)}. What it draws owes nothing to {'them' if words[1:] else 'it'}"


def shortened(text: str, length: int = 80) -> str:
    """A text in quotation marks, its middle left out if it is long, with the number of its words."""
    words = len(text.split())
    shown = text if len(text) <= length else f"{text[: length // 2].rstrip()} ... {text[-length // 2 :].lstrip()}"
    return f'"{shown}" ({words} word{"s" if words != 1 else ""})'
