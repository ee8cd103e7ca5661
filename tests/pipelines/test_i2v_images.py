"""Pictures for image-to-video: read in every form, laid on a background, brought to size."""

import math
import re

import numpy as np
import pytest
import torch
from PIL import Image
from wan_i2v_parts import picture

from emogen.pipelines import fit_image
from emogen.pipelines.images import cover, fit_size, read_image


def pixels(image):
    assert image.mode == "RGB"
    return np.asarray(image)


def tensor(image):
    """[C, H, W], uint8."""
    values = torch.from_numpy(np.array(image))
    return values[None] if values.ndim == 2 else values.permute(2, 0, 1)


def half_transparent():
    """2 x 1: opaque red, and blue of which 40 % is seen."""
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 255, 102))
    return image


def test_an_rgb_picture_is_left_alone():
    image = picture()
    assert read_image(image) is image


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "HSV"])
def test_modes_without_transparency(mode):
    image = picture().convert(mode)
    assert np.array_equal(pixels(read_image(image, background="red")), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    ("background", "blue"),
    [
        ("white", (153, 153, 255)),
        ("#000000", (0, 0, 102)),
        ((255, 255, 0), (153, 153, 102)),
        ([10, 20, 30], (6, 12, 120)),
    ],
)
def test_transparent_parts_lie_on_the_background(background, blue):
    found = pixels(read_image(half_transparent(), background=background))
    assert found[0].tolist() == [[255, 0, 0], list(blue)]


def test_white_is_the_background():
    assert np.array_equal(pixels(read_image(half_transparent())), pixels(read_image(half_transparent(), "i", "white")))


def test_transparency_beside_the_pixels():
    """A palette's transparent entry, RGB's and grey's transparent colour, and grey with alpha."""
    palette = picture(4, 4).convert("P")
    palette.info["transparency"] = palette.getpixel((0, 0))
    assert tuple(pixels(read_image(palette, background="lime"))[0, 0]) == (0, 255, 0)
    colour = picture(4, 4)
    colour.info["transparency"] = colour.getpixel((0, 0))
    assert tuple(pixels(read_image(colour, background="lime"))[0, 0]) == (0, 255, 0)
    grey = Image.new("LA", (1, 1), (100, 0))
    assert tuple(pixels(read_image(grey, background="lime"))[0, 0]) == (0, 255, 0)
    assert tuple(pixels(read_image(Image.new("LA", (1, 1), (100, 255))))[0, 0]) == (100, 100, 100)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_tensors(mode):
    image = picture(12, 8, mode=mode)
    expected = pixels(read_image(image))
    whole = tensor(image)
    share = whole / 255
    for form in (whole, whole[None], share, share[None].double(), share.clone().requires_grad_()):
        assert np.array_equal(pixels(read_image(form)), expected)
    for dtype in (torch.float16, torch.bfloat16):
        assert np.abs(pixels(read_image(share.to(dtype))).astype(int) - expected).max() <= 1


def test_tensors_are_rounded_and_not_cut():
    values = torch.tensor([0.0, 0.6 / 255, 1.4 / 255, 1.0]).reshape(1, 1, 4).expand(3, -1, -1)
    assert pixels(read_image(values))[0, :, 0].tolist() == [0, 1, 1, 255]


def test_paths(tmp_path):
    image = picture(6, 4)
    image.save(tmp_path / "a.png")
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        assert np.array_equal(pixels(read_image(path)), pixels(image))
    half_transparent().save(tmp_path / "b.png")
    assert pixels(read_image(tmp_path / "b.png", background="black"))[0, 1].tolist() == [0, 0, 102]


def test_a_photograph_is_turned_and_an_animation_stands_still(tmp_path):
    image, turned = picture(6, 4), Image.Exif()
    turned[0x0112] = 6  # the camera was held on its side
    image.save(tmp_path / "a.png", exif=turned)
    found = read_image(tmp_path / "a.png")
    assert found.size == (4, 6)
    assert np.array_equal(pixels(found), pixels(image.transpose(Image.Transpose.ROTATE_270)))
    frames = [picture(4, 4, seed=seed) for seed in (0, 1)]
    frames[0].save(tmp_path / "b.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(pixels(read_image(tmp_path / "b.webp")), pixels(frames[0]))


def test_files_that_are_not_there(tmp_path):
    missing = tmp_path / "no.png"
    with pytest.raises(FileNotFoundError, match=re.escape(f"last_image: no file {missing}")):
        read_image(missing, "last_image")
    with pytest.raises(FileNotFoundError, match=r"image: no file https://a\.b/c\.png; download it first"):
        read_image("https://a.b/c.png")


def test_files_that_are_no_images(tmp_path):
    text = tmp_path / "words.png"
    text.write_text("no picture")
    with pytest.raises(ValueError, match=r"image: .*words\.png cannot be read as an image \(UnidentifiedImageError"):
        read_image(text)
    with pytest.raises(ValueError, match="cannot be read as an image"):
        read_image(tmp_path)
    picture(64, 64).save(tmp_path / "whole.png")
    broken = tmp_path / "broken.png"
    broken.write_bytes((tmp_path / "whole.png").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"broken\.png cannot be read as an image"):
        read_image(broken)


def test_more_than_eight_bits(tmp_path):
    deep = Image.fromarray(np.full((4, 4), 40000, dtype=np.uint16))
    deep.save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"^image has the mode I;16, whose range"):
        read_image(deep)
    with pytest.raises(ValueError, match=r"^image .*deep\.png has the mode I;16"):
        read_image(tmp_path / "deep.png")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 8, 8), r"\(2, 3, 8, 8\); a call takes one picture for all its prompts"),
        ((8, 8, 3), r"channels come first: tensor\.permute\(2, 0, 1\)"),
        ((8, 8), r"it has to be \[C, H, W\]"),
        ((1, 8, 8, 3), r"it has to be \[C, H, W\]"),
        ((1, 1, 3, 8, 8), r"it has to be \[C, H, W\]"),
        ((2, 8, 8), "with 1, 3 or 4 channels"),
        ((3, 0, 8), "shape"),
    ],
)
def test_tensors_of_another_shape(shape, message):
    with pytest.raises(ValueError, match=message):
        read_image(torch.zeros(shape))


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (-1.0, 1.0, r"values from -1 to 1; bring them into 0-1: \(tensor \+ 1\) / 2"),
        (0.0, 255.0, "from 0 to 255; bring them into 0-1: tensor / 255"),
        (-3.0, 2.0, "into 0-1$"),
        (0.0, 300.0, "into 0-1$"),
        (0.0, math.nan, "nan"),
        (0.0, math.inf, "inf"),
    ],
)
def test_tensors_of_another_range(low, high, message):
    values = torch.full((3, 4, 4), low)
    values[0, 0, 0] = high
    with pytest.raises(ValueError, match=message):
        read_image(values)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.bool])
def test_tensors_of_another_type(dtype):
    with pytest.raises(ValueError, match=f"tensor of {dtype}; give uint8, or floating point in 0-1"):
        read_image(torch.ones(3, 4, 4, dtype=dtype))


@pytest.mark.parametrize("value", [[picture()], np.zeros((4, 4, 3)), 3, b"x"])
def test_what_is_no_picture(value):
    kind = type(value).__name__
    with pytest.raises(TypeError, match=rf"last_image is a {kind}; give one PIL image.*Image.fromarray\(array\)"):
        read_image(value, "last_image")


@pytest.mark.parametrize("colour", ["blurple", "#ffffff80", (1, 2), (0, 0, 256), (0.5, 0, 0), (True, 0, 0), None, 3])
def test_what_is_no_colour(colour):
    with pytest.raises(ValueError, match=r"background is .*; give an opaque colour"):
        read_image(picture(), background=colour)


@pytest.mark.parametrize(
    ("size", "area", "multiple", "expected"),
    [
        ((832, 480), 832 * 480, 16, (832, 480)),
        ((480, 832), 832 * 480, 16, (480, 832)),
        ((1920, 1080), 832 * 480, 16, (832, 480)),
        ((1000, 1000), 832 * 480, 16, (624, 624)),
        ((50, 50), 64 * 64, 32, (64, 64)),
        ((10000, 1), 64 * 64, 16, (256, 16)),
        ((1, 10000), 64 * 64, 16, (16, 256)),
        ((7, 5), 256, 16, (16, 16)),
    ],
)
def test_sizes(size, area, multiple, expected):
    assert fit_size(size[0] / size[1], area, multiple) == expected


def test_sizes_are_multiples_inside_the_area_and_near_the_proportions():
    for step in range(40):
        aspect = 0.25 * 16 ** (step / 39)
        width, height = fit_size(aspect, 480 * 832, 16)
        assert width % 16 == height % 16 == 0 and 0.9 * 480 * 832 < width * height <= 480 * 832
        assert 0.92 < width / height / aspect < 1.08
        assert fit_size(1 / aspect, 480 * 832, 16) == (height, width)


def test_an_area_without_room():
    with pytest.raises(ValueError, match="area of 255 pixels has no room for one square of 16 x 16"):
        fit_image(picture(), 255, 16)


def test_fitting_keeps_what_fits_and_crops_the_middle():
    image = picture(32, 32)
    assert fit_image(image, 32 * 32, 16) is image and cover(image, 32, 32) is image
    stripes = Image.new("RGB", (64, 16), "red")
    stripes.paste("lime", (16, 0, 48, 16))  # the middle half
    assert fit_image(stripes, 64 * 16, 16) is stripes
    square = pixels(cover(stripes, 16, 16))
    assert square.shape == (16, 16, 3) and (square == (0, 255, 0)).all()
    assert pixels(cover(stripes, 128, 32)).shape == (32, 128, 3)
    assert fit_image(stripes, 256 * 64, 16).size == (256, 64)
