"""Evaluation metrics as torchmetrics metrics: update with batches, compute at the end, across processes too.

Clips are `[B, F, 3, H, W]`, uint8 or float in [0, 1] (`pixels.check_clips`). Importing this loads no model; networks
are loaded when a metric that needs one is made. Every module of this folder is imported, so a metric in a file of its
own is in `REGISTRY` (name -> class) without being named anywhere; `base` says what a metric is.
"""

import importlib
import pkgutil

from emogen.eval.metrics.agreement import EmotionAgreement
from emogen.eval.metrics.attributes import EmotionAttributes
from emogen.eval.metrics.base import REGISTRY, BenchmarkMetric, ClipBatch, ClipMean, Description, register
from emogen.eval.metrics.clip import CLIPTextScore, SDScore, reference_images
from emogen.eval.metrics.content import ContentAgreement
from emogen.eval.metrics.diversity import LPIPSDiversity
from emogen.eval.metrics.first_frame import FirstFrameLPIPS, FirstFramePSNR
from emogen.eval.metrics.flicker import TemporalFlickering, temporal_flickering
from emogen.eval.metrics.frechet import FrechetVideoDistance, frechet_distance
from emogen.eval.metrics.frechet_transnetv2 import FrechetTransNetV2, TransNetV2Features
from emogen.eval.metrics.fvd import FVD, I3DFeatures
from emogen.eval.metrics.fvd_videomae import FVDVideoMAE, VideoMAEFeatures
from emogen.eval.metrics.pixels import check_clips
from emogen.eval.metrics.video_features import VideoFeatures
from emogen.eval.metrics.well_formed import WellFormed

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "BenchmarkMetric",
    "CLIPTextScore",
    "ClipBatch",
    "ClipMean",
    "ContentAgreement",
    "Description",
    "EmotionAgreement",
    "EmotionAttributes",
    "FVD",
    "FVDVideoMAE",
    "FirstFrameLPIPS",
    "FirstFramePSNR",
    "FrechetTransNetV2",
    "FrechetVideoDistance",
    "I3DFeatures",
    "LPIPSDiversity",
    "REGISTRY",
    "SDScore",
    "TemporalFlickering",
    "TransNetV2Features",
    "VideoFeatures",
    "VideoMAEFeatures",
    "WellFormed",
    "check_clips",
    "frechet_distance",
    "reference_images",
    "register",
    "temporal_flickering",
]
