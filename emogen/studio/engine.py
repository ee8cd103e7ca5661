"""The work behind the page: one clip at a time, with its seed, its reading and what made it."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emogen.emotion import EmotionArc, EmotionState
from emogen.files import fingerprint_bytes, fingerprint_file, write_bytes
from emogen.finite import finite
from emogen.media.pictures import read_picture
from emogen.media.pixels import enlarge, to_uint8
from emogen.media.writer import write_video
from emogen.studio.models import IMAGE, KINDS, TEXT, ModelMissing, Source, load_pipeline
from emogen.studio.result import Result, read_clip
from emogen.versions import versions_in_clip

SHOWN_SIDE = 384
"""Small clips are shown and saved with a shorter side of at least so many pixels, as `sample.py` does."""

MOST = 10_000
"""Steps or frames; more is a slip of the hand."""
_ENDINGS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp"}

Progress = Callable[[float, str], None]


class Busy(RuntimeError):
    """Another clip is being made."""


class Stopped(RuntimeError):
    """The clip was stopped on request."""


@dataclass(frozen=True)
class Job:
    """What to make.

    Attributes:
        prompt: what the clip shows.
        emotion: with its intensity.
        image: file of the picture that the clip begins with; None makes text to video.
        avoid: an emotion to steer away from.
        emotion_guidance_scale: None is `guidance_scale`.
        seed: None draws one.
        steps, guidance_scale, num_frames: None is the model's own.
    """

    prompt: str
    emotion: EmotionState | EmotionArc
    image: str | Path | None = None
    avoid: EmotionState | None = None
    emotion_scale: float = 1.0
    guidance_scale: float | None = None
    emotion_guidance_scale: float | None = None
    steps: int | None = None
    num_frames: int | None = None
    seed: int | None = None

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            ValueError: naming the field.
        """
        if not self.prompt or not self.prompt.strip():
            raise ValueError("the prompt is empty; say what the clip shows")
        try:
            self.prompt.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(f"the prompt's character {error.start + 1} is half of one; write it again") from None
        for name in ("steps", "num_frames"):
            value = getattr(self, name)
            if value is not None and (finite(value, name, MOST) != int(value) or value < 1):
                raise ValueError(f"{name} is {value}; it must be a whole number from 1")
        for name in ("emotion_scale", "guidance_scale", "emotion_guidance_scale"):
            if getattr(self, name) is not None:
                finite(getattr(self, name), name)
        if self.num_frames is not None and self.num_frames % 4 != 1:
            low = max(1, int(self.num_frames) - (int(self.num_frames) - 1) % 4)
            raise ValueError(f"num_frames is {self.num_frames}; Wan makes 4k+1 frames: {low} or {low + 4}")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}; it must be between 0 and 2^63")
        if self.image is not None and not Path(self.image).is_file():
            raise ValueError(f"image: no file {self.image}")


class Engine:
    """Loads models when they are first needed, makes one clip at a time and keeps what it made.

    Args:
        sources: for each kind ("text", "image") where its model comes from.
        judge: makes the judge that reads every clip, at the first clip; None reads only clips of embedded models,
            with the embedded judge.
        device: of the pipeline; None is the best there is.
        folder: where clips go.
        load: makes a pipeline of a source; for tests.
    """

    def __init__(self, sources: Mapping[str, Source] | None = None, judge: Callable[[], Any] | None = None,
                 device: str | None = None, folder: str | Path = "outputs/studio",
                 load: Callable[[Source, str | None], Any] = load_pipeline):  # fmt: skip
        self.sources = {kind: (sources or {}).get(kind) or Source(kind) for kind in KINDS}
        self.folder = Path(folder).resolve()
        self.results: list[Result] = []
        self._make_judge, self._device, self._load = judge, device, load
        self._judges: dict[str, Any] = {}
        self._pipes: dict[str, Any] = {}
        self._one_at_a_time = threading.Lock()
        self._stop = threading.Event()
        self._frames = tempfile.TemporaryDirectory(prefix="emogen-studio-")
        self._served = tempfile.TemporaryDirectory(prefix="emogen-studio-page-")

    def result(self, number: int | None) -> Result | None:
        """The result of that number, if there is one."""
        return next((r for r in self.results if r.number == number), None)

    @property
    def served(self) -> Path:
        """The one folder that the page gives files from: copies of what it has made, and nothing else."""
        return Path(self._served.name).resolve()

    def serve(self, file: Path) -> Path:
        """A copy of a finished file that the page may give away."""
        copy = self.served / file.name
        shutil.copyfile(file, copy)
        return copy

    def stop(self) -> None:
        """Ask the clip that is being made to stop at its next step."""
        self._stop.set()

    def generate(self, job: Job, progress: Progress = lambda share, text: None) -> Result:
        """Make a clip, have it judged and keep it.

        Args:
            progress: is told the share that is done, and of what.

        Raises:
            Busy: another clip is being made.
            Stopped: `stop` was called.
            ModelMissing: the model is not there.
            ValueError: the job cannot work.
        """
        job.check()
        if not self._one_at_a_time.acquire(blocking=False):
            raise Busy("another clip is being made; wait for it or stop it")
        try:
            self._stop.clear()
            return self._make(job, progress)
        finally:
            self._one_at_a_time.release()

    def _make(self, job: Job, progress: Progress) -> Result:
        start = time.monotonic()
        kind = TEXT if job.image is None else IMAGE
        source = self.sources[kind]
        if missing := source.status():
            raise ModelMissing(missing)
        progress(0.0, f"loading {source.name()}")
        pipe = self._pipeline(kind)
        if job.image is not None:
            job = replace(job, image=self._keep_picture(Path(job.image)))
        seed = job.seed if job.seed is not None else int.from_bytes(os.urandom(4), "little") % 2**31
        call = self._call(job, pipe)
        frames = self._sample(pipe, job, call, seed, progress)
        progress(0.96, "reading the clip")
        judge = self._judge_for(source)
        reading = read_clip(judge, frames) if judge is not None else None
        made = self._metadata(job, source, call, seed) | ({"reading": reading.to_dict()} if reading else {})
        number = len(self.results) + 1
        name = f"{time.strftime('%Y%m%d-%H%M%S')}_{number:03d}_{_short_name(job.emotion)}_{seed}"
        path = write_video(self.folder / f"{name}.webp", enlarge(frames, SHOWN_SIDE), pipe.fps, metadata=made)
        frames_path = Path(self._frames.name) / f"{number}.npy"
        np.save(frames_path, frames)
        result = Result(number, job.prompt, job.emotion, seed, path, frames_path, pipe.fps, time.monotonic() - start,
                        reading, made, self.serve(path))  # fmt: skip
        self.results.append(result)
        progress(1.0, "done")
        return result

    def _pipeline(self, kind: str) -> Any:
        if kind not in self._pipes:
            self._pipes.clear()  # before the next is loaded: two large models do not fit side by side
            self._pipes[kind] = self._load(self.sources[kind], self._device)
        return self._pipes[kind]

    def _keep_picture(self, image: Path) -> Path:
        """A copy beside the clips, for an upload does not stay and a clip's metadata names its picture."""
        data = image.read_bytes()
        read_picture(image)  # refuses what is no picture
        with Image.open(io.BytesIO(data)) as opened:
            ending = _ENDINGS.get(opened.format or "")  # by content: an upload's name says nothing
        if ending is None:
            raise ValueError("the picture is in a form that is not known here; give PNG, JPEG or WebP")
        kept = self.folder / "pictures" / f"{fingerprint_bytes(data)[:16]}{ending}"
        if not kept.is_file():
            write_bytes(kept, data)
        return kept

    def _judge_for(self, source: Source) -> Any:
        if self._make_judge is None and not source.embedded:
            return None
        if "judge" not in self._judges:
            if self._make_judge is None:
                from emogen.eval.judges.embedded import EmbeddedJudge

                self._judges["judge"] = EmbeddedJudge()
            else:
                self._judges["judge"] = self._make_judge()
        return self._judges["judge"]

    @staticmethod
    def _call(job: Job, pipe: Any) -> dict[str, Any]:
        """The plain numbers of the pipeline's call, the model's own where the job says nothing."""
        own = pipe.generation_defaults.call_arguments
        given = {"num_inference_steps": job.steps, "guidance_scale": job.guidance_scale, "num_frames": job.num_frames}
        call = {name: own.get(name) if value is None else value for name, value in given.items()}
        call["emotion_guidance_scale"] = job.emotion_guidance_scale
        whole = ("num_inference_steps", "num_frames")
        return {name: int(v) if name in whole else float(v) for name, v in call.items() if v is not None}

    def _sample(self, pipe: Any, job: Job, call: Mapping[str, Any], seed: int, progress: Progress) -> np.ndarray:
        import torch

        def after_step(pipe: Any, index: int, timestep: Any, inputs: dict[str, Any]) -> dict[str, Any]:
            if self._stop.is_set():
                raise Stopped("stopped")
            steps = pipe.num_timesteps
            progress(0.95 * (index + 1) / steps, f"step {index + 1} of {steps}")
            return inputs

        extra: dict[str, Any] = {} if job.image is None else {"image": str(job.image)}
        if job.avoid is not None:
            extra["negative_emotion"] = [job.avoid]
        progress(0.0, "reading the prompt")
        # Lists of one and a generator of the CPU: what `sample.py` calls, so that it repeats the clip exactly.
        clips = pipe(
            prompt=[job.prompt], emotion=[job.emotion], emotion_scale=float(job.emotion_scale), output_type="np",
            generator=[torch.Generator().manual_seed(seed)], callback_on_step_end=after_step, **call, **extra,
        ).frames  # fmt: skip
        return to_uint8(clips[0])

    @staticmethod
    def _metadata(job: Job, source: Source, call: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Under the names of `sample.py`'s options."""
        made: dict[str, Any] = {"prompt": job.prompt, "emotion": str(job.emotion), "emotion_scale": job.emotion_scale,
                                "seed": seed, **call}  # fmt: skip
        made |= {name: str(value) for name, value in (("avoid", job.avoid), ("model", source.model),
                                                      ("adapter", source.adapter)) if value is not None}  # fmt: skip
        if job.image is not None:
            image = Path(job.image).resolve()
            made |= {"image": str(image), "image_sha256": fingerprint_file(image)}
        return made | versions_in_clip()


def _short_name(emotion: EmotionState | EmotionArc) -> str:
    return "arc" if isinstance(emotion, EmotionArc) else emotion.dominant
