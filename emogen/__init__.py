"""emogen: video models that feel.

`import emogen` loads nothing heavy; each name below is imported when it is first used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from emogen.lazy import lazily

__version__ = "0.1.0"

_CHECKOUT = Path(__file__).parents[1]
if (_CHECKOUT / "pipelines" / "__init__.py").is_file() and (_CHECKOUT / "eval" / "__init__.py").is_file():
    # In a checkout these two rooms stand beside this one. Whoever runs `sample.py` there, with or without an
    # installation elsewhere, gets the checkout's.
    __path__.append(str(_CHECKOUT))

_HOMES = {
    "EmotionState": "emotion",
    "EmotionArc": "emotion",
    "parse_emotion": "emotion",
    "EmotionEncoder": "models",
    "EmotionWanImageToVideoPipeline": "pipelines",
    "EmotionWanPipeline": "pipelines",
    "embedded_model": "embedded",
    "embedded_adapter": "embedded",
    "embedded_i2v_model": "embedded",
    "embedded_i2v_adapter": "embedded",
    "embedded_judge": "embedded",
}

__all__ = [
    "EmotionArc",
    "EmotionEncoder",
    "EmotionState",
    "EmotionWanImageToVideoPipeline",
    "EmotionWanPipeline",
    "__version__",
    "embedded_adapter",
    "embedded_i2v_adapter",
    "embedded_i2v_model",
    "embedded_judge",
    "embedded_model",
    "parse_emotion",
]

if TYPE_CHECKING:
    from emogen.embedded import (
        embedded_adapter,
        embedded_i2v_adapter,
        embedded_i2v_model,
        embedded_judge,
        embedded_model,
    )
    from emogen.emotion import EmotionArc, EmotionState, parse_emotion
    from emogen.models import EmotionEncoder
    from emogen.pipelines import EmotionWanImageToVideoPipeline, EmotionWanPipeline


__getattr__, __dir__ = lazily(__name__, _HOMES)
