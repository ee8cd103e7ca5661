"""Video networks whose features a Frechet distance is taken of."""

from emogen.eval.metrics.features.base import VideoFeatures
from emogen.eval.metrics.features.i3d import I3DFeatures
from emogen.eval.metrics.features.transnet import TransNetV2Features
from emogen.eval.metrics.features.videomae import VideoMAEFeatures

__all__ = ["I3DFeatures", "TransNetV2Features", "VideoFeatures", "VideoMAEFeatures"]
