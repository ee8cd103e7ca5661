"""What a labelled set says of emotion: the findings of the EmoVid paper for one's own clips, with intervals."""

import importlib

from emogen.analysis.interface import REGISTRY, Analysis, Found, NotPossible, Picture, Result, Settings, register

_ORDER = (
    "distribution",
    "look",
    "hue",
    "sound",
    "prediction",
    "time",
    "curves",
    "annotated",
    "words",
    "space",
    "people",
    "suspects",
    "priors",
)
"""Modules that register an analysis, in the order of the page."""

for _name in _ORDER:
    importlib.import_module(f"emogen.analysis.{_name}")

__all__ = ["REGISTRY", "Analysis", "Found", "NotPossible", "Picture", "Result", "Settings", "register"]
