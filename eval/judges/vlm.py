"""A judge that asks an image-text-to-text model and listens only to the eight labels."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from emogen.eval.judges.base import LABELS, ScoringJudge, pick_frames
from emogen.eval.judges.card import JudgeCard, TrainingData
from emogen.eval.judges.spec import JudgeError, JudgeSpec, register_judge
from emogen.settings.types import Count, Flag, Name

QUESTION = (
    "These are {frames} frames of one short video, in order. Which one emotion does the video show or evoke? "
    "Answer with exactly one word out of: {labels}."
)
SCORING = ("sum", "mean")


class VLMJudge(ScoringJudge):
    """Any instruct model of transformers' image-text-to-text kind, constrained to the labels.

    Each label is put after the question as the answer, and its score is the log-probability of its tokens there:
    nothing is sampled and nothing parsed. "sum" is the exact distribution of an answer that must be a label; "mean"
    divides by the label's number of tokens, which takes from labels of frequent short words. Neutral is scored too and
    takes from the confidence alone. Models that think aloud first are not fit for this.

    A clip costs nine passes over the question and its frames.

    Args:
        model: a folder or Hub name with a processor that has a chat template; or the model itself with `processor`.
        frames: of each clip, evenly spaced, as images in one message.
        question: may hold `{frames}` and `{labels}`.
        batch_size: clips at a time, nine rows each.
        dtype: of the weights, such as "bfloat16"; "auto" takes the checkpoint's.
        trust_remote_code: run the model repository's own code.

    Raises:
        JudgeError: no such model, one of another kind, or a processor without chat template.
    """

    def __init__(
        self,
        model: str | Path | nn.Module,
        processor: Any = None,
        *,
        frames: int = 8,
        question: str = QUESTION,
        scoring: str = "sum",
        batch_size: int = 1,
        dtype: str = "auto",
        name: str = "vlm",
        device: str | torch.device = "cpu",
        trust_remote_code: bool = False,
    ):
        if scoring not in SCORING:
            raise JudgeError(f"{name}: scoring {scoring!r} is none of {', '.join(SCORING)}")
        source = str(model) if isinstance(model, (str, Path)) else type(model).__name__
        if isinstance(model, (str, Path)):
            model, processor = _load(str(model), dtype, trust_remote_code, name)
        if not getattr(processor, "chat_template", None):
            raise JudgeError(f"{name}: the processor of {source} has no chat template; take an instruct model")
        super().__init__(name, JudgeCard(name, "vlm", source, training=TrainingData(f"as {source} was pretrained")))
        self.model, self.processor = model.eval().to(device), processor
        self.frames, self.scoring, self.batch_size = frames, scoring, batch_size
        self.question = question
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters

    def to(self, device: str | torch.device) -> VLMJudge:
        self.model.to(device)
        return self

    def prompt(self, frames: int) -> str:
        """The chat up to the answer, with places for so many images."""
        text = self.question.replace("{frames}", str(frames)).replace("{labels}", ", ".join(LABELS))
        content = [{"type": "image"}] * frames + [{"type": "text", "text": text}]
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)

    @torch.no_grad()
    def scores(self, clips: np.ndarray) -> Tensor:
        clips = pick_frames(clips, self.frames)
        prompt = self.prompt(clips.shape[1])
        # a template that ends "assistant:" is answered after a space, one that ends in a line break at once
        answers = [prompt + (label if prompt[-1:].isspace() else f" {label}") for label in LABELS]
        found = []
        for start in range(0, len(clips), self.batch_size):
            part = [[Image.fromarray(frame) for frame in clip] for clip in clips[start : start + self.batch_size]]
            inputs = self._inputs([text for _ in part for text in answers], [images for images in part for _ in LABELS])
            found.append(self._score(inputs).unflatten(0, (len(part), len(LABELS))))
        return torch.cat(found)

    def _inputs(self, texts: Sequence[str], images: Sequence[Sequence[Image.Image]]) -> dict[str, Tensor]:
        tokenizer = getattr(self.processor, "tokenizer", self.processor)
        begin = getattr(tokenizer, "bos_token", None)
        made = self.processor(
            text=list(texts), images=list(images), return_tensors="pt", padding=True, padding_side="right",
            add_special_tokens=not (begin and texts[0].startswith(begin)),  # the template may have written it
        )  # fmt: skip
        first = next(self.model.parameters())
        return {key: value.to(first.device, first.dtype if value.is_floating_point() else None)
                for key, value in made.items()}  # fmt: skip

    def _score(self, inputs: dict[str, Tensor]) -> Tensor:
        """Log-probability of every row's answer, `[R]`: of the tokens from the first in which the rows differ."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"].bool()
        differs = (ids != ids[:1]) | (mask != mask[:1])
        start = int(differs.any(0).int().argmax())
        if self._keeps:
            keep = torch.arange(start - 1, ids.shape[1] - 1, device=ids.device)
            logits = self.model(**inputs, logits_to_keep=keep).logits
        else:
            logits = self.model(**inputs).logits
            if logits.shape[1] != ids.shape[1]:
                counts = f"{logits.shape[1]} predictions for {ids.shape[1]} tokens"
                raise JudgeError(f"{self.name}: the model gives {counts}; one that puts images in the place of tokens "
                                 "itself cannot be scored")  # fmt: skip
            logits = logits[:, start - 1 : -1]
        told = logits.float().log_softmax(-1).gather(-1, ids[:, start:, None])[..., 0]
        told = torch.where(mask[:, start:], told, 0.0)
        total = told.sum(1).cpu()
        return total if self.scoring == "sum" else total / mask[:, start:].sum(1).cpu()


def _load(model: str, dtype: str, trust: bool, name: str) -> tuple[nn.Module, Any]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(model, trust_remote_code=trust)
        loaded = AutoModelForImageTextToText.from_pretrained(
            model, dtype=dtype, trust_remote_code=trust, use_safetensors=True
        )
    except ImportError as error:
        raise JudgeError(f"{name}: the processor of {model} needs a package that is not installed: {error}") from error
    except OSError as error:
        raise JudgeError(f"{name}: {model} is neither a model's folder here nor reachable on the Hub "
                         f"({str(error).splitlines()[0]})") from error  # fmt: skip
    except ValueError as error:
        raise JudgeError(f"{name}: {model} is no image-text-to-text model ({str(error).splitlines()[0]})") from error
    return loaded, processor


@dataclass(kw_only=True, config={"extra": "forbid"})
class VLMSpec(JudgeSpec):
    """Attributes: those of `VLMJudge`."""

    model: Name
    frames: Count = 8
    question: Name | None = None
    scoring: Name = "sum"
    batch_size: Count = 1
    dtype: Name = "auto"
    trust_remote_code: Flag = False


@register_judge("vlm", spec=VLMSpec, made_of="model")
def make_vlm(spec: Mapping[str, Any], name: str, device: Any) -> VLMJudge:
    """An instruct model that is asked."""
    keys = ("frames", "question", "scoring", "batch_size", "dtype", "trust_remote_code")
    return VLMJudge(spec["model"], name=name, device=device, **{key: spec[key] for key in keys if key in spec})
