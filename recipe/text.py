"""A word-level tokenizer and a small UMT5 encoder that can tell what belongs to what.

A randomly initialised text encoder trained only through the video model stays a bag of words for a long time: which
of two colours is the body's and which the background's is a coin flip. Predicting the attributes of a caption from
its mean-pooled encoding first (a minute) binds them, after which the video model follows quickly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from recipe.config import Phase, Text

EMOTION_WORDS = {
    "amusement": ("laughing", "amused", "amusement", "funny"),
    "awe": ("amazed", "awestruck", "awe", "astonished"),
    "contentment": ("content", "contentment", "peaceful", "serene"),
    "excitement": ("excited", "excitement", "thrilled", "ecstatic"),
    "anger": ("angry", "anger", "furious", "mad"),
    "disgust": ("disgusted", "disgust", "grossed", "sick"),
    "fear": ("scared", "fear", "afraid", "terrified"),
    "sadness": ("sad", "sadness", "crying", "sorrow"),
}
"""Words the base sees for an emotion, as captions on the web have them; the third or so is the category's own name."""
EXTRA_WORDS = (
    "the video is in the emotion .",
    "animated sticker of an emoji",
    "neutral happy joyful cheerful smiling calm surprised shocked frightened joy happiness surprise , feeling emotion",
    *(" ".join(words) for words in EMOTION_WORDS.values()),
)
"""What the tokenizer must know beside the captions: the paper's sentence, and words that people use for emotions."""

Draw = Callable[[np.random.Generator], tuple[str, dict[str, str]]]
"""A random caption and its attributes (name -> value, "" where the caption does not say)."""


def with_emotion_word(caption: str, emotion: str, rng: np.random.Generator) -> str:
    """A content caption with one emotion word worked in, the way people write it."""
    word = str(rng.choice(EMOTION_WORDS[emotion]))
    form = rng.integers(4)
    if form == 0 and re.search(r"\ban? \w", caption):
        return re.sub(r"\ban? (?=\w)", f"a {word} ", caption, count=1)
    return (f"{caption}, {word}", f"{word}, {caption}", f"{caption}, emotion {word}")[form - 1]


def build_tokenizer(corpus: Iterable[str], folder: Path, max_length: int = 512) -> PreTrainedTokenizerFast:
    """One token a word (lower case, punctuation apart), `</s>` at the end as T5 has it; saved to `folder/tokenizer`."""
    split = pre_tokenizers.Sequence([pre_tokenizers.Whitespace()])
    words: dict[str, int] = {}
    for text in (*corpus, *EXTRA_WORDS):
        for word, _ in split.pre_tokenize_str(text.lower()):
            words[word] = words.get(word, 0) + 1
    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2}
    for word in sorted(words, key=lambda w: (-words[w], w)):
        vocabulary[word] = len(vocabulary)
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = split
    inner.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=max_length
    )
    tokenizer.save_pretrained(folder / "tokenizer")
    return tokenizer


def build_encoder(vocabulary: int, config: Text) -> UMT5EncoderModel:
    """A UMT5 encoder for a vocabulary, at its start."""
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=-(-vocabulary // 8) * 8,
            d_model=config.width,
            d_kv=config.width // config.heads,
            d_ff=2 * config.width,
            num_layers=config.layers,
            num_heads=config.heads,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
    )


def tokenize(tokenizer, texts: list[str], length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask `[B, length]`; raises ValueError if a caption is longer, for training never truncates."""
    out = tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    if int(out.attention_mask.sum(1).max()) >= length and any(len(tokenizer(t).input_ids) > length for t in texts):
        raise ValueError(f"a caption is longer than {length} tokens; raise text.length: {max(texts, key=len)!r}")
    return out.input_ids, out.attention_mask


def encode(encoder: UMT5EncoderModel, tokenizer, texts: list[str], length: int) -> torch.Tensor:
    """`[B, length + 1, D]`, zero beyond each text as the pipeline pads it; the last position is the folded rest."""
    ids, mask = tokenize(tokenizer, texts, length)
    hidden = encoder(ids, mask).last_hidden_state.float() * mask[..., None]
    return nn.functional.pad(hidden, (0, 0, 0, 1))


class TextTask:
    """See `recipe.loop.Task`: tell a caption's attributes from the mean of its encoding."""

    def __init__(self, encoder: UMT5EncoderModel, tokenizer, draw: Draw, config: Text):
        self._tokenizer, self._draw, self._length = tokenizer, draw, config.length
        rng = np.random.default_rng(config.schedule.seed)
        said = [draw(rng)[1] for _ in range(6000)]
        values = {name: sorted({s[name] for s in said}) for name in said[0]}
        self._index = {name: {v: i for i, v in enumerate(vs)} for name, vs in values.items()}
        heads = nn.ModuleDict({name: nn.Linear(config.width, len(vs)) for name, vs in values.items()})
        self.modules = nn.ModuleDict({"encoder": encoder, "heads": heads})

    def loss(self, rng: np.random.Generator, phase: Phase) -> torch.Tensor:
        return self._read(self.modules, rng, phase.batch)[0]

    @torch.no_grad()
    def held_out(self, average: nn.ModuleDict) -> dict[str, float]:
        return {"attributes right": self._read(average, np.random.default_rng(1), 256)[1]}

    def _read(self, modules: nn.ModuleDict, rng: np.random.Generator, count: int) -> tuple[torch.Tensor, float]:
        texts, labels = zip(*(self._draw(rng) for _ in range(count)), strict=True)
        ids, mask = tokenize(self._tokenizer, list(texts), self._length)
        hidden = modules["encoder"](ids, mask).last_hidden_state.float() * mask[..., None]
        pooled = hidden.sum(1) / mask.sum(1, keepdim=True)
        loss, right = torch.zeros(()), []
        for name, head in modules["heads"].items():
            target = torch.tensor([self._index[name].get(label[name], -100) for label in labels])
            logits = head(pooled)
            loss = loss + nn.functional.cross_entropy(logits.float(), target, ignore_index=-100)
            right.append((logits.argmax(-1) == target).float().mean().item())
        return loss, float(np.mean(right))
