"""From the names in a configuration to metrics, with what each needs checked before anything is generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emogen.eval.metrics.base import NEEDS, REGISTRY, BenchmarkMetric
from emogen.eval.own_modules import import_own
from emogen.settings import nearest


class MetricError(ValueError):
    """A metric is unknown, or lacks what it needs; the message names it and the way out."""


def metric_classes(entries: Sequence[str]) -> dict[str, type[BenchmarkMetric]]:
    """Name -> class, in the order given.

    Args:
        entries: names of `REGISTRY`, or modules such as "my_package.my_metric", whose registered metrics are all taken.
            Modules are also looked for in the working folder.

    Raises:
        MetricError: no such metric or module, a module that fails or registers nothing, or a metric named twice.
    """
    found: dict[str, type[BenchmarkMetric]] = {}
    for entry in entries:
        for name in _names(entry):
            if name in found:
                raise MetricError(f"{name} is named twice")
            found[name] = REGISTRY[name]
    return found


def check_needs(
    classes: Mapping[str, type[BenchmarkMetric]],
    *,
    weights: Mapping[str, str],
    reference: str | None,
    seeds: int,
    images: bool,
) -> None:
    """Refuse metrics that lack what they need.

    Args:
        weights: of the configuration. reference: the system of real clips. seeds: how many. images: whether a system is
            image-to-video.

    Raises:
        MetricError: for the first such metric.
    """
    for name, cls in classes.items():
        for key in cls.about.weights:
            if key not in weights:
                raise MetricError(f"{name} needs weights.{key}, a file or folder")
        lacking = {
            "reference": reference is None,
            "first_frame": not images,
            "pictures": not images and "sd_images" not in weights,
            "seeds": seeds < 2,
        }
        for need in cls.about.needs:
            if lacking.get(need):
                raise MetricError(f"{name} needs a {need}: {NEEDS[need]}" if need == "reference" else
                                  f"{name} needs {NEEDS[need]}")  # fmt: skip


def _names(entry: str) -> list[str]:
    if entry in REGISTRY:
        return [entry]
    if not isinstance(entry, str) or not all(part.isidentifier() for part in entry.split(".")) or "." not in entry:
        hint = "a metric of your own is named by its module, such as my_package.my_metric"
        raise MetricError(f"unknown metric {entry!r}{nearest(entry, REGISTRY)}; {hint}")
    try:
        import_own(entry)
    except ValueError as error:
        raise MetricError(str(error)) from error
    names = [name for name, cls in REGISTRY.items() if cls.__module__ == entry]
    if not names:
        raise MetricError(
            f"{entry}: the module registers no metric; put @register(...) of emogen.eval.metrics on a class"
        )
    return names


def listing() -> str:
    """A line a metric: its name, the direction that is better, what it needs, and what it means."""
    lines = []
    for name, cls in REGISTRY.items():
        needs = [*cls.about.needs, *(f"weights.{key}" for key in cls.about.weights)]
        needed = f"; needs {', '.join(needs)}" if needs else ""
        lines.append(
            f"{name:20} {cls.about.better} is better{needed}\n{'':20} {cls.about.meaning or cls.about.heading}"
        )
    return "\n".join(lines)
