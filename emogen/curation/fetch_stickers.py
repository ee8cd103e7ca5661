"""Real animated stickers: Microsoft's Fluent emoji, from the npm registry, with their licence and reviewed labels.

Of a package (`npm`) nothing but its pictures and its own description is taken out. Beside them lies `about.csv`, a row
a picture: its caption (from the reviewed table of `emogen.stickers`, else its Unicode names), its group (the first code
point, so that the skin tones of a figure stay together), and where people have reviewed what it expresses, its emotion.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

from emogen.curation.npm import Package, tarball, unpack
from emogen.files import write_text
from emogen.stickers.fluent import read_table

ABOUT = "about.csv"
LICENSE = "LICENSE.txt"
_COLUMNS = ("source_path", "group", "caption", "caption_by", "emotion", "intensity", "no_label", "license", "origin")
_PICTURE = re.compile(r"package/assets/([0-9a-f]{2,6}(?:[-_]+[0-9a-f]{2,6})*)\.webp")
_TONES = {
    "1f3fb": "light", "1f3fc": "medium light", "1f3fd": "medium", "1f3fe": "medium dark", "1f3ff": "dark",
}  # fmt: skip
_JOINERS = ("200d", "fe0f", "20e3")
_LICENSE = """\
The pictures are Microsoft's Fluent Emoji (https://github.com/microsoft/fluentui-emoji), published under the MIT License
and repackaged as {packages} on the npm registry, whose package.json says "license": "MIT".

MIT License

Copyright (c) Microsoft Corporation.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


FLUENT = (
    Package("@lobehub/fluent-emoji-anim-1", "1.0.0",
            "/4m31vAuZEQ4aUJ5pxcOU5PVkuJya55GRxUZL7+zgLlxZXpzzE8jPqpDyhZICE3n47nS/Y9M5/vLdizi8201QA=="),
    Package("@lobehub/fluent-emoji-anim-2", "1.0.0",
            "S6yzf0RZXrQbXdxCWuHA9BAoLdBRk2flX+ne4TPGEH/qApwisCAKHoAAGjKSlTY3OVeZ9b7t/NEbmpjawnQYJA=="),
    Package("@lobehub/fluent-emoji-anim-3", "1.0.0",
            "UzRSUDMjdfdt9vER5bhjHkPqgc3EEgfGtYs6ndvizOTvQOxYQ57ow2RTkWSDZxwW30X4EYBi2eWTS7CXDDoFsg=="),
    Package("@lobehub/fluent-emoji-anim-4", "1.0.0",
            "IIkl5ztSd1HrzvIDt/uGsFoC1WODXRdYq5uROrnkyqi9DbToEcJ1nlY86PnoUXeFS9nBCnHfiYk3ouSEGThFmA=="),
)  # fmt: skip


def fetch_stickers(
    folder: str | Path, packages: tuple[Package, ...] = FLUENT, say: Callable[[str], None] = print
) -> int:
    """Bring the pictures into `folder/PACKAGE/CODEPOINT.webp`, with `about.csv` and the licence beside them. Packages
    that are there stay. Returns how many pictures there are.

    Raises:
        StageError: npm is missing or fails (its own words are given), or a tarball is not the one that is pinned.
    """
    folder = Path(folder)
    for package in packages:
        target = folder / package.folder
        if target.is_dir():
            continue
        with tarball(package, folder) as archive:
            count = unpack(archive, target, _wanted) - 1
        say(f"fetched {package.name} {package.version}: {count} pictures")
    write_text(folder / LICENSE, _LICENSE.format(packages=", ".join(package.name for package in packages)))
    return _write_about(folder, packages)


def _wanted(name: str) -> str | None:
    """Pictures alone, by names of our own making, and the package's description."""
    named = _PICTURE.fullmatch(name)
    return f"{named[1]}.webp" if named else {"package/package.json": "package.json"}.get(name)


def _write_about(folder: Path, packages: tuple[Package, ...]) -> int:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    count = 0
    for package in packages:
        inside = package.folder
        origin = f"{package.name} {package.version}"
        for path in sorted((folder / inside).glob("*.webp")):
            row = about_sticker(path.stem) | {"license": "MIT", "origin": origin}
            writer.writerow({"source_path": f"{inside}/{path.name}"} | row)
            count += 1
    write_text(folder / ABOUT, text.getvalue())
    return count


def about_sticker(name: str) -> dict[str, str]:
    """What is known of a picture that is named by its code points: group and caption, and its emotion if reviewed.

    Args:
        name: hexadecimal code points, such as "1f44b-1f3fb".
    """
    points = [point for point in re.split("[-_]+", name) if point]
    bare = "-".join(point for point in points if point not in _TONES)
    found = read_table().get(name) or read_table().get(bare)
    row = {"group": points[0], "caption": unicode_caption(points), "caption_by": "unicode name"}
    if found is None:
        return row
    tone = next((f" with {_TONES[point]} skin" for point in points if point in _TONES), "")
    row |= {"caption": found["caption"] + tone, "caption_by": "reviewed table"}
    if found["split"] == "none":
        return row | {"no_label": "reviewed as ambiguous"}
    return row | {"emotion": found["emotion"], "intensity": found["intensity"]}


def unicode_caption(points: list[str]) -> str:
    """A caption from the names that Unicode gives the code points."""
    words, tone = [], ""
    for point in points:
        if point in _TONES:
            tone = tone or f" with {_TONES[point]} skin"
        elif point not in _JOINERS:
            said = unicodedata.name(chr(int(point, 16)), "").lower().replace("-", " ").replace(",", "")
            said = re.sub(r"^regional indicator symbol letter (\w)$", r"flag letter \1", said)
            words.append(said or f"sign {point}")
    names = " and ".join(words)
    return f"a 3d emoji of {'an' if names[:1] in 'aeiou' else 'a'} {names}{tone}"
