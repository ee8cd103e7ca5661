"""Files of many kinds, written with PyAV and by hand, for the tests of reading."""

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FIXTURES = Path(__file__).parent.parent / "fixtures" / "media"


def moving(count=18, height=64, width=96):
    """A bright block that goes right by four pixels a frame, over a picture with all sorts of colours."""
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 120, (height // 8, width // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    frames = np.repeat(ground[None], count, axis=0)
    for index, frame in enumerate(frames):
        frame[height // 4 : height // 2, 4 * index % width : 4 * index % width + 12] = (240, 230, 60)
    return frames


def encode(path, frames, rate=12, codec="libx264", pix_fmt="yuv420p", *, form=None, stamps=None, options=None, tags=(),
           sound=0.0):  # fmt: skip
    """Write frames as a video.

    Args:
        stamps: presentation stamps in ticks of 1/600 s, one a frame; None for an even rate.
        tags: matrix, primaries and curve by their numbers.
        sound: seconds of silence beside the picture.
    """
    with av.open(str(path), "w", format=form) as file:
        stream = file.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pix_fmt
        context = stream.codec_context
        if tags:
            context.colorspace, context.color_primaries, context.color_trc = tags
        if stamps is not None:
            context.time_base = Fraction(1, 600)
        voice = file.add_stream("aac", rate=44100, layout="mono") if sound else None
        for index, frame in enumerate(frames):
            if frame.dtype == np.uint16:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb48le")
                picture = picture.reformat(format=pix_fmt, dst_colorspace=9)
            else:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            if stamps is not None:
                picture.pts, picture.time_base = stamps[index], Fraction(1, 600)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
        if voice is not None:
            for start in range(0, round(sound * 44100), 1024):
                quiet = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                quiet.sample_rate, quiet.pts, quiet.time_base = 44100, start, Fraction(1, 44100)
                file.mux(voice.encode(quiet))
            file.mux(voice.encode(None))
    return Path(path)


def claiming_png(path, frames=1_000_000, real=3):
    """An 8x8 APNG of a few real frames whose header claims many."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    raw = zlib.compress(b"\0" * 8 * 9)
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    out += chunk(b"acTL", struct.pack(">II", frames, 0))
    number = 0
    for index in range(real):
        out += chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 8, 8, 0, 0, 1, 10, 0, 0))
        number += 1
        out += chunk(b"IDAT", raw) if index == 0 else chunk(b"fdAT", struct.pack(">I", number) + raw)
        number += index > 0
    path.write_bytes(out + chunk(b"IEND", b""))
    return path
