"""What a Frechet distance may be called: by its features, and "FVD" by nobody else."""

from __future__ import annotations

import re
from collections.abc import Callable

from emogen.eval.metrics.features.base import VideoFeatures

NAMES = {"i3d_kinetics400": "fvd", "videomae": "fvd_videomae", "transnetv2": "frechet_transnetv2"}
"""This package's features -> what their distance is called."""

WIDTHS = {"i3d_kinetics400": 400, "transnetv2": 704}
"""How many features there must be, where the name says it."""


def feature_name_of(feature: Callable | None, given: str | None) -> str:
    """The name of features: their own, the one given, or the callable's; letters, digits and underscores.

    Raises:
        ValueError: a given name that contradicts their own, or one that would let the distance pass for another's.
    """
    own = getattr(feature, "name", None)
    if own is not None and given is not None and own != given:
        raise ValueError(f"these features are {own!r}; they cannot be called {given!r}")
    name = given or own or (getattr(feature, "__name__", type(feature).__name__) if feature is not None else "features")
    if name in NAMES:
        if feature is not None and not isinstance(feature, VideoFeatures):
            raise ValueError(
                f"{name!r} is the name of this package's own network; give your {type(feature).__name__} "
                f"another, for its distance must not pass for {NAMES[name]!r}"
            )
        return name
    plain = re.sub(r"\W+", "_", str(name)).strip("_").lower() or "features"
    if "fvd" in plain or plain in NAMES:
        raise ValueError(
            f"features cannot be called {name!r}: FVD is the distance of I3D features trained on "
            "Kinetics-400 (features.I3DFeatures)"
        )
    return plain
