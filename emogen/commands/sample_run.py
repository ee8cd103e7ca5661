"""The part of `sample.py` that needs model code: opening, sampling, and what becomes of the frames."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emogen.collecting import not_collecting
from emogen.commands.sample_options import ENLARGE_TO
from emogen.commands.sample_request import (
    ALL,
    Job,
    RequestError,
    description,
    ending,
    picture_limits,
    prompt_of,
    short_name,
)
from emogen.emotion import MIKELS, NEUTRAL, EmotionState
from emogen.media.pictures import read_picture
from emogen.media.pixels import enlarge, to_uint8
from emogen.media.sheets import label_grid
from emogen.media.writer import write_video
from emogen.models.text_limit import not_known, unknown_words
from emogen.versions import versions_in_clip

_CALL = ("num_frames", "height", "width", "num_inference_steps", "guidance_scale", "negative_prompt",
         "emotion_guidance_scale", "guidance_interval")  # fmt: skip


@not_collecting()
def load(args: Namespace, kind: str) -> Any:
    """The pipeline that the options ask for, with adapter, LoRAs and speed options (`pipe.switched_on`).

    Raises:
        OSError, ValueError, RuntimeError: with what cannot be loaded, and why.
    """
    from emogen.pipelines.composition import loras_from_args
    from emogen.pipelines.loading import open_pipeline
    from emogen.pipelines.model_files import model_from_args
    from emogen.pipelines.speed_options import speed_from_args

    model = model_from_args(args) or "embedded"
    pipe = open_pipeline(
        model,
        adapter_of(args),
        kind=kind,
        device=args.device,
        dtype=args.dtype,
        load="adapter" if args.no_lora else "both",
        loras=loras_from_args(args),
        speed=speed_from_args(args),
        preset=args.preset,
    )
    if args.preset is not None:
        from emogen.pipelines.presets import PRESETS, own_lora

        preset = PRESETS[args.preset]
        pipe.switched_on.append(
            f"preset {args.preset}: {preset.steps} steps, guidance {preset.guidance:g}, shift {preset.shift:g}"
        )
        if not args.lora and own_lora(args.preset, model, kind) is None:
            pipe.switched_on.append(
                f"note: --preset {args.preset} is for step-distilled models; unless the model is one, give such a LoRA "
                "with --lora"
            )
    return pipe


def adapter_of(args: Namespace) -> str | None:
    """The adapter that is asked for: by default the embedded one with the embedded model, else none."""
    return args.adapter or ("embedded" if args.model is None else None)


def prepare(pipe: Any, args: Namespace, quiet: bool) -> None:
    """Set the progress bar, and say what was switched on."""
    pipe.set_progress_bar_config(disable=quiet, desc="sampling")
    if not args.quiet:
        for line in pipe.switched_on:
            print(line, file=sys.stderr)


@dataclass(frozen=True)
class Made:
    """A written clip.

    Attributes:
        changes: what was given up to fit, in words.
        scores: of `--best_of`, seed -> how well the judge read it.
    """

    path: Path
    seed: int
    changes: list[str]
    scores: Mapping[str, float]


class Chooser:
    """The judge of `--best_of`, loaded when it is first needed."""

    def __init__(self, spec: str):
        self._spec, self._judge = spec, None

    def load(self) -> None:
        """Load it now.

        Raises:
            RequestError: it cannot be had.
        """
        from emogen.eval.judges.choose import judge_prints
        from emogen.eval.judges.registry import load_judge
        from emogen.eval.judges.spec import JudgeError, read_spec

        if self._judge is None:
            try:
                spec = read_spec(self._spec)
                self._judge, self._prints = load_judge(spec), judge_prints(spec)
            except (JudgeError, OSError) as error:
                raise RequestError(f"--judge: {error}") from error

    def best(self, pipe: Any, jobs: Sequence[Job], seeds: Sequence[int]) -> tuple[list[np.ndarray], Any]:
        """The clips of the seed that the judge reads best on the mean, and the `Choice`."""
        from emogen.eval.judges.choose import Choice, fit

        self.load()
        scores: dict[int, list[float]] = {}
        kept: list[np.ndarray] = []
        for seed in seeds:
            clips = [sample(pipe, job, seed) for job in jobs]
            scores[seed] = [_fit_of(clip, job, lambda *read: fit(self._judge, *read)) for clip, job in
                            zip(clips, jobs, strict=True)]  # fmt: skip
            choice = Choice(self._judge.name, self._prints, dict(scores))
            if choice.seed == seed:
                kept = clips  # only the best so far: long clips are large
        return kept, choice


def _fit_of(clips: np.ndarray, job: Job, fit: Any) -> float:
    """The fit of a job's clip; of a grid of all emotions the mean."""
    if job.emotion is not None:
        return fit(clips[0], job.emotion)
    states = [EmotionState.of(name) for name in (NEUTRAL, *MIKELS)]
    return float(np.mean([fit(clip, state) for clip, state in zip(clips, states, strict=True)]))


def make(pipe: Any, jobs: Sequence[Job], chooser: Chooser) -> list[Made]:
    """Clips that share a seed: sampled, chosen among seeds where `--best_of` says so, finished, written.

    Args:
        jobs: one, or those of one character of a set.

    Raises:
        RequestError: the model cannot make what is asked for.
        OSError, ValueError, RuntimeError: the run failed.
    """
    first = jobs[0].options
    start = first.seed if first.seed not in (None, -1) else int.from_bytes(os.urandom(4), "little") % 2**31
    choice = None
    for job in jobs:
        _check_size(pipe, job.options)
    _say_unknown(pipe, jobs)
    try:
        if first.best_of > 1:
            clips, choice = chooser.best(pipe, jobs, [(start + step) % 2**63 for step in range(first.best_of)])
        else:
            clips = [sample(pipe, job, start) for job in jobs]
    except ValueError as error:
        raise RequestError(str(error)) from error
    seed = start if choice is None else choice.seed
    made = []
    for index, (job, several) in enumerate(zip(jobs, clips, strict=True)):
        args = job.options
        chosen = getattr(args, "chosen", None) if choice is None else choice.described(index)
        metadata = description(args) | {"seed": seed, **versions_in_clip()} | ({"chosen": chosen} if chosen else {})
        if args.enrich is not None and job.emotion is not None:
            metadata["enriched_prompt"] = prompt_of(args, job.emotion)
        name = ALL if job.emotion is None else short_name(args.emotion)
        path = Path(args.output or Path(args.output_dir or "outputs") / f"{name}_{seed}{ending(args)}")
        changes = finish(path, several, args, args.fps or pipe.fps, metadata)
        made.append(Made(path, seed, changes, {} if choice is None else chosen["scores"]))
    return made


def sample(pipe: Any, job: Job, seed: int) -> np.ndarray:
    """uint8 `[B, F, H, W, 3]`: one clip, or one for neutral and each emotion."""
    args = job.options
    every = [EmotionState.of(name) for name in (NEUTRAL, *MIKELS)]
    emotions = every if job.emotion is None else [job.emotion]
    call = {name: getattr(args, name) for name in _CALL if getattr(args, name) is not None}
    if "negative_prompt" in call:
        call["negative_prompt"] = [call["negative_prompt"]] * len(emotions)
    if job.avoid is not None:
        call["negative_emotion"] = [job.avoid] * len(emotions)
    if args.image is not None:
        call["image"] = read_picture(args.image, picture_limits(args))
    prompts = [prompt_of(args, emotion) for emotion in emotions]
    clips = pipe(
        prompt=prompts, emotion=emotions, emotion_scale=args.emotion_scale, output_type="np",
        generator=[torch.Generator().manual_seed(seed) for _ in emotions], **call,
    ).frames  # fmt: skip
    return to_uint8(clips)


def _say_unknown(pipe: Any, jobs: Sequence[Job]) -> None:
    more = "; `emogen info --model` lists what it knows" if jobs[0].options.model is None else ""
    for prompt in dict.fromkeys(job.options.prompt for job in jobs):
        if words := unknown_words(getattr(pipe, "tokenizer", None), prompt):
            print(f"warning: {not_known(words)}{more}", file=sys.stderr)


def _check_size(pipe: Any, args: Namespace) -> None:
    patch = getattr(getattr(pipe, "transformer", None), "config", {}).get("patch_size") or (1, 1, 1)
    step = getattr(pipe, "vae_scale_factor_spatial", 1) * patch[-1]
    for name in ("height", "width"):
        value = getattr(args, name)
        if value is not None and value % step:
            below = value - value % step
            near = f"{below} or {below + step}" if below else str(step)
            raise RequestError(f"--{name} {value}: this model makes multiples of {step}; take {near}")


def finish(path: Path, clips: np.ndarray, args: Namespace, fps: float, metadata: Mapping[str, Any]) -> list[str]:
    """Write clips of `sample` as the options ask.

    Returns:
        What was given up to fit, in words.

    Raises:
        UnfitError: it does not fit, or has no flat background; the clip is kept beside, and the message says where.
        OSError: it cannot be written.
    """
    from emogen.stickers.lettering import write_on
    from emogen.stickers.loop import make_seamless
    from emogen.stickers.output import UnfitError, write_clip
    from emogen.stickers.transparent import BackgroundError, key_background

    if len(clips) > 1:
        shown = [clip if args.no_enlarge else enlarge(clip, ENLARGE_TO // 2) for clip in clips]
        frames = label_grid(shown, [NEUTRAL, *MIKELS], columns=3)
    else:
        frames = make_seamless(clips[0]).frames if args.loop else clips[0]
    if os.environ.get("RANK", "0") != "0":
        return []  # under torchrun the first process writes
    try:
        if args.transparent:  # before it is enlarged: an edge of some pixels becomes a smooth one
            frames = key_background(frames, effects=args.effects == "keep")
    except BackgroundError as error:
        frames = frames if args.no_enlarge else enlarge(frames, ENLARGE_TO)
        spare = write_video(path.with_name(f"{path.stem[:200]}.whole{path.suffix}"), frames, fps, metadata)
        raise UnfitError(f"{path}: {error}. The clip is kept as it was made in {spare}", spare) from error
    if len(clips) == 1 and not args.no_enlarge:
        frames = enlarge(frames, ENLARGE_TO)
    if args.text is not None:
        frames = write_on(frames, args.text.replace("{emotion}", short_name(args.emotion)), args.font)
    return list(write_clip(path, frames, fps, metadata, platform=args.platform, max_kb=args.max_kb).changes)
