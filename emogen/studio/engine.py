"""The work behind the page: one request at a time, of one clip or several, each with its seed and its reading."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emogen.emotion import EmotionArc, EmotionState
from emogen.files import fingerprint_bytes, fingerprint_file, write_bytes
from emogen.media.pictures import read_picture
from emogen.media.pixels import enlarge, to_uint8
from emogen.media.writer import write_video
from emogen.studio.history import earlier_results
from emogen.studio.job import MOST_SEEDS, Job, Opening
from emogen.studio.models import IMAGE, KINDS, TEXT, ModelMissing, Source, load_pipeline
from emogen.studio.result import Result, read_clip
from emogen.versions import versions_in_clip

SHOWN_SIDE = 384
"""Small clips are shown and saved with a shorter side of at least so many pixels, as `sample.py` does."""
_ENDINGS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp"}

Progress = Callable[[float, str], None]


class Busy(RuntimeError):
    """Another clip is being made."""


class Stopped(RuntimeError):
    """The clip was stopped on request."""


class Engine:
    """Loads models when they are first needed, works on one request at a time and keeps what it made.

    Args:
        sources: for each kind ("text", "image") where its model comes from.
        judge: makes the judge that reads every clip, at the first clip; None reads only clips of embedded models,
            with the embedded judge.
        device: of the pipeline; None is the best there is.
        folder: where clips go; those of before are there again.
        load: makes a pipeline of a source; for tests.
        judge_spec: what the judge is made of, for the record of a choice.
    """

    def __init__(self, sources: Mapping[str, Source] | None = None, judge: Callable[[], Any] | None = None,
                 device: str | None = None, folder: str | Path = "outputs/studio",
                 load: Callable[[Source, str | None, Opening], Any] = load_pipeline,
                 judge_spec: str = "embedded"):  # fmt: skip
        self.sources = {kind: (sources or {}).get(kind) or Source(kind) for kind in KINDS}
        self.folder = Path(folder).resolve()
        self._make_judge, self._device, self._load, self._judge_spec = judge, device, load, judge_spec
        self._judges: dict[str, Any] = {}
        self._pipes: dict[Any, Any] = {}
        self._one_at_a_time = threading.Lock()
        self._stop = threading.Event()
        self._frames = tempfile.TemporaryDirectory(prefix="emogen-studio-")
        self._served = tempfile.TemporaryDirectory(prefix="emogen-studio-page-")
        self.results: list[Result] = earlier_results(self.folder, self.served)

    def result(self, number: int | None) -> Result | None:
        """The result of that number, if there is one."""
        return next((r for r in self.results if r.number == number), None)

    @property
    def served(self) -> Path:
        """The one folder that the page gives files from: copies of what it has made, and nothing else."""
        return Path(self._served.name).resolve()

    def serve(self, file: Path, name: str | None = None) -> Path:
        """A copy of a finished file that the page may give away, under its own name or another."""
        copy = self.served / (name or file.name)
        shutil.copyfile(file, copy)
        return copy

    def stop(self) -> None:
        """Ask for what is being made to stop at its next step."""
        self._stop.set()

    def use(self, source: Source) -> None:
        """Make further clips of that kind with another model or adapter.

        Raises:
            Busy: a clip is being made.
            ModelMissing: it is not there.
        """
        source.resolve()
        with self._working():
            self.sources[source.kind] = source
            self._pipes.clear()

    def generate(self, job: Job, progress: Progress = lambda share, text: None) -> Result:
        """Make one clip (see `make`)."""
        (result,) = self.make([job], progress=progress)
        return result

    def make(self, jobs: Sequence[Job], best_of: int = 1, progress: Progress = lambda share, text: None,
             ) -> Iterator[Result]:  # fmt: skip
        """Make clips of one model, have them judged and keep them; each is handed out as soon as it is there.

        Args:
            jobs: those without a seed share one that is drawn.
            best_of: seeds that are tried, of which the one is kept that the judge reads best over all jobs.
            progress: is told the share that is done, and of what.

        Raises:
            Busy: another clip is being made.
            Stopped: `stop` was called.
            ModelMissing: the model is not there.
            ValueError: a job cannot work, or there is no judge to choose by.
        """
        for job in jobs:
            job.check()
        if not 1 <= best_of <= MOST_SEEDS:
            raise ValueError(f"best of is {best_of}; it must be between 1 and {MOST_SEEDS}")
        with self._working():
            self._stop.clear()
            yield from self._make(jobs, best_of, progress)

    def _working(self) -> _Alone:
        return _Alone(self._one_at_a_time)

    def _make(self, jobs: Sequence[Job], best_of: int, progress: Progress) -> Iterator[Result]:
        kind = TEXT if jobs[0].image is None else IMAGE
        source, opening = self.sources[kind], jobs[0].opening
        if missing := source.status():
            raise ModelMissing(missing)
        opening.options()
        if best_of > 1 and self._make_judge is None and not source.embedded:
            raise ValueError("best of needs a judge, and the one in the package knows the embedded model's stickers "
                             "only; start with --judge FOLDER")  # fmt: skip
        progress(0.0, f"loading {source.name()}")
        pipe = self._pipeline(source, opening)
        if jobs[0].image is not None:
            kept = self._keep_picture(Path(jobs[0].image))
            jobs = [replace(job, image=kept) for job in jobs]
        drawn = int.from_bytes(os.urandom(4), "little") % 2**31
        jobs = [job if job.seed is not None else replace(job, seed=drawn) for job in jobs]
        judge = self._judge_for(source)
        total = len(jobs) * best_of

        def within(place: int) -> Progress:
            lead = f"clip {place + 1} of {total}, " if total > 1 else ""
            return lambda share, text: progress((place + share) / total, lead + text)

        if best_of == 1:
            for place, job in enumerate(jobs):
                start = time.monotonic()
                frames = self._sample(pipe, job, within(place))
                yield self._keep(pipe, job, source, judge, frames, time.monotonic() - start, {})
        else:
            yield from self._best(pipe, jobs, source, judge, best_of, within)
        progress(1.0, "done")

    def _best(self, pipe: Any, jobs: Sequence[Job], source: Source, judge: Any, best_of: int,
              within: Callable[[int], Progress]) -> Iterator[Result]:  # fmt: skip
        """As `sample.py --best_of`: seeds that follow one another, and the metadata says which judge chose."""
        from emogen.eval.judges.choose import KEY, Choice, fit, judge_prints

        prints = judge_prints(self._judge_spec)
        scores: dict[int, list[float]] = {}
        best: tuple[list[Job], list[np.ndarray]] = ([], [])
        start = time.monotonic()
        for turn in range(best_of):
            tried = [replace(job, seed=(job.seed + turn) % 2**63) for job in jobs]
            clips = [self._sample(pipe, job, within(turn * len(jobs) + place)) for place, job in enumerate(tried)]
            seed = tried[0].seed
            scores[seed] = [fit(judge, clip, job.emotion) for clip, job in zip(clips, tried, strict=True)]
            choice = Choice(judge.name, prints, dict(scores))
            if choice.seed == seed:
                best = tried, clips  # only the best so far: long clips are large
        seconds = (time.monotonic() - start) / len(jobs)
        for index, (job, clip) in enumerate(zip(*best, strict=True)):
            chosen = {KEY: choice.described(index), "best_of": best_of}
            yield self._keep(pipe, job, source, judge, clip, seconds, chosen)

    def _keep(self, pipe: Any, job: Job, source: Source, judge: Any, frames: np.ndarray, seconds: float,
              chosen: Mapping[str, Any]) -> Result:  # fmt: skip
        reading = read_clip(judge, frames) if judge is not None else None
        made = self._metadata(job, source, self._call(job, pipe)) | dict(chosen)
        made |= {"reading": reading.to_dict()} if reading else {}
        number = max((result.number for result in self.results), default=0) + 1
        name = f"{time.strftime('%Y%m%d-%H%M%S')}_{number:03d}_{_short_name(job.emotion)}_{job.seed}"
        path = write_video(self.folder / f"{name}.webp", enlarge(frames, SHOWN_SIDE), pipe.fps, metadata=made)
        frames_path = Path(self._frames.name) / f"{number}.npy"
        np.save(frames_path, frames)
        result = Result(number, job.prompt, job.emotion, job.seed, path, frames_path, pipe.fps, seconds, reading, made,
                        self.serve(path))  # fmt: skip
        self.results.append(result)
        return result

    def _pipeline(self, source: Source, opening: Opening) -> Any:
        if (source, opening) not in self._pipes:
            self._pipes.clear()  # before the next is loaded: two large models do not fit side by side
            self._pipes[source, opening] = self._load(source, self._device, opening)
        return self._pipes[source, opening]

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
        """The plain values of the pipeline's call, the model's own where the job says nothing."""
        own = pipe.generation_defaults.call_arguments
        given = {"num_inference_steps": job.steps, "guidance_scale": job.guidance_scale, "num_frames": job.num_frames,
                 "height": job.height, "width": job.width}  # fmt: skip
        call = {name: own.get(name) if value is None else value for name, value in given.items()}
        call["emotion_guidance_scale"] = job.emotion_guidance_scale
        numbers = {name: float(v) if name.endswith("scale") else int(v) for name, v in call.items() if v is not None}
        others = {"negative_prompt": job.negative_prompt, "guidance_interval": job.guidance_interval}
        return numbers | {name: value for name, value in others.items() if value is not None}

    def _sample(self, pipe: Any, job: Job, progress: Progress) -> np.ndarray:
        import torch

        def after_step(pipe: Any, index: int, timestep: Any, inputs: dict[str, Any]) -> dict[str, Any]:
            if self._stop.is_set():
                raise Stopped("stopped")
            steps = pipe.num_timesteps
            progress(0.95 * (index + 1) / steps, f"step {index + 1} of {steps}")
            return inputs

        if self._stop.is_set():
            raise Stopped("stopped")
        call = self._call(job, pipe)
        if "negative_prompt" in call:
            call["negative_prompt"] = [call["negative_prompt"]]
        if job.image is not None:
            call["image"] = str(job.image)
        if job.avoid is not None:
            call["negative_emotion"] = [job.avoid]
        progress(0.0, "reading the prompt")
        # Lists of one and a generator of the CPU: what `sample.py` calls, so that it repeats the clip exactly.
        clips = pipe(
            prompt=[job.prompt], emotion=[job.emotion], emotion_scale=float(job.emotion_scale), output_type="np",
            generator=[torch.Generator().manual_seed(job.seed)], callback_on_step_end=after_step, **call,
        ).frames  # fmt: skip
        progress(0.96, "reading the clip")
        return to_uint8(clips[0])

    @staticmethod
    def _metadata(job: Job, source: Source, call: Mapping[str, Any]) -> dict[str, Any]:
        """Under the names of `sample.py`'s options."""
        made: dict[str, Any] = {"prompt": job.prompt, "emotion": str(job.emotion), "emotion_scale": job.emotion_scale,
                                "seed": job.seed, **call, **job.opening.described()}  # fmt: skip
        if "guidance_interval" in made:
            made["guidance_interval"] = list(made["guidance_interval"])
        made |= {name: str(value) for name, value in (("avoid", job.avoid), ("model", source.model),
                                                      ("adapter", source.adapter)) if value is not None}  # fmt: skip
        if job.image is not None:
            image = Path(job.image).resolve()
            made |= {"image": str(image), "image_sha256": fingerprint_file(image)}
        return made | versions_in_clip()


class _Alone:
    """While the block runs, the engine works for one request."""

    def __init__(self, lock: threading.Lock):
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise Busy("another clip is being made; wait for it or stop it")

    def __exit__(self, *error: object) -> None:
        self._lock.release()


def _short_name(emotion: EmotionState | EmotionArc) -> str:
    return "arc" if isinstance(emotion, EmotionArc) else emotion.dominant
