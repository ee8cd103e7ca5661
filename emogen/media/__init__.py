"""Clips and pictures: read as they are displayed, written so that they play everywhere."""

from emogen.media.limits import LimitError, Limits, VideoError
from emogen.media.reader import Probe, iterate_frames, probe, read_frames, read_video

__all__ = ["LimitError", "Limits", "Probe", "VideoError", "iterate_frames", "probe", "read_frames", "read_video"]
