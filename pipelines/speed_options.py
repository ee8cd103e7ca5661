"""Which of diffusers' mechanisms for speed and memory a run uses, and what can be refused before a model is loaded."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from emogen.emotion import EmotionArc
from emogen.finite import float_text, whole_text

CACHES = ("none", "first_block", "taylorseer", "magcache", "faster_cache", "pyramid")
OFFLOADS = ("none", "model", "group", "sequential", "group_disk")

_UNKEYED = (
    "keeps one state for all branches of guidance, and a Wan pipeline runs the branches one after the other: the pass "
    "without the prompt would get the attention of the pass with it, and the guidance of text and emotion would fade. "
    "Use --cache first_block, taylorseer or magcache, whose states are kept apart"
)
_REFUSED_CACHES = {
    "pyramid": f"Pyramid Attention Broadcast {_UNKEYED}",
    "faster_cache": "FasterCache expects the branches of guidance in one batch, the one without the prompt first, and "
    + _UNKEYED.replace("keeps one", "it keeps one"),
}
_CACHE_PARAMETERS = {  # parameter -> the caches that read it
    "cache_threshold": ("first_block", "magcache"),
    "cache_interval": ("taylorseer",),
    "cache_order": ("taylorseer",),
    "cache_warmup": ("taylorseer", "magcache"),
    "cache_max_skip": ("magcache",),
    "mag_ratios": ("magcache",),
}


class SpeedError(ValueError):
    """An option that cannot work here; the message says why and what can be done."""


@dataclass(frozen=True)
class SpeedOptions:
    """Speed and memory options of sampling. Each is one of diffusers' own mechanisms; `apply_speed` switches them on.

    Args:
        attention_backend: a name of diffusers' dispatcher ("native", "xformers", "flash", "sage", ...); None leaves it.
        cache: reuses what a forward computed in later steps: "first_block" (skips the other blocks while the first
            one's output changes little), "taylorseer" (extrapolates the output, arXiv 2503.06923), "magcache" (skips
            by the known decay of the residual's size). "faster_cache" and "pyramid" are refused, with the reason.
        cache_threshold: relative change below which steps are skipped (first_block: 0.05, magcache: 0.06).
        cache_interval: taylorseer: one step in so many is computed (5).
        cache_order: taylorseer: of the extrapolation, 0 to 3 (1).
        cache_warmup: steps at the start that are always computed (taylorseer: 3, magcache: a fifth of the steps).
        cache_max_skip: magcache: most steps skipped in a row (3).
        mag_ratios: magcache: the model's ratios, as `measure_mag_ratios` returns them.
        num_inference_steps: magcache: steps of the calls to come; by default the model's.
        compile: compiles the transformer's repeated blocks (regional compilation).
        compile_backend: of torch.compile.
        offload: where weights are while not in use: "model" (one component on the device at a time), "sequential" (one
            layer at a time), "group" (block by block, copied ahead on CUDA), "group_disk" (block by block from files).
        offload_folder: group_disk: where its files go while the process lives; by default the system's temporary one.
        layerwise_casting: stores the transformer's weights in fp8 (e4m3) and computes in the model's own dtype. The
            adapter, LoRAs, norms and embeddings keep theirs.
        vae_tiling: decodes in tiles. Clips no larger than a tile (256 pixels) come out the same.
        vae_slicing: decodes clip by clip. The same result.
        ulysses, ring: processes that share a clip's sequence, by Ulysses or ring attention (context parallelism).

    Raises:
        SpeedError: an option that is unknown, refused, or that the others rule out or do not read.
    """

    attention_backend: str | None = None
    cache: str = "none"
    cache_threshold: float | None = None
    cache_interval: int | None = None
    cache_order: int | None = None
    cache_warmup: int | None = None
    cache_max_skip: int | None = None
    mag_ratios: tuple[float, ...] | None = None
    num_inference_steps: int | None = None
    compile: bool = False
    compile_backend: str = "inductor"
    offload: str = "none"
    offload_folder: str | None = None
    layerwise_casting: bool = False
    vae_tiling: bool = False
    vae_slicing: bool = False
    ulysses: int = 1
    ring: int = 1

    def __post_init__(self):
        for name, known in (("cache", CACHES), ("offload", OFFLOADS)):
            if getattr(self, name) not in known:
                raise SpeedError(f"--{name} is {getattr(self, name)!r}; it takes {', '.join(known)}")
        if self.attention_backend is not None:
            _check_backend_name(self.attention_backend)
        if self.cache in _REFUSED_CACHES:
            raise SpeedError(f"--cache {self.cache}: {_REFUSED_CACHES[self.cache]}")
        self._check_cache()
        if self.offload_folder is not None and self.offload != "group_disk":
            raise SpeedError(f"--offload_folder is for --offload group_disk, not --offload {self.offload}")
        self._check_parallel()
        self._check_compile()

    @property
    def parallel(self) -> int:
        """Processes that share a clip."""
        return self.ulysses * self.ring

    @property
    def places_model(self) -> bool:
        """Whether `apply_speed` itself brings the weights to the device: do not call `pipe.to(device)` before it."""
        return self.offload != "none"

    def check_emotion(self, emotions: Any | Iterable[Any]) -> None:
        """Refuse emotions that cannot run with these options.

        Args:
            emotions: one that is read already (`EmotionState`, `EmotionArc` or None), or several.

        Raises:
            SpeedError: an arc with context parallelism.
        """
        several = emotions if isinstance(emotions, (list, tuple)) else [emotions]
        if self.parallel > 1 and any(isinstance(emotion, EmotionArc) for emotion in several):
            raise SpeedError(
                "an emotion that changes over the clip cannot run with --ulysses or --ring: a process's share of the "
                "sequence does not begin with a frame. Give one emotion for the whole clip, or run in one process"
            )

    def _check_cache(self) -> None:
        for name, caches in _CACHE_PARAMETERS.items():
            value = getattr(self, name)
            if value is None:
                continue
            if self.cache not in caches:
                raise SpeedError(f"--{name} is for --cache {' and '.join(caches)}, not --cache {self.cache}")
            low, high = {"cache_threshold": (0, 10), "cache_order": (0, 3), "mag_ratios": (0, 0)}.get(name, (1, 10**6))
            if name != "mag_ratios" and not (math.isfinite(value) and low <= value <= high):
                raise SpeedError(f"--{name} is {value}; it takes {low} to {high}")
        if self.cache == "magcache" and not self.mag_ratios:
            raise SpeedError(
                "--cache magcache needs the model's own ratios: measure them once with "
                "`python benchmarks/sampling_speed.py --model MODEL --write_mag_ratios FILE.json` and give "
                "--mag_ratios FILE.json"
            )

    def _check_parallel(self) -> None:
        for name in ("ulysses", "ring"):
            if getattr(self, name) < 1:
                raise SpeedError(f"--{name} is {getattr(self, name)}; it is a number of processes, 1 or more")
        if self.parallel == 1:
            return
        if self.cache == "first_block":
            raise SpeedError(
                "--cache first_block with --ulysses or --ring: each process decides by its own share of the clip "
                "whether to skip a step, and they would wait for each other forever. Use --cache taylorseer or magcache"
            )
        if self.offload != "none":
            raise SpeedError(
                f"--offload {self.offload} with --ulysses or --ring has not been shown to give the right clip; use "
                "--fp8 to save memory, or one process"
            )

    def _check_compile(self) -> None:
        if not self.compile:
            return
        reasons = {
            "--cache": self.cache != "none"
            and "the caches decide in Python inside of what would be compiled: it is "
            "compiled anew until torch gives up, or not at all",
            "--fp8": self.layerwise_casting and "each weight changes its dtype inside of what would be compiled",
            "--ulysses or --ring": self.parallel > 1 and "the two have not been shown to give the right clip together",
        }
        for flag, reason in reasons.items():
            if reason:
                raise SpeedError(f"--compile with {flag}: {reason}. Choose one of the two")


def _check_backend_name(name: str) -> None:
    from diffusers.models.attention_dispatch import AttentionBackendName

    known = [backend.value for backend in AttentionBackendName]
    if name not in known:
        raise SpeedError(f"--attention_backend is {name!r}; diffusers knows {', '.join(sorted(known))}")


def add_speed_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options' flags, under diffusers' names, as a group "speed and memory" to a parser."""
    group = parser.add_argument_group("speed and memory (diffusers' own mechanisms; docs/sampling.md)")
    group.add_argument("--attention_backend", metavar="NAME", help="native, xformers, flash, sage ... of diffusers")
    group.add_argument(
        "--cache",
        default="none",
        metavar="NAME",
        help="first_block, taylorseer or magcache: reuse earlier steps, faster and less exact",
    )
    group.add_argument(
        "--cache_threshold", type=float_text, help="first_block (0.05), magcache (0.06): more skips more"
    )
    group.add_argument("--cache_interval", type=whole_text, help="taylorseer: compute one step in so many (5)")
    group.add_argument("--cache_order", type=whole_text, help="taylorseer: order of the extrapolation (1)")
    group.add_argument("--cache_warmup", type=whole_text, help="taylorseer (3) and magcache: first steps all computed")
    group.add_argument("--cache_max_skip", type=whole_text, help="magcache: most steps skipped in a row (3)")
    group.add_argument("--mag_ratios", metavar="FILE", help="magcache: JSON list of the model's ratios")
    group.add_argument("--compile", action="store_true", help="torch.compile of the repeated blocks")
    group.add_argument(
        "--offload",
        default="none",
        metavar="HOW",
        help="model, group, sequential or group_disk: keep weights off the GPU while they are not used",
    )
    group.add_argument("--offload_folder", metavar="DIR", help="group_disk: where the files go")
    group.add_argument("--fp8", action="store_true", help="store the transformer in 8 bits (layerwise casting)")
    group.add_argument("--vae_tiling", action="store_true", help="decode in tiles: less memory")
    group.add_argument("--vae_slicing", action="store_true", help="decode clip by clip: less memory")
    group.add_argument(
        "--ulysses", type=whole_text, default=1, metavar="N", help="share a clip among N processes (torchrun)"
    )
    group.add_argument("--ring", type=whole_text, default=1, metavar="N", help="the same by ring attention")


def speed_from_args(args: argparse.Namespace) -> SpeedOptions:
    """The options from parsed flags. `num_inference_steps` is taken from the same namespace, if it is there.

    Raises:
        SpeedError: as of `SpeedOptions`, or a `--mag_ratios` file that is none.
    """
    values = {field.name: getattr(args, field.name) for field in fields(SpeedOptions) if hasattr(args, field.name)}
    values["layerwise_casting"] = args.fp8
    if args.mag_ratios is not None:
        values["mag_ratios"] = read_mag_ratios(args.mag_ratios)
    return SpeedOptions(**values)


def read_mag_ratios(path: str | Path) -> tuple[float, ...]:
    """A file of `--write_mag_ratios`: a JSON list of at least two positive numbers.

    Raises:
        SpeedError: it is something else.
    """
    try:
        ratios = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SpeedError(f"--mag_ratios {path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise SpeedError(f"--mag_ratios {path}: not JSON ({error})") from error
    numbers = isinstance(ratios, list) and all(type(ratio) in (int, float) and ratio > 0 for ratio in ratios)
    if not numbers or len(ratios) < 2:
        raise SpeedError(f"--mag_ratios {path}: must hold a JSON list of positive numbers, one a step")
    return tuple(float(ratio) for ratio in ratios)
