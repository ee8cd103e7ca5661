"""What a clip is to every metric, checked at the door.

A clip batch is a tensor `[B, F, 3, H, W]`, RGB: uint8 in 0..255, or floating point in [0, 1]. Both mean the same
picture, and every metric of this package gives the same value for both (to rounding).
"""

from __future__ import annotations

import torch
from torch import Tensor


def check_clips(clips: Tensor, least_frames: int = 1, what: str = "clips") -> Tensor:
    """The clips as given, if they are clips.

    Args:
        clips: `[B, F, 3, H, W]`, uint8 or floating point in [0, 1].
        least_frames: the fewest frames that will do.
        what: what to call them in messages.

    Raises:
        TypeError: not a tensor, or of another kind of number.
        ValueError: another shape, nothing in it, too few frames, NaN, or values outside [0, 1].
    """
    if not isinstance(clips, Tensor):
        raise TypeError(
            f"{what} must be a torch tensor [B, F, 3, H, W], not {type(clips).__name__}; "
            "torch.from_numpy(frames).permute(0, 1, 4, 2, 3) makes one of frames [B, F, H, W, 3]"
        )
    if clips.ndim != 5 or clips.shape[2] != 3:
        last = clips.ndim == 5 and clips.shape[-1] == 3
        hint = "; these look like [B, F, H, W, 3]: clips.permute(0, 1, 4, 2, 3)" if last else ""
        raise ValueError(f"{what} must be [B, F, 3, H, W], not {list(clips.shape)}{hint}")
    _check_values(clips, what)
    if clips.shape[1] < least_frames:
        raise ValueError(f"{what} have {clips.shape[1]} frames; at least {least_frames} are needed")
    return clips


def check_images(images: Tensor, what: str = "images") -> Tensor:
    """The images `[B, 3, H, W]` as given, by the same rules as `check_clips`."""
    if not isinstance(images, Tensor):
        raise TypeError(f"{what} must be a torch tensor [B, 3, H, W], not {type(images).__name__}")
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"{what} must be [B, 3, H, W], not {list(images.shape)}")
    _check_values(images, what)
    return images


def _check_values(pixels: Tensor, what: str) -> None:
    if pixels.dtype != torch.uint8 and not pixels.is_floating_point():
        raise TypeError(f"{what} must be uint8 or floating point in [0, 1], not {pixels.dtype}")
    if not pixels.numel():
        raise ValueError(f"{what} are empty: {list(pixels.shape)}")
    if pixels.dtype == torch.uint8:
        return
    low, high = (float(x) for x in pixels.aminmax())  # NaN makes both NaN
    if low != low:
        raise ValueError(f"{what} hold NaN")
    if low < 0 or high > 1:
        hint = (
            "divide by 255 or give uint8"
            if high > 2
            else "map them by (x + 1) / 2"
            if low < -0.5
            else "clamp them to [0, 1]"
        )
        raise ValueError(f"{what} of {pixels.dtype} must lie in [0, 1], not [{low:.4g}, {high:.4g}]: {hint}")


def to_unit(pixels: Tensor) -> Tensor:
    """Checked pixels as float32 in [0, 1]; float64 stays as it is."""
    if pixels.dtype == torch.uint8:
        return pixels.float() / 255
    return pixels if pixels.dtype == torch.float64 else pixels.float()


def to_bytes(pixels: Tensor) -> Tensor:
    """Checked pixels as uint8; floats are rounded to the nearest level."""
    return pixels if pixels.dtype == torch.uint8 else (pixels.float() * 255).round().to(torch.uint8)
