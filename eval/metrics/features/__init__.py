"""Video networks whose features a Frechet distance is taken of."""

from .base import VideoFeatures
from .i3d import I3DFeatures
from .transnet import TransNetV2Features
from .videomae import VideoMAEFeatures

__all__ = ["I3DFeatures", "TransNetV2Features", "VideoFeatures", "VideoMAEFeatures"]
