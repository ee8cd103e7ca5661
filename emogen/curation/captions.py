"""Captions by a model of transformers that looks at frames and writes text, several clips at once.

Two captions a clip: one that describes what is seen without feelings, which an adapter is trained beside, and if asked
for one that may name them, which a suggestion of the emotion can be read from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emogen.curation.frames import frames_of
from emogen.curation.stage import Row, Stage, StageError

PROMPT = (
    "Describe this short video in one sentence: who or what is seen, what happens, and where. Do not name feelings, "
    "moods or facial expressions."
)
PROMPT_EMOTIONAL = (
    "Describe this short video in one sentence: who or what is seen, what happens, and what feelings and mood it shows."
)


def caption_stage(
    model: str,
    *,
    frames: int = 8,
    prompt: str = PROMPT,
    prompt_emotional: str | None = None,
    as_video: bool = False,
    max_new_tokens: int = 96,
    batch: int = 4,
    dtype: str = "auto",
    device: str = "cpu",
) -> Stage:
    """The stage; its rows are clips. The model is loaded once in each worker, so give it few workers.

    Args:
        model: folder or Hub name of an image- or video-text-to-text model whose processor has a chat template.
        frames: of each clip, evenly spaced.
        prompt_emotional: None: no second caption.
        as_video: give the frames as one video, where the model's processor takes videos, in place of several images.
        batch: clips at once.
        dtype: of the weights, such as "bfloat16"; "auto": the checkpoint's.
    """
    settings = {
        "model": model, "frames": frames, "prompt": prompt, "prompt_emotional": prompt_emotional, "as_video": as_video,
        "max_new_tokens": max_new_tokens, "dtype": dtype, "device": device,
    }  # fmt: skip
    # the first batch waits for the model to be loaded
    return Stage("caption", 1, _alone, settings, timeout=1800.0, batch=batch, many=caption_clips)


def _alone(row: Row, settings: Mapping[str, Any], output: Path) -> list[Row]:
    found = caption_clips([row], settings, output)[0]
    if isinstance(found, StageError):
        raise found
    return found


def caption_clips(rows: list[Row], settings: Mapping[str, Any], output: Path) -> list[list[Row] | StageError]:
    """Captions of several clips; of one that cannot be read, or gets no words, the reason.

    Raises:
        StageError: there is no such model.
    """
    captioner = _captioner(settings)
    found: list[list[Row] | StageError | np.ndarray] = []
    for row in rows:
        try:
            found.append(frames_of(row, settings["frames"]))
        except StageError as error:
            found.append(error)
    shown = [place for place, one in enumerate(found) if isinstance(one, np.ndarray)]
    clips = [found[place] for place in shown]
    plain = captioner(clips, settings["prompt"]) if clips else []
    other = settings["prompt_emotional"]
    emotional = captioner(clips, other) if clips and other else [None] * len(clips)
    for place, text, feeling in zip(shown, plain, emotional, strict=True):
        made: Row = {"clip_id": rows[place]["clip_id"], "caption": text, "caption_by": settings["model"]}
        if feeling:
            made["caption_emotional"] = feeling
        found[place] = [made] if text else StageError(f"{settings['model']} wrote nothing")
    return found


class Captioner:
    """A model that writes about clips.

    Raises:
        StageError: there is no such model, or it is no chat model.
    """

    def __init__(self, model: str, max_new_tokens: int, as_video: bool, dtype: str, device: str):
        from transformers import AutoModelForImageTextToText, AutoProcessor

        try:
            self.processor = AutoProcessor.from_pretrained(model)
            self.model = AutoModelForImageTextToText.from_pretrained(model, dtype=dtype, use_safetensors=True)
        except (OSError, ValueError, ImportError) as error:
            first = str(error).strip().splitlines()[0]
            raise StageError(f"caption model {model}: cannot be loaded ({first})") from error
        if not getattr(self.processor, "chat_template", None):
            raise StageError(f"caption model {model}: its processor has no chat template; take an instruct model")
        self.model = self.model.eval().to(device)
        self.as_video, self.max_new_tokens = as_video, max_new_tokens
        tokenizer = getattr(self.processor, "tokenizer", self.processor)
        tokenizer.padding_side = "left"  # what is written follows the prompt at once
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.tokenizer = tokenizer

    def __call__(self, clips: Sequence[np.ndarray], prompt: str) -> list[str]:
        """One text a clip. Nothing is sampled: the same clips get the same texts.

        Args:
            clips: uint8 `(F, H, W, 3)` each.
        """
        import torch

        texts = [self._prompt(len(clip), prompt) for clip in clips]
        begin = self.tokenizer.bos_token
        inputs = self.processor(
            text=texts, return_tensors="pt", padding=True, **self._pictures(clips),
            add_special_tokens=not (begin and texts[0].startswith(begin)),  # the template may have written it
        )  # fmt: skip
        first = next(self.model.parameters())
        inputs = {
            key: value.to(first.device, first.dtype if value.is_floating_point() else None)
            for key, value in inputs.items()
        }
        with torch.inference_mode():
            written = self.model.generate(
                **inputs, max_new_tokens=self.max_new_tokens, do_sample=False, pad_token_id=self.tokenizer.pad_token_id
            )
        if not self.model.config.is_encoder_decoder:
            written = written[:, inputs["input_ids"].shape[1] :]
        said = self.processor.batch_decode(written, skip_special_tokens=True)
        return [" ".join(text.split()) for text in said]

    def _prompt(self, frames: int, prompt: str) -> str:
        shown = [{"type": "video"}] if self.as_video else [{"type": "image"}] * frames
        message = {"role": "user", "content": [*shown, {"type": "text", "text": prompt}]}
        return self.processor.apply_chat_template([message], add_generation_prompt=True)

    def _pictures(self, clips: Sequence[np.ndarray]) -> dict[str, Any]:
        from PIL import Image

        if self.as_video:
            return {"videos": [list(clip) for clip in clips]}
        return {"images": [[Image.fromarray(frame) for frame in clip] for clip in clips]}


_LOADED: dict[str, Captioner] = {}


def _captioner(settings: Mapping[str, Any]) -> Captioner:
    """Once a process."""
    names = ("model", "max_new_tokens", "as_video", "dtype", "device")
    key = repr([settings[name] for name in names])
    if key not in _LOADED:
        _LOADED.clear()
        _LOADED[key] = Captioner(**{name: settings[name] for name in names})
    return _LOADED[key]
