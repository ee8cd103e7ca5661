"""The picture that an image-to-video clip begins or ends with: read, laid on a background, brought to size."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from PIL import Image, ImageColor, ImageOps

ImageLike = Image.Image | torch.Tensor | str | Path
Colour = str | tuple[int, int, int]

_TRANSPARENT_MODES = ("RGBA", "LA", "PA")
_OPAQUE_MODES = ("RGB", "L", "P", "1", "CMYK", "YCbCr", "LAB", "HSV")


def read_image(value: ImageLike, name: str = "image", background: Colour = "white") -> Image.Image:
    """An RGB picture. Transparent parts lie on `background`; a picture without any is left as it is.

    Args:
        value: a PIL image; the path of an image file (turned as its EXIF says; of an animation the first frame); or a
            tensor [C, H, W] or [1, C, H, W] with C = 1, 3 or 4 (RGBA, not premultiplied), uint8 or floating point in
            [0, 1], which is rounded to 8 bits.
        name: of the argument, for errors.
        background: a colour that Pillow knows by name, "#rrggbb", or (red, green, blue) in 0-255.

    Raises:
        FileNotFoundError: no file at the path.
        TypeError: something else altogether, such as a list.
        ValueError: not an image file, a tensor of another shape or range, a mode that has more than 8 bits, or no
            colour.
    """
    backdrop = _read_colour(background)
    if isinstance(value, torch.Tensor):
        image = _from_tensor(value, name)
    elif isinstance(value, (str, Path)):
        image, name = _from_file(value, name), f"{name} {value}"
    elif isinstance(value, Image.Image):
        image = value
    else:
        raise TypeError(
            f"{name} is a {type(value).__name__}; give one PIL image, path or tensor, which serves all prompts of the "
            "call (of an array, Image.fromarray(array))"
        )
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        below = Image.new("RGBA", image.size, (*backdrop, 255))
        return Image.alpha_composite(below, image.convert("RGBA")).convert("RGB")
    if image.mode not in _OPAQUE_MODES:
        raise ValueError(
            f"{name} has the mode {image.mode}, whose range Pillow does not bring to 8 bits; convert it to RGB yourself"
        )
    return image if image.mode == "RGB" else image.convert("RGB")


def fit_image(image: Image.Image, area: int, multiple: int) -> Image.Image:
    """The image scaled to about `area`, and cropped in the middle so that its proportions stay.

    Args:
        area: pixels that the result has at most, such as 480 * 832.
        multiple: what height and width of the result divide by; for Wan2.1 16.

    Returns:
        An image of the size that shows most of the picture in most pixels; of the same size if it has that already.

    Raises:
        ValueError: `area` is less than one square of `multiple`.
    """
    return cover(image, *fit_size(image.width / image.height, area, multiple))


def cover(image: Image.Image, width: int, height: int) -> Image.Image:
    """The image scaled to cover `width` x `height`, with what stands out cropped evenly on both sides."""
    if image.size == (width, height):
        return image
    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)


def fit_size(aspect: float, area: int, multiple: int) -> tuple[int, int]:
    """Width and height of `fit_image` for an image whose width is `aspect` times its height."""
    cells = area // multiple**2
    if cells < 1:
        raise ValueError(
            f"an area of {area} pixels has no room for one square of {multiple} x {multiple}; give a larger height and "
            "width"
        )
    columns = min(max(math.sqrt(cells * aspect), 1), cells)
    rows = min(max(math.sqrt(cells / aspect), 1), cells)
    around = [(c, r) for c in _neighbours(columns) for r in _neighbours(rows) if c * r <= cells]

    def worth(size: tuple[int, int]) -> tuple[float, float]:
        ratio = size[0] / size[1] / aspect
        shown = min(ratio, 1 / ratio)
        # Where a side grows only to be cropped, the product stays: then rather show more.
        return round(size[0] * size[1] * shown, 6), shown

    best = max(around, key=worth)
    return best[0] * multiple, best[1] * multiple


def _neighbours(value: float) -> set[int]:
    return {math.floor(value + 1e-9), math.ceil(value - 1e-9)}


def _read_colour(background: Colour) -> tuple[int, int, int]:
    if isinstance(background, str):
        try:
            colour = ImageColor.getrgb(background)
        except ValueError:
            colour = ()
    else:
        colour = tuple(background) if isinstance(background, (tuple, list)) else ()
    if len(colour) != 3 or not all(type(value) is int and 0 <= value <= 255 for value in colour):
        raise ValueError(
            f"background is {background!r}; give an opaque colour: a name such as 'white', '#rrggbb', or (red, green, "
            "blue) in 0-255"
        )
    return colour


def _from_file(path: str | Path, name: str) -> Image.Image:
    if not Path(path).exists():
        hint = "; download it first" if str(path).startswith(("http://", "https://")) else ""
        raise FileNotFoundError(f"{name}: no file {path}{hint}")
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image)
    except Exception as error:  # decoders raise all sorts; what counts is which file
        raise ValueError(f"{name}: {path} cannot be read as an image ({type(error).__name__}: {error})") from error


def _from_tensor(value: torch.Tensor, name: str) -> Image.Image:
    shape = tuple(value.shape)
    pixels = value[0] if value.ndim == 4 and shape[0] == 1 else value
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3, 4) or 0 in shape:
        if value.ndim == 4 and shape[0] > 1:
            way_out = "a call takes one picture for all its prompts: call once for each"
        elif value.ndim == 3 and shape[2] in (1, 3, 4):
            way_out = "the channels come first: tensor.permute(2, 0, 1)"
        else:
            way_out = "it has to be [C, H, W] or [1, C, H, W] with 1, 3 or 4 channels"
        raise ValueError(f"{name} is a tensor of shape {shape}; {way_out}")
    if value.is_floating_point():
        low, high = (float(v) for v in torch.aminmax(value.detach().float()))
        if not (low >= 0 and high <= 1):
            hint = ""
            if -1 <= low < 0 and high <= 1:
                hint = ": (tensor + 1) / 2"
            elif low >= 0 and 1 < high <= 255:
                hint = ": tensor / 255"
            raise ValueError(f"{name} is a tensor with values from {low:.4g} to {high:.4g}; bring them into 0-1{hint}")
        pixels = (pixels.detach().float() * 255).round().to(torch.uint8)
    elif value.dtype != torch.uint8:
        raise ValueError(f"{name} is a tensor of {value.dtype}; give uint8, or floating point in 0-1")
    array = pixels.permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
