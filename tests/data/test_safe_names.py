"""Output names from a table: inside the folder, and one file a row."""

import unicodedata

import pytest

from emogen.data.safe_names import TakenNames, safe_name


@pytest.mark.parametrize("name", ["a.mp4", "./a.mp4", "faces/joy/a.mp4", "faces\\joy\\a.mp4", "a..b.mp4", "ä 1.mp4"])
def test_names_inside_the_folder_are_kept(tmp_path, name):
    path = safe_name(name, tmp_path)
    assert path.is_relative_to(tmp_path) and path.name == name.replace("\\", "/").split("/")[-1]
    assert safe_name(str(path), tmp_path) == path, "an absolute path inside the folder is taken too"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../a.mp4", "leaves the output folder"),
        ("a/../../b.mp4", "leaves the output folder"),
        ("..\\a.mp4", "leaves the output folder"),
        ("/etc/a.mp4", "leaves the output folder"),
        ("C:\\a.mp4", "leaves the output folder"),
        ("C:a.mp4", "has the character ':'"),
        ("link/a.mp4", "through a link"),
        ("", "names no file"),
        (".", "names no file"),
        ("sub/", "names no file"),
        ("a:b.mp4", "has the character ':'"),
        ("a\0.mp4", "has the character"),
        ("a\nb.mp4", "has the character"),
        ("what?.mp4", "has the character"),
        ("sub /a.mp4", "ends with a space"),
        ("a.mp4.", "ends with a dot"),
        ("aux.mp4", "a device's name"),
        ("x" * 300 + ".mp4", "longer than 255 bytes"),
    ],
)
def test_other_names_are_refused(tmp_path, name, message):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match=message):
        safe_name(name, tmp_path / "out")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A.mp4", "a.mp4"),
        ("./a.mp4", "a.mp4"),
        ("x//a.mp4", "x/a.mp4"),
        ("straße.mp4", "STRASSE.mp4"),
        (unicodedata.normalize("NFC", "é.mp4"), unicodedata.normalize("NFD", "é.mp4")),
        (unicodedata.normalize("NFD", "É.mp4"), unicodedata.normalize("NFC", "é.mp4")),
    ],
)
def test_two_spellings_of_one_name_are_one(one, other):
    taken = TakenNames()
    taken.add(one, "row 2")
    taken.add("b.mp4", "row 3")
    taken.add(one, "row 2")
    with pytest.raises(ValueError, match=r"is that of row 2 too"):
        taken.add(other, "row 4")
