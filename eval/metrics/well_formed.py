"""Well-formedness: one silhouette, one pair of eyes, one mouth."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from emogen.eval.judges.classifier import ClipClassifier
from emogen.eval.metrics.base import ClipMean, register
from emogen.eval.metrics.pixels import check_clips, to_unit

HEAD, WHOLE = "form", "whole"


@register(
    "well_formed", meaning="well formed: whole faces, by a reader that has seen whole and broken ones, in %", unit="%",
    digits=1, weights=("well_formed",),
)  # fmt: skip
class WellFormed(ClipMean):
    """Share of clips whose face is whole: a model that shows an emotion with six eyes shows it here.

    Read it beside the reader's own error, which is its share of drawn clips (`clips: stickers`), and which its card
    gives for every way to break a face.

    Args:
        folder: of a `ClipClassifier` with a head "form" that knows the class "whole", such as the recipe's stage
            `wellformed` makes.

    Raises:
        ValueError: it has no such head. OSError: it cannot be read.
    """

    full_state_update = False
    higher_is_better = True

    def __init__(self, folder: str | Path, **kwargs):
        super().__init__(**kwargs)
        network = ClipClassifier.from_pretrained(folder).eval()
        classes = list(network.config.heads.get(HEAD, ()))
        if WHOLE not in classes:
            raise ValueError(f"{folder}: this classifier has no head {HEAD!r} with the class {WHOLE!r}")
        self.network, self.whole = network, classes.index(WHOLE)

    @torch.no_grad()
    def score(self, clips: Tensor) -> Tensor:
        """1 for each clip that is read as whole, 0 for the others, `[B]`; `clips` `[B, F, 3, H, W]`."""
        pixels = to_unit(check_clips(clips)).float()
        read = [self.network(part)[HEAD].argmax(-1) for part in pixels.split(32)]
        return (torch.cat(read) == self.whole).double()
