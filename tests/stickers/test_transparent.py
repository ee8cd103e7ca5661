import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from emogen.media.pixels import lay_on
from emogen.stickers.cast import draw
from emogen.stickers.ground import ground_against, on_ground
from emogen.stickers.palette import BACKGROUNDS, BODY_COLORS
from emogen.stickers.regions import join, label, reach_from_border
from emogen.stickers.render import StickerSpec, render
from emogen.stickers.transparent import BackgroundError, _steady, background_colour, key_background

SIZE, COUNT = 48, 4
BODY, INK, WHITE = (220, 60, 50), (40, 20, 20), (255, 255, 255)


def sticker(outline=INK, body=BODY):
    """A moving disc with an outline and eyes of pure white: uint8 RGBA (F, H, W, 4), anti-aliased."""
    frames = []
    for index in range(COUNT):
        big = 8
        image = Image.new("RGBA", (SIZE * big, SIZE * big), (*outline, 0))
        draw = ImageDraw.Draw(image)
        x, y, r = (20 + index) * big, 24 * big, 15 * big
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(*body, 255), outline=(*outline, 255), width=2 * big)
        for side in (-1, 1):
            ex = x + side * 5 * big
            draw.ellipse((ex - 3 * big, y - 4 * big, ex + 3 * big, y + 2 * big), fill=(*WHITE, 255))
        frames.append(np.asarray(image.convert("RGBa").reduce(big).convert("RGBA")))
    return np.stack(frames)


def noisy(frames, amount, seed=0):
    noise = np.random.default_rng(seed).normal(0, amount, frames.shape)
    return np.clip(frames + noise, 0, 255).round().astype(np.uint8)


def on(rgba, colour):
    return lay_on(rgba, colour).astype(float)


@pytest.mark.parametrize("ground", [WHITE, (0, 200, 60), (120, 160, 250)])
@pytest.mark.parametrize("noise", [0, 4])
def test_alpha_and_colours_are_recovered(ground, noise):
    truth = sticker()
    keyed = key_background(noisy(on(truth, ground), noise))
    assert keyed.shape == truth.shape and keyed.dtype == np.uint8
    error = np.abs(keyed[..., 3].astype(int) - truth[..., 3])
    assert error.mean() < 2
    assert (keyed[..., 3][truth[..., 3] == 0] < 40).all()
    assert (keyed[:, 20:24, 14:26, 3] == 255).all()  # the face, white eyes on white ground included
    # On another ground no rim of the old one shines through.
    rim = (truth[..., 3] > 0) & (truth[..., 3] < 255)
    for other in ((0, 0, 0), (255, 0, 255)):
        assert np.abs(on(keyed, other) - on(truth, other))[rim].mean() < 14
        assert np.abs(on(keyed, other) - on(truth, other)).mean() < 1 + noise


def test_decontamination_beats_a_hard_cut():
    truth = sticker()
    flat = lay_on(truth)
    soft, hard = (np.abs(on(key_background(flat, feather=f), (0, 0, 0)) - on(truth, (0, 0, 0))).mean() for f in (2, 0))
    assert soft < 0.6 * hard
    assert set(np.unique(key_background(flat, feather=0, shadows=False)[..., 3])) == {0, 255}


def test_a_white_face_behind_a_thin_outline_stays_whole():
    truth = sticker(body=(252, 252, 252))
    keyed = key_background(lay_on(truth), feather=4)
    whole = truth[..., 3] == 255
    assert (keyed[..., 3][whole] > 200).mean() > 0.995 and np.abs(on(keyed, WHITE) - on(truth, WHITE)).max() < 40


def test_the_background_is_found_and_may_be_given():
    flat = lay_on(sticker(), (10, 180, 90))
    assert background_colour(noisy(flat, 3)) == pytest.approx((10, 180, 90), abs=2)
    flat[:, -12:, :30] = BODY  # a sticker that touches the border
    given = key_background(flat, colour=(10, 180, 90))
    assert (given == key_background(flat)).all() and (given[:, -5:, :20, 3] == 255).all()


def test_a_background_that_is_not_flat_is_refused_with_numbers():
    slope = np.linspace(0, 255, SIZE)[None, None, :, None].repeat(SIZE, 1).repeat(3, 3).astype(np.uint8)
    with pytest.raises(BackgroundError, match=r"not flat: \d+% .* 50% must.*nine tenths within \d{2,3}"):
        key_background(slope)
    with pytest.raises(BackgroundError, match=r"0% of the border lies within 30 of \(0, 0, 255\)"):
        key_background(lay_on(sticker()), colour=(0, 0, 255))
    with pytest.raises(BackgroundError, match="nothing is left"):
        key_background(np.full((2, 16, 16, 3), 90, np.uint8))


@pytest.mark.parametrize("arguments", [{"tolerance": 0}, {"feather": -1}, {"colour": (300, 0, 0)}, {"colour": (1, 2)}])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        key_background(lay_on(sticker()), **arguments)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 9, 9, 4), np.uint8),
        np.zeros((2, 9, 9, 3)),
        np.zeros((0, 9, 9, 3), np.uint8),
        np.zeros((2, 3, 9, 3), np.uint8),
    ],
)
def test_bad_frames(frames):
    with pytest.raises(ValueError, match="uint8"):
        key_background(frames)


def test_what_the_border_reaches_is_what_scipy_says():
    label = pytest.importorskip("scipy.ndimage").label
    for seed, share in enumerate((0.3, 0.6, 0.65, 0.9)):
        open_ = np.random.default_rng(seed).random((40, 31)) < share
        names, _ = label(open_)
        border = np.unique(np.concatenate([names[0], names[-1], names[:, 0], names[:, -1]]))
        assert (reach_from_border(open_) == np.isin(names, border[border > 0])).all()


def test_parts_are_what_scipy_says():
    ndimage = pytest.importorskip("scipy.ndimage")
    joins = np.zeros((3, 3, 3), bool)
    joins[1] = True
    joins[:, 1, 1] = True
    for seed, share in enumerate((0.1, 0.3, 0.5)):
        mask = np.random.default_rng(seed).random((4, 17, 23)) < share
        names, count = ndimage.label(mask, joins)
        found = label(mask)
        assert found.max() == count and len({*zip(found.ravel(), names.ravel(), strict=True)}) == count + 1
    assert not label(np.zeros((2, 3, 3), bool)).any()


def test_filling_does_not_go_on_in_the_next_row():
    open_, start = np.ones((3, 4), bool), np.zeros((3, 4), bool)
    open_[:, 1:3] = False
    start[0, 3] = True
    assert (join(open_, start)[:, [0, 3]] == [False, True]).all()


def test_a_patch_at_the_edge_of_the_tolerance_does_not_flicker():
    frames = lay_on(sticker())
    frames[:, 36:40, 36:40] = (255, 255, 226)  # 29 away from white
    frames[1, 36:40, 36:40] = (255, 255, 223)
    keyed = key_background(frames, shadows=False)
    assert (keyed[:, 37, 37, 3] == 0).all()
    frames[:, 36:40, 36:40] = (255, 255, 200)
    assert (key_background(frames, shadows=False)[:, 37, 37, 3] > 200).all()


def test_a_still_pixel_does_not_flicker_and_a_moving_one_is_left_alone():
    frames = np.full((3, 1, 2, 3), 100, np.uint8)
    frames[1, 0, 1] = 200
    keyed = np.concatenate([frames, np.full((3, 1, 2, 1), 255, np.uint8)], axis=-1)
    keyed[1, :, :, 3] = 0
    assert _steady(keyed, frames, 8)[1, 0, :, 3].tolist() == [255, 0]


def test_a_soft_shadow_is_half_transparent_black():
    frames = render(StickerSpec(emotion="awe", color="red"), num_frames=3, size=96)
    keyed, kept = key_background(frames), key_background(frames, shadows=False)
    soft = (keyed[..., 3] > 5) & (keyed[..., 3] < 90) & (keyed[..., :3].max(-1) == 0)
    assert soft.mean() > 0.01 and (kept[..., 3][soft] == 255).mean() > 0.5
    ground = background_colour(frames)
    assert np.abs(on(keyed, ground) - frames)[soft].mean() < 8  # laid back, it looks as before


def test_a_background_that_darkens_is_taken_away_in_every_frame():
    from emogen.stickers.render import StickerSpec, render

    face = render(StickerSpec("round", "blue", "white", seed=5))
    darker = np.stack([(frame * (1 - 0.03 * index)).astype(np.uint8) for index, frame in enumerate(face)])
    for clip in (face, darker):
        alpha = key_background(clip)[..., 3]
        assert (alpha[:, :4, :4] == 0).all() and (alpha[:, 48, 48] == 255).all()


def load_benchmark():
    path = Path(__file__).parents[2] / "benchmarks/cutouts.py"
    spec = importlib.util.spec_from_file_location("cutouts", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("way", ["flat", "noisy", "gradient", "compressed"])
def test_drawn_characters_are_cut_out_on_every_ground(way):
    """Alpha is known: its mean error is at most 0.02 and no stray island is larger than 0.1 % of the frame."""
    bench = load_benchmark()
    found = []
    for number, spec in enumerate(bench.specs(4, seed=5)):
        truth = draw(spec, 3, 96, 12)
        clip = bench.spoiled(lay_on(truth, BACKGROUNDS[ground_against(f"a {spec.color} face")]), way, number)
        found.append(bench.errors(key_background(clip)[..., 3] / 255, truth[..., 3] / 255))
    assert np.mean(found, axis=0)[0] <= 0.02 and max(island for *_, island in found) <= bench.ISLAND


def beside(clip, place, colour, frames):
    """The clip with a square beside the sticker in some frames."""
    out = clip.copy()
    for index in frames:
        out[index, place : place + 5, 2:7] = colour
    return out


def test_effects_are_kept_or_dropped_and_specks_always_go():
    clip = lay_on(sticker(), (150, 200, 250))
    steam = beside(clip, 3, (255, 230, 60), range(COUNT))
    kept, dropped = key_background(steam), key_background(steam, effects=False)
    assert (kept[:, 5, 4, 3] == 255).all() and (dropped[:, 3:8, 2:7, 3] == 0).all()
    assert np.array_equal(dropped[:, 10:], key_background(clip)[:, 10:])  # the body is as without
    flash = key_background(beside(clip, 3, (255, 230, 60), [1]))
    assert (flash[:, :9, :9, 3] == 0).all()
    faint = key_background(beside(clip, 3, (185, 200, 250), range(COUNT)))  # 35 away from the ground, a smudge
    assert (faint[:, :9, :9, 3] == 0).all()


def test_rays_that_touch_the_body_go_and_arms_stay():
    """What tells them apart without effects: rays are thin and pale, arms are thin and distinct."""
    clip = lay_on(sticker(), (255, 255, 255))
    clip[:, 10:13, 24:27] = clip[:, 7:10, 24:27] = clip[:, 4:7, 24:27] = (255, 250, 190)
    clip[:, 30:33, 34:46] = INK
    keyed = key_background(clip, effects=False)
    assert (keyed[:, 4:6, 25, 3] == 0).all() and (keyed[:, 31, 44, 3] == 255).all()


def test_a_halo_beside_an_outline_is_not_cut_out_with_the_sticker():
    """What codecs and models leave beside a dark edge: a rim a little brighter than the ground."""
    ground = np.array((240, 230, 150))
    truth = sticker()
    clip = lay_on(truth, tuple(ground)).astype(int)
    outside = truth[..., 3] == 0
    rim = np.zeros_like(outside)
    for dy, dx in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        rim |= np.roll(~outside, (dy, dx), (1, 2)) & outside
    clip[rim] = (238, 246, 188)  # 41 away from the ground
    keyed = key_background(clip.astype(np.uint8))
    assert (keyed[..., 3][rim] < 110).mean() > 0.95


def test_a_prompt_gets_a_ground_that_suits_it():
    for colour in BODY_COLORS:
        ground = ground_against(f"a star-shaped {colour} face")
        assert ground != colour and on_ground(f"a {colour} face.") == f"a {colour} face on a {ground} background"
    assert on_ground("a red face on a white background") == "a red face on a white background"
