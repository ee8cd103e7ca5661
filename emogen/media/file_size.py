"""How many bytes a video file should have, by its own outermost boxes: a file that was cut has fewer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp")
_TS_PACKET, _TS_MARK = 188, 0x47
_MOST_BOXES = 100_000


@dataclass(frozen=True)
class FileSize:
    """Bytes that are there, bytes that are declared (None where nothing says), and whether an MP4 has its index."""

    there: int
    declared: int | None = None
    indexed: bool = True

    @property
    def cut(self) -> bool:
        return self.declared is not None and self.there < self.declared

    def __str__(self) -> str:
        index = "" if self.indexed else ", and its index (moov), which stands at the end, is not"
        return f"{self.there:,} of {self.declared or self.there:,} bytes are there{index}"


def file_size(path: Path) -> FileSize:
    """What an MP4 (or MOV), Matroska (or WebM) or AVI file says about its own length.

    A transport stream (.ts) is as long as its packets are whole; other kinds say nothing.

    Raises:
        OSError: the file cannot be read.
    """
    there = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(2 * _TS_PACKET + 1)
        if head[4:8] in _FIRST_BOXES:
            return _boxes(file, there)
        if head[:4] == _EBML:
            return FileSize(there, _segment_end(file))
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            length = int.from_bytes(head[4:8], "little")  # 0 or all ones where it was written to a pipe
            return FileSize(there, length + 8 if 4 < length < 0xFFFFFFF0 else None)
        if len(head) > 2 * _TS_PACKET and {head[0], head[_TS_PACKET], head[2 * _TS_PACKET]} == {_TS_MARK}:
            return FileSize(there, -(-there // _TS_PACKET) * _TS_PACKET)
    return FileSize(there)


def _boxes(file: BinaryIO, there: int) -> FileSize:
    at, indexed = 0, False
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            break
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        indexed = indexed or kind in (b"moov", b"moof")
        if size == 0:  # up to the end of the file
            at = there
            break
        if size < 8:
            return FileSize(there, None, indexed)
        at += size
        if at >= there:
            break
    return FileSize(there, at, indexed)


def _segment_end(file: BinaryIO) -> int | None:
    """Where a Matroska file's segment ends; None where it is of unknown length, as recorders write it."""
    file.seek(4)
    length = _number(file)
    if length is None:
        return None
    file.seek(length, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return None
    length = _number(file)
    return None if length is None else file.tell() + length


def _number(file: BinaryIO) -> int | None:
    """A number of Matroska: the first byte's leading zeros say how many bytes follow; all ones mean unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    rest = file.read(more)
    bits = 7 * (more + 1)
    value = int.from_bytes(first + rest, "big") & ((1 << bits) - 1)
    return None if len(rest) < more or value == (1 << bits) - 1 else value
