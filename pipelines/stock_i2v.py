"""What image-to-video takes from diffusers and transformers, imported without one warning.

Where torchvision is missing, transformers says on the import of `CLIPImageProcessor`, which diffusers' pipeline imports
too, that the processor made with Pillow takes its place. That one is enough here, and there is nothing to be done about
it: all other messages pass.
"""

from __future__ import annotations

import logging


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("`CLIPImageProcessor` requires torchvision")


_logger = logging.getLogger("transformers.utils.import_utils")
_logger.addFilter(_is_news)
try:
    from diffusers import WanImageToVideoPipeline
    from transformers import CLIPImageProcessor
finally:
    _logger.removeFilter(_is_news)

__all__ = ["CLIPImageProcessor", "WanImageToVideoPipeline"]
