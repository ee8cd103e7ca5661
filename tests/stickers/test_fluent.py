import csv
import io
import re
import tarfile
import unicodedata
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from emogen.emotion import scrub_emotion_words
from emogen.emotion.taxonomy import MIKELS
from emogen.stickers import fluent

# Words that would tell the expression in a caption although they name no emotion.
TELLING = re.compile(
    r"\b(smil|grin|laugh|cry|tear|weep|frown|scream|wink|kiss|heart|steam|sweat|blush|nause|vomit|yawn|sleep|pout"
    r"|sob|shock|surpris|worr|tired|sick|evil|mad\b|loud|joy|open|closed|tongue|brows?\b|eyes?\b)"
)
COLORS = {"yellow", "red", "orange", "green", "blue", "purple", "pink", "brown", "white", "gray", "black"}
YELLOW, RED, WHITE, INK = (255, 200, 40), (230, 40, 60), (255, 255, 255), (58, 34, 40)
MOUTH, TEAR = (120, 10, 150), (60, 120, 250)


@pytest.fixture(autouse=True)
def fresh_cache():
    """Decoded files are remembered by path; a test that writes a path anew must not see the old one."""
    fluent._decode.cache_clear()


def webp(frames, **options):
    """Bytes of a lossless WebP of RGBA arrays; hidden colours under zero alpha are kept.

    Frames should not be an opaque rectangle on nothing: the encoder crops those and marks the file as opaque.
    """
    images = [Image.fromarray(np.asarray(f, np.uint8), "RGBA") for f in frames]
    file = io.BytesIO()
    more = dict(save_all=True, append_images=images[1:], duration=42) if len(images) > 1 else {}
    images[0].save(file, "WEBP", lossless=True, exact=True, **more, **options)
    return file.getvalue()


def plain(color, alpha=255, side=32):
    return np.broadcast_to(np.array([*color, alpha], np.uint8), (side, side, 4))


def counted(count):
    """`count` plain frames whose red is ten times their number, so that a clip shows which frames it holds."""
    return webp([plain((10 * k, 90, 200)) for k in range(count)])


def shown(clip):
    return [int(f[16, 16, 0]) // 10 for f in clip]


def only(folder):
    (one,) = fluent.find_emoji(folder)
    return one


@pytest.fixture(scope="module")
def rows():
    with fluent.TABLE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def used(rows):
    return [row for row in rows if row["split"] != "none"]


# --- the table


def test_the_table_has_its_columns_and_each_code_point_once(rows):
    wanted = ["codepoint", "name", "emotion", "intensity", "color", "character", "caption", "split", "note"]
    assert list(rows[0]) == wanted
    assert max(Counter(row["codepoint"] for row in rows).values()) == 1
    assert len(fluent.read_table()) == len(rows) > 100


def test_names_are_those_of_the_code_points(rows):
    for row in rows:
        assert row["name"] == unicodedata.name(chr(int(row["codepoint"].split("-")[0], 16))).lower()


def test_labels_are_valid(used):
    for row in used:
        assert row["emotion"] in (*MIKELS, "neutral"), row
        assert row["split"] in ("train", "judge", "test"), row
        assert row["color"] in COLORS, row
        low, high = (0, 0) if row["emotion"] == "neutral" else (0.3, 1)
        assert low <= float(row["intensity"]) <= high, row


def test_what_is_left_out_says_why(rows):
    left_out = [row for row in rows if row["split"] == "none"]
    assert left_out and all(row["note"] for row in left_out)


def test_captions_name_the_content_and_nothing_of_the_emotion(used):
    for row in used:
        caption = row["caption"]
        words = caption.split()
        assert caption.startswith("a 3d emoji of a"), row
        assert row["color"] in words and set(row["character"].split()) <= set(words), row
        assert scrub_emotion_words(caption) == (caption, []), row
        assert not TELLING.search(caption), row
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", caption), row


def test_faces_of_one_caption_carry_several_emotions(used):
    """Otherwise the caption alone would give the emotion away."""
    emotions = {row["emotion"] for row in used if row["caption"] == "a 3d emoji of a round yellow face"}
    assert emotions == {*MIKELS, "neutral"}


def test_every_emotion_is_in_every_split(used):
    count = Counter((row["emotion"], row["split"]) for row in used)
    for emotion in (*MIKELS, "neutral"):
        assert count[emotion, "train"] >= 3 and count[emotion, "judge"] >= 1 and count[emotion, "test"] >= 1, emotion
    shares = Counter(row["split"] for row in used)
    assert shares["train"] > shares["judge"] and shares["train"] > shares["test"]


@pytest.mark.parametrize(
    "twins",
    [
        ("1f641", "2639-fe0f"),
        ("1f60a", "263a-fe0f"),
        ("1f61b", "1f61c"),
        ("1f31b", "1f31c"),
        ("1f619", "1f61a"),
        ("1f626", "1f627"),
        ("1f629", "1f62b"),
    ],
)
def test_twins_of_the_same_art_share_a_split(twins):
    a, b = (fluent.read_table()[t] for t in twins)
    assert (a["split"], a["emotion"]) == (b["split"], b["emotion"])


# --- captions of content


@pytest.mark.parametrize(
    ("codepoint", "caption"),
    [
        ("1f32d", "a 3d emoji of a hot dog"),
        ("1f419", "a 3d emoji of an octopus"),
        ("1f3cd-fe0f", "a 3d emoji of a racing motorcycle"),
        ("1f996", "a 3d emoji of a t rex"),
        ("26bd", "a 3d emoji of a soccer ball"),
    ],
)
def test_content_is_captioned_by_its_name(codepoint, caption):
    assert fluent.content_caption(codepoint) == caption


@pytest.mark.parametrize(
    "codepoint",
    [
        "0023-fe0f-20e3",
        "1f1e6-1f1e8",
        "1f550",
        "1f500",
        "2650",
        "1f170-fe0f",
        "1f21a",
        "1f7e0",
        "1f534",
        "27a1-fe0f",
        "1f600",
        "1f436",
        "1f494",
        "1f468-200d-1f373",
        "2764-fe0f",
        "1f6ad",
        "2122-fe0f",
    ],
)
def test_symbols_letters_flags_and_faces_are_no_content(codepoint):
    assert fluent.content_caption(codepoint) is None


# --- finding


def test_finds_faces_and_content_and_skips_the_rest(tmp_path):
    inside = tmp_path / "package" / "assets"
    inside.mkdir(parents=True)
    for name in ("1f602", "1f32d", "1f3c4-1f3fc", "1f60f", "1f550", "1f469-200d-1f680", "1f44b-1f3fb"):
        (inside / f"{name}.webp").write_bytes(webp([plain(YELLOW)] * 2))
    content, face = fluent.find_emoji(tmp_path)
    assert (face.codepoint, face.emotion, face.intensity, face.split) == ("1f602", "amusement", 1.0, "train")
    assert (face.color, face.character, face.expressive) == ("yellow", "round face", True)
    assert face.location == inside / "1f602.webp" and face.member == ""
    assert (content.codepoint, content.name, content.caption) == ("1f32d", "a hot dog", "a 3d emoji of a hot dog")
    assert (content.emotion, content.intensity, content.expressive) == ("neutral", 0.0, False)


def test_the_split_of_content_is_stable_and_small(tmp_path):
    """A change of the hash would move test content into training."""
    for point in range(0x1F400, 0x1F4FF):
        (tmp_path / f"{point:x}.webp").touch()
    splits = {e.codepoint: e.split for e in fluent.find_emoji(tmp_path) if not e.expressive}
    assert len(splits) > 150 and set(splits.values()) == {"train", "test"}
    assert 0.02 < Counter(splits.values())["test"] / len(splits) < 0.15
    held_out = sorted(k for k, v in splits.items() if v == "test")
    assert held_out == [
        "1f405",
        "1f409",
        "1f429",
        "1f454",
        "1f455",
        "1f459",
        "1f460",
        "1f461",
        "1f475",
        "1f4b1",
        "1f4cd",
        "1f4e1",
        "1f4fe",
    ]


def test_tarballs_give_what_unpacked_packages_give(tmp_path):
    packed, loose = tmp_path / "packed", tmp_path / "loose"
    packed.mkdir()
    loose.mkdir()
    for package, names in enumerate((("1f602", "1f32d"), ("1f631",))):
        with tarfile.open(packed / f"lobehub-fluent-emoji-anim-{package}.tgz", "w:gz") as tar:
            for k, name in enumerate(names):
                data = webp([plain((40 * k + 20 * i, 100, 30 * package)) for i in range(3)])
                (loose / f"{name}.webp").write_bytes(data)
                info = tarfile.TarInfo(f"package/assets/{name}.webp")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    ours, theirs = fluent.find_emoji(packed), fluent.find_emoji(loose)
    assert [e.codepoint for e in ours] == [e.codepoint for e in theirs] == ["1f32d", "1f602", "1f631"]
    for a, b in zip(ours, theirs, strict=True):
        assert a.location.suffix == ".tgz" and a.member == f"package/assets/{a.codepoint}.webp"
        assert (a.caption, a.split, a.emotion) == (b.caption, b.split, b.emotion)
        assert fluent.is_animated(a) and fluent.is_animated(b)
        np.testing.assert_array_equal(fluent.read_frames(a, 32, 4), fluent.read_frames(b, 32, 4))


def test_packed_and_unpacked_packages_can_lie_together(tmp_path):
    (tmp_path / "1f32d.webp").write_bytes(webp([plain(YELLOW)]))
    with tarfile.open(tmp_path / "two.tgz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("package/assets/1f602.webp"))
    assert [e.codepoint for e in fluent.find_emoji(tmp_path)] == ["1f32d", "1f602"]


@pytest.mark.parametrize("name", ["logo", "110000", "ffffffffff", "1f602-copy", ""])
def test_other_pictures_are_passed_over(tmp_path, name):
    (tmp_path / f"{name}.webp").touch()
    (tmp_path / "1f602.webp").touch()
    assert only(tmp_path).codepoint == "1f602"


def test_a_broken_tarball_is_named(tmp_path):
    (tmp_path / "one.tgz").write_bytes(b"<html>not found</html>")
    with pytest.raises(fluent.BrokenEmojiError, match=r"one\.tgz cannot be read"):
        fluent.find_emoji(tmp_path)


@pytest.mark.parametrize("name", ["empty", "absent"])
def test_nothing_found_says_how_to_get_it(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError) as error:
        fluent.find_emoji(tmp_path / name)
    message = str(error.value)
    assert str(tmp_path / name) in message
    assert all(f"npm pack @lobehub/fluent-emoji-anim-{k}" in message for k in (1, 2, 3, 4))


# --- reading


def test_frames_come_in_order_around_the_middle_and_repeat(tmp_path):
    (tmp_path / "1f600.webp").write_bytes(counted(10))
    one = only(tmp_path)
    read = lambda *a, **k: shown(fluent.read_frames(one, 32, *a, **k, background=WHITE))  # noqa: E731
    assert read(4, stride=1) == [3, 4, 5, 6]
    assert read(4, stride=2) == [1, 3, 5, 7]
    assert read(4, stride=1, shift=-3) == [0, 1, 2, 3]
    assert read(4, stride=1, shift=5) == [8, 9, 0, 1]
    assert read(13, stride=2) == [2, 4, 6, 8, 0, 2, 4, 6, 8, 0, 2, 4, 6]


def test_every_frame_is_whole_though_the_file_stores_differences(tmp_path):
    """WebP stores only the changed part of a frame; a moving square must not leave a trail nor lose the rest."""
    frames = []
    for k in range(6):
        frame = np.zeros((32, 32, 4), np.uint8)
        frame[2:6, 2:6] = (*RED, 255)
        frame[20:26, 4 * k : 4 * k + 6] = (*YELLOW, 255)
        frames.append(frame)
    (tmp_path / "1f600.webp").write_bytes(webp(frames))
    clip = fluent.read_frames(only(tmp_path), 32, 6, stride=1)
    np.testing.assert_array_equal(clip[..., 3], np.stack(frames)[..., 3])
    seen = clip[..., 3] > 0
    np.testing.assert_array_equal(clip[seen], np.stack(frames)[seen])


def test_shape_type_and_background(tmp_path):
    frame = np.array(plain((0, 0, 0), 0))
    y, x = np.mgrid[:32, :32] - 15.5
    frame[np.hypot(x, y) < 9] = (*RED, 255)
    (tmp_path / "1f600.webp").write_bytes(webp([frame, np.roll(frame, 2, 0)]))
    one = only(tmp_path)
    clip = fluent.read_frames(one, 24, 5, background=(10, 200, 30))
    assert clip.shape == (5, 24, 24, 3) and clip.dtype == np.uint8
    assert tuple(clip[0, 0, 0]) == (10, 200, 30) and tuple(clip[0, 12, 12]) == RED
    alpha = fluent.read_frames(one, 24, 5)
    assert alpha.shape == (5, 24, 24, 4) and alpha.dtype == np.uint8
    assert alpha[0, 0, 0, 3] == 0 and tuple(alpha[0, 12, 12]) == (*RED, 255)


def test_hidden_colours_do_not_bleed_into_the_edges(tmp_path):
    """Green under zero alpha, a red disc: resized edges must stay red, with alpha and on a background."""
    y, x = np.mgrid[:64, :64] - 31.5
    frame = np.array(plain((0, 255, 0), 0, 64))
    frame[np.hypot(x, y) < 24] = (*RED, 255)
    (tmp_path / "1f600.webp").write_bytes(webp([frame] * 2))
    one = only(tmp_path)
    rgba = fluent.read_frames(one, 24, 1)[0].astype(int)
    edge = (rgba[..., 3] > 40) & (rgba[..., 3] < 250)
    assert edge.sum() > 20
    assert np.abs(rgba[edge][:, :3] - RED).max() < 12
    flat = fluent.read_frames(one, 24, 1, background=(0, 0, 0))[0]
    assert flat[..., 1].max() <= RED[1] + 5  # the resizing filter overshoots a little


def test_a_still_emoji_is_known_and_repeats(tmp_path):
    (tmp_path / "1f600.webp").write_bytes(webp([plain(YELLOW)]))
    one = only(tmp_path)
    assert not fluent.is_animated(one)
    clip = fluent.read_frames(one, 16, 3, background=WHITE)
    assert clip.shape == (3, 16, 16, 3) and (clip == YELLOW).all()
    (tmp_path / "1f600.webp").write_bytes(counted(2))
    assert fluent.is_animated(one)


def test_a_clip_is_the_callers_own(tmp_path):
    (tmp_path / "1f600.webp").write_bytes(counted(4))
    one = only(tmp_path)
    first = fluent.read_frames(one, 32, 3)
    before = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(fluent.read_frames(one, 32, 3), before)


@pytest.mark.parametrize("part", [0, 10, 60, 0.5, 0.95])
def test_a_broken_file_is_reported_by_name_and_not_dropped(tmp_path, part):
    noise = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 4), dtype=np.uint8)
    data = webp(noise)
    (tmp_path / "1f600.webp").write_bytes(data[: part if isinstance(part, int) else int(len(data) * part)])
    one = only(tmp_path)
    assert fluent.is_animated(one)  # so that whoever skips still ones comes to read it, and learns of the fault
    with pytest.raises(fluent.BrokenEmojiError, match=re.escape(str(tmp_path / "1f600.webp"))):
        fluent.read_frames(one)


def test_a_broken_member_is_reported_with_its_archive(tmp_path):
    with tarfile.open(tmp_path / "one.tgz", "w:gz") as tar:
        info = tarfile.TarInfo("package/assets/1f600.webp")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"RIFF"))
    one = only(tmp_path)
    assert fluent.is_animated(one)
    with pytest.raises(fluent.BrokenEmojiError, match=r"one\.tgz:package/assets/1f600\.webp"):
        fluent.read_frames(one)


# --- recolouring


@pytest.mark.parametrize(
    ("color", "order"),
    [
        ("red", "rgb"),
        ("orange", "rgb"),
        ("green", "grb"),
        ("blue", "bgr"),
        ("purple", "brg"),
        ("pink", "rbg"),
    ],
)
def test_a_yellow_face_takes_the_colour(color, order):
    """The channels of a yellow face, from the strongest to the weakest, come in the new colour's order."""
    out = fluent.hue_shift(plain(YELLOW)[None], color)
    assert out.shape == (1, 32, 32, 4) and out.dtype == np.uint8 and (out[..., 3] == 255).all()
    r, g, b = (int(v) for v in out[0, 0, 0, :3])
    values = {"r": r, "g": g, "b": b}
    strongest, *_, weakest = sorted("rgb", key=lambda k: -values[k])
    if color == "red":  # green and blue are both weak
        assert strongest == "r" and max(g, b) < r / 2
    else:
        assert strongest == order[0] and weakest == order[2], values
    assert max(r, g, b) > 150 and max(r, g, b) - min(r, g, b) > 60


@pytest.mark.parametrize("color", list(fluent.HUE_TARGETS))
def test_features_keep_their_own_colours(color):
    """Eyes, brows, mouth, tears and hidden pixels; and the caller's frames are not changed."""
    swatches = np.array(
        [[[*WHITE, 255], [*INK, 255], [*MOUTH, 255], [*TEAR, 255], [0, 0, 0, 0], [230, 30, 110, 255]]], np.uint8
    )[None]
    before = swatches.copy()
    moved = fluent.hue_shift(swatches, color).astype(int)
    assert np.abs(moved - before).max() <= 2
    np.testing.assert_array_equal(swatches, before)
    translucent = fluent.hue_shift(plain(YELLOW, 77)[None], color)
    assert (translucent[..., 3] == 77).all() and not (translucent[0, 0, 0, :3] == YELLOW).all()


def test_colours_differ_and_frames_without_alpha_work():
    face = plain(YELLOW)[None]
    shades = {c: fluent.hue_shift(face, c)[0, 0, 0, :3].astype(int) for c in fluent.HUE_TARGETS}
    assert set(shades) == {"red", "orange", "green", "blue", "purple", "pink"}
    names = list(shades)
    for i, a in enumerate(names):
        assert np.abs(shades[a] - YELLOW).sum() > 60
        for b in names[i + 1 :]:
            assert np.abs(shades[a] - shades[b]).sum() > 60, (a, b)
        np.testing.assert_array_equal(fluent.hue_shift(face[..., :3], a)[0, 0, 0], shades[a])


def test_shading_survives_recolouring():
    """Darker skin stays darker, so that a recoloured face keeps its roundness."""
    ramp = np.array([[(*(round(v * k) for v in YELLOW), 255) for k in np.linspace(0.75, 1, 8)]], np.uint8)[None]
    for color in fluent.HUE_TARGETS:
        light = fluent.hue_shift(ramp, color)[0, 0, :, :3].astype(int).sum(-1)
        assert (np.diff(light) > 0).all(), color


def test_an_unknown_colour_is_refused():
    with pytest.raises(ValueError, match="'brown' is not one of red"):
        fluent.hue_shift(plain(YELLOW)[None], "brown")
