"""Stage 3 of the recipe: a word-level tokenizer and a small UMT5 encoder that can tell what belongs to what.

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

TEXT_DIM = 128
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


def with_emotion_word(caption: str, emotion: str, rng: np.random.Generator) -> str:
    """A content caption with one emotion word worked in, the way people write it."""
    word = str(rng.choice(EMOTION_WORDS[emotion]))
    form = rng.integers(4)
    if form == 0:
        return re.sub(r"\ba ((?:\w|-)+ (?:\w|-)+)", rf"a {word} \1", caption, count=1)
    return (f"{caption}, {word}", f"{word}, {caption}", f"{caption}, emotion {word}")[form - 1]


def build_tokenizer(corpus: Iterable[str], folder: Path, max_length: int = 512) -> PreTrainedTokenizerFast:
    """One token a word (lower case, punctuation apart), `</s>` at the end as T5 has it; saved to `folder/tokenizer`."""
    split = pre_tokenizers.Sequence([pre_tokenizers.Whitespace()])
    words: dict[str, int] = {}
    for text in corpus:
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


def build_encoder(vocabulary: int) -> UMT5EncoderModel:
    """A UMT5 encoder of 2 layers and width 128."""
    rows = -(-vocabulary // 8) * 8
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=rows,
            d_model=TEXT_DIM,
            d_kv=32,
            d_ff=256,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
    )


def tokenize(tokenizer, texts: list[str], length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask `[B, length]`; raises if a caption is longer, for training never truncates."""
    out = tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    if int(out.attention_mask.sum(1).max()) >= length and any(len(tokenizer(t).input_ids) > length for t in texts):
        raise ValueError(f"a caption is longer than {length} tokens")
    return out.input_ids, out.attention_mask


def pretrain(
    encoder: UMT5EncoderModel,
    tokenizer,
    draw: Callable[[np.random.Generator], tuple[str, dict[str, str]]],
    *,
    steps: int = 900,
    batch: int = 96,
    length: int = 32,
    seed: int = 0,
) -> float:
    """Teach the encoder to tell a caption's attributes; returns the last exact-match rate over all attributes.

    Args:
        draw: gives a random caption and its attributes (name -> value, "" where the caption does not say).
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    sample = [draw(rng)[1] for _ in range(6000)]
    values = {name: sorted({s[name] for s in sample}) for name in sample[0]}
    index = {name: {v: i for i, v in enumerate(vs)} for name, vs in values.items()}
    heads = nn.ModuleDict({name: nn.Linear(TEXT_DIM, len(vs)) for name, vs in values.items()})
    parameters = [*encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    right = 0.0
    for step in range(steps):
        texts, labels = zip(*(draw(rng) for _ in range(batch)), strict=True)
        ids, mask = tokenize(tokenizer, list(texts), length)
        hidden = encoder(ids, mask).last_hidden_state * mask[..., None]
        pooled = hidden.sum(1) / mask.sum(1, keepdim=True)
        loss, hits = 0.0, []
        for name, head in heads.items():
            known = [index[name].get(label[name], -100) for label in labels]
            target = torch.tensor(known)
            logits = head(pooled)
            loss = loss + nn.functional.cross_entropy(logits, target, ignore_index=-100)
            hits.append((logits.argmax(-1) == target).float().mean().item())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        right = 0.9 * right + 0.1 * float(np.mean(hits))
        if (step + 1) % 100 == 0:
            print(f"text step {step + 1} loss {loss.item():.3f} right {right:.3f}", flush=True)
    return right
