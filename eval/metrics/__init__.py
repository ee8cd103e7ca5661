"""Evaluation metrics as torchmetrics metrics: update with batches, compute at the end, across processes too.

Clips are `[B, F, 3, H, W]`, uint8 or float in [0, 1] (`pixels.check_clips`). Importing this loads no model; networks
are loaded when a metric that needs one is made.
"""

from .agreement import EmotionAgreement
from .attributes import EmotionAttributes
from .clip import CLIPTextScore, SDScore, reference_images
from .content import ContentAgreement
from .diversity import FirstFrameLPIPS, FirstFramePSNR, LPIPSDiversity
from .features import I3DFeatures, TransNetV2Features, VideoFeatures, VideoMAEFeatures
from .flicker import TemporalFlickering, temporal_flickering
from .frechet import frechet_distance
from .frechet_video import FrechetVideoDistance
from .pixels import check_clips

__all__ = [
    "CLIPTextScore", "ContentAgreement", "EmotionAgreement", "EmotionAttributes", "FirstFrameLPIPS", "FirstFramePSNR",
    "FrechetVideoDistance", "I3DFeatures", "LPIPSDiversity", "SDScore", "TemporalFlickering", "TransNetV2Features",
    "VideoFeatures", "VideoMAEFeatures", "check_clips", "frechet_distance", "reference_images", "temporal_flickering",
]
