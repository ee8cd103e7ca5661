"""Evaluation metrics as torchmetrics metrics: update with batches, compute at the end, across processes too.

Clips are `[B, F, 3, H, W]`, uint8 or float in [0, 1] (`pixels.check_clips`). Importing this loads no model; networks
are loaded when a metric that needs one is made.
"""

from emogen.eval.metrics.agreement import EmotionAgreement
from emogen.eval.metrics.attributes import EmotionAttributes
from emogen.eval.metrics.clip import CLIPTextScore, SDScore, reference_images
from emogen.eval.metrics.content import ContentAgreement
from emogen.eval.metrics.diversity import FirstFrameLPIPS, FirstFramePSNR, LPIPSDiversity
from emogen.eval.metrics.features import I3DFeatures, TransNetV2Features, VideoFeatures, VideoMAEFeatures
from emogen.eval.metrics.flicker import TemporalFlickering, temporal_flickering
from emogen.eval.metrics.frechet import frechet_distance
from emogen.eval.metrics.frechet_video import FrechetVideoDistance
from emogen.eval.metrics.pixels import check_clips

__all__ = [
    "CLIPTextScore",
    "ContentAgreement",
    "EmotionAgreement",
    "EmotionAttributes",
    "FirstFrameLPIPS",
    "FirstFramePSNR",
    "FrechetVideoDistance",
    "I3DFeatures",
    "LPIPSDiversity",
    "SDScore",
    "TemporalFlickering",
    "TransNetV2Features",
    "VideoFeatures",
    "VideoMAEFeatures",
    "check_clips",
    "frechet_distance",
    "reference_images",
    "temporal_flickering",
]
