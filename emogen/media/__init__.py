"""Clips and pictures: read as they are displayed, written so that they play everywhere."""

from __future__ import annotations

from emogen.lazy import lazily

_PLACES = {
    "LimitError": "limits",
    "Limits": "limits",
    "Probe": "reader",
    "VideoError": "limits",
    "iterate_frames": "reader",
    "probe": "reader",
    "read_frames": "reader",
    "read_metadata": "reader",
    "read_picture": "pictures",
    "read_video": "reader",
    "write_video": "writer",
}
__all__ = sorted(_PLACES)


# configurations read the limits alone, and ffmpeg's libraries are large
__getattr__, __dir__ = lazily(__name__, _PLACES)
