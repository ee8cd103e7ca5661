"""Sets of stickers: names, limits, what lies beside them, letters, and how alike they are."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from emogen.media.writer import write_video
from emogen.stickers.alike import layout, likeness
from emogen.stickers.cast import CastSpec, draw
from emogen.stickers.lettering import check_text, write_on
from emogen.stickers.sticker_set import Sticker, check_count, emoji_of, file_stem, finish_set, short_word


def test_one_character_is_more_alike_than_two():
    specs = [CastSpec("fox", "orange"), CastSpec("frog", "blue"), CastSpec("round", "yellow")]
    clips = [
        draw(CastSpec(s.character, s.color, emotion=name), 5, 64) for s in specs for name in ("awe", "anger", "fear")
    ]
    found = likeness(clips)
    who = np.repeat(range(3), 3)
    same = (who[:, None] == who) & ~np.eye(9, dtype=bool)
    assert found[same].mean() > found[who[:, None] != who].mean() + 0.1
    nearest = np.where(np.eye(9, dtype=bool), 0, found).argmax(1)
    assert (who[nearest] == who).sum() >= 7  # of 9
    assert np.allclose(np.diag(found), 1) and np.allclose(found, found.T) and np.allclose(layout(clips[0]).sum(1), 1)


@pytest.mark.parametrize(
    ("text", "word"),
    [("A fox", "fox"), ("an Orange, fluffy cat!", "orange_fluffy_cat"), ("the", "the"), ("\u72d0", "character"),
     ("x" * 40, "x" * 24), ("a", "a")],
)  # fmt: skip
def test_short_words(text, word):
    assert short_word(text) == word


def test_names_limits_and_emoji():
    assert file_stem(3, "fox", "joy", "telegram") == "03_fox_joy" and file_stem(3, "", "joy", None) == "03_joy"
    assert file_stem(3, "fox", "joy", "slack") == "fox_joy" and file_stem(3, "", "joy", "discord") == "joy"
    for count, platform in ((2, "whatsapp"), (31, "whatsapp"), (121, "telegram")):
        with pytest.raises(ValueError, match=rf"{count} stickers in a set; {platform} takes \d+ to \d+"):
            check_count(count, platform)
    check_count(8, "whatsapp")
    check_count(2, "slack")
    assert [emoji_of(text) for text in ("anger", "joy", "0:fear 1:sadness", "neutral")] == ["😡", "😂", "😢", "🙂"]


def sticker(path, colour, metadata=None):
    frames = np.zeros((4, 40, 40, 4), np.uint8)
    for index in range(4):
        frames[index, 8:30, 4 + index : 28 + index] = (*colour, 255)
    write_video(path, frames, 8, metadata or {"prompt": "a face", "seed": 4})
    return path


def test_what_lies_beside_the_stickers(tmp_path):
    folder = tmp_path / "my set"
    colours = {"awe": (220, 40, 40), "fear": (220, 60, 40), "joy": (30, 40, 230)}
    stickers = [Sticker(sticker(folder / f"{name}.webp", colour), name) for name, colour in colours.items()]
    done = finish_set(folder, stickers, "whatsapp")
    assert done.odd == {"": "joy"} and 0 < done.alike[""] < 1
    rows = json.loads((folder / "set.json").read_text())["stickers"]
    assert [row["file"] for row in rows] == ["awe.webp", "fear.webp", "joy.webp"]
    assert rows[0]["seed"] == 4 and rows[0]["prompt"] == "a face" and rows[0]["alike"] > rows[2]["alike"]
    (pack,) = json.loads((folder / "contents.json").read_text())["sticker_packs"]
    assert pack["animated_sticker_pack"] and pack["identifier"] == "my_set"
    assert [one["emojis"] for one in pack["stickers"]] == [["😮"], ["😱"], ["😂"]]
    with Image.open(folder / pack["tray_image_file"]) as tray:
        assert tray.size == (96, 96) and (folder / "tray.png").stat().st_size < 50 * 1024
    with zipfile.ZipFile(done.archive) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        assert archive.read("joy.webp") == (folder / "joy.webp").read_bytes()
    assert set(names) == {"awe.webp", "fear.webp", "joy.webp", "set.json", "contents.json", "tray.png"}
    before = done.archive.read_bytes()
    assert finish_set(folder, stickers, "whatsapp").archive.read_bytes() == before
    with Image.open(done.sheet) as sheet:
        assert sheet.width == 3 * 2 * 128
    several = [Sticker(one.path, "joy", f"character {number}") for number, one in enumerate(stickers)]
    with Image.open(finish_set(folder, several).sheet) as sheet:  # a row each
        assert sheet.height > 3 * 128 and sheet.width > 2 * 128


def test_letters_lie_at_the_bottom_and_fit():
    clear = np.zeros((2, 96, 96, 4), np.uint8)
    for text in ("joy", "w" * 30):
        seen = write_on(clear, text)[..., 3] > 0
        assert seen[:, 60:].any() and not seen[:, :60].any() and not seen[:, :, [0, -1]].any() and not seen[:, -1].any()
    opaque = np.full((2, 96, 96, 3), 255, np.uint8)
    assert write_on(opaque, "joy").shape == opaque.shape and (write_on(opaque, "joy") < 100).any()  # the rim


@pytest.mark.parametrize(
    ("text", "font", "message"),
    [(" ", None, "is empty"), ("w" * 31, None, "at most 30"), ("a\nb", None, "one line"),
     ("\u72d0\u72f8", None, "no character '\u72d0'; give a font that has it"), ("a", "none.ttf", "no file none.ttf")],
)  # fmt: skip
def test_texts_that_cannot_be_written(text, font, message):
    with pytest.raises((OSError, ValueError), match=message):
        check_text(text, font)
    check_text("Joy! 1?")
