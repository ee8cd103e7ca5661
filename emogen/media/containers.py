"""Video files, frame by frame, through PyAV.

PyAV was judged against imageio for both directions. imageio's own API (`iio.imiter` with its pyav plugin) decodes the
same pixels, but gives no presentation stamps, no seeking by time, no decoder errors, and no colour tags on writing; its
ffmpeg plugin duplicates frames to a constant rate. So PyAV, whose wheels carry ffmpeg, reads and writes video here,
Pillow animated images, and imageio still pictures such as contact sheets.

A file is known by its content. Only the formats below are opened, so that a playlist under the name of a clip cannot
make ffmpeg open other files or addresses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import Interpolation, VideoReformatter

from emogen.media.file_size import file_size
from emogen.media.limits import DEFAULT_LIMITS, Limits, VideoError
from emogen.media.metadata import unpack
from emogen.media.tones import to_sdr

_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,live_flv,asf,ogg,mxf,nut,ivf,m4v,h264,hevc,"
    "obu,av1,yuv4mpegpipe,dv,wtv,rm,mp3,wav,flac,aac,amr"
)
_PQ, _HLG = 16, 18
_BT709, _BT601, _BT2020 = 1, 5, 9
_MATRICES = {1: _BT709, 4: 4, 5: _BT601, 6: _BT601, 7: 7, 9: _BT2020, 10: _BT2020}  # ffmpeg's number -> PyAV's
_FEW = 12  # errors after which nothing more is expected of a decoder that has not given a frame
_NEAR = 1.0  # seconds from the beginning that are decoded rather than sought
_STEPS_BACK = (0.0, 10.0)  # seconds before the wanted moment to look for a key frame


@dataclass(frozen=True)
class Shown:
    """A frame and when it appears, in seconds after the clip's first; `pixels()` makes it uint8 `(H, W, 3 or 4)`."""

    time: float
    pixels: Callable[[], np.ndarray]


class Container:
    """A video file that is open; a context manager.

    Attributes:
        height, width: as displayed: sample aspect and rotation applied.
        has_audio, codec: what else it holds.
        hdr: "PQ", "HLG", "unnamed" (BT.2020 in ten bits without a named curve), or None.
        channels: 4 for a file with alpha, else 3.
        declared_frames, declared_seconds: by the file's header; None where it does not say.
        rate: frames a second by the file's header, or None.
        grain: seconds by which its stamps may be rounded.
        end: when the last frame goes; known once `frames` has run to the end.
        errors: complaints of demuxer and decoder since the last positioning.
        damage: the last of them, or None.
        cut: None, or a sentence with the bytes that the file declares and has.
    """

    kind = "video"

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS):
        self.path, self.limits = path, limits
        self.end, self.errors, self.damage, self._strict = math.inf, 0, None, False
        self._file = _open(path)
        size = file_size(path)
        self.cut = f"the file is cut: {size}" if size.cut else None
        try:
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *error: object) -> None:
        self._fresh = None
        self._file.close()

    def frames(self, start: float = 0.0) -> Iterator[Shown]:
        """The frames in the order they appear, from the one that shows at `start` seconds (or a little earlier).

        Ends at the first damage, which `damage` then names: what a decoder makes up afterwards is not the clip.

        Raises:
            VideoError: colours that cannot be told.
        """
        if self.hdr == "unnamed":
            raise VideoError(
                f"{self.path}: HDR or SDR? Its colours are BT.2020 in ten bits, and no transfer curve (PQ, HLG) is "
                "named; name it in the file, or convert the clip to SDR (BT.709)"
            )
        before, step, self._strict = None, None, True
        for frame in self._progressive(self._positioned(start)):
            if self.errors:
                break
            time = self._time(frame, before)
            if before is not None:
                time, step = max(time, before), time - before
            before = time
            length = float((frame.duration or 0) * _base(frame, self._stream))
            yield Shown(time, lambda frame=frame: self._pixels(frame))
        if before is None:
            return
        # MP4 keeps distances between decoding, not showing, and says the last frame's length with the last one decoded.
        lengths = [value for value in (length, self._last_length) if value > 0]
        self.end = before + (min(lengths) if lengths else step or self._usual_step())
        if self.declared_seconds and not self.damage and self.end < self.declared_seconds - self.slack:
            self.damage = f"the file ends after {self.end:.2f} s of {self.declared_seconds:.2f} s"

    @property
    def slack(self) -> float:
        """Seconds by which an intact file may end before its header says: headers round, and count other streams."""
        if self.cut:
            return 0.75 * self._usual_step()
        if self._own_duration is not None and not self._stream.duration:  # Matroska's, of this stream and exact
            return max(0.1, 2.5 * self._usual_step())
        return max(0.5, 3 * self._usual_step(), 0.02 * (self.declared_seconds or 0))

    def count(self) -> tuple[int, float]:
        """Decode everything, go on after errors, and count: frames that are intact, and when the last one appears.

        Raises:
            LimitError: more frames or seconds than the limits allow.
        """
        total, broken, last, step, length = 0, 0, 0.0, None, 0.0
        self._strict = False
        for frame in self._positioned(0.0):
            broken += frame.is_corrupt
            total += not frame.is_corrupt
            time = self._time(frame, last if total + broken > 1 else None)
            if time > last:
                step, last = time - last, time
            length = float((frame.duration or 0) * _base(frame, self._stream))
            self.limits.check_length(self.path, total, last)
        lengths = [value for value in (length, self._last_length) if value > 0]
        self.end = last + (min(lengths) if lengths else step or self._usual_step())
        return total, last

    def _read_header(self) -> None:
        pictures = [s for s in self._file.streams.video if not _is_cover(s)]
        if not pictures:
            what = "only sound and a cover picture" if self._file.streams.video else "no picture, only sound or text"
            raise VideoError(f"{self.path}: holds {what}; give a video")
        self._stream = stream = pictures[0]
        if stream.codec_context is None:
            raise VideoError(f"{self.path}: its pictures are of a kind that no decoder here knows; convert it to MP4")
        self.has_audio, self.codec = bool(self._file.streams.audio), stream.codec_context.name
        self.limits.check_size(self.path, stream.codec_context.height, stream.codec_context.width)
        self.declared_frames, self.declared_seconds = stream.frames or None, self._declared_seconds()
        self.limits.check_length(self.path, self.declared_frames, self.declared_seconds)
        self.grain = float(stream.time_base or 0)
        self.rate = float(stream.average_rate) if stream.average_rate else None
        self._prepare()
        running = self._decoded()
        first = next(running, None)
        if first is None:
            raise VideoError(
                f"{self.path}: none of its frames can be decoded ({self.damage or 'it holds no pictures'})"
            )
        self._fresh = chain([first], running)
        self._origin = stream.start_time if stream.start_time is not None else first.pts or 0
        self._turns = round(first.rotation / 90) % 4
        self.hdr = _hdr(first)
        alpha = any(part.is_alpha for part in first.format.components) and not self.hdr
        self.channels = 4 if alpha else 3
        self._size = _square_pixels(first, stream.sample_aspect_ratio)
        self.height, self.width = self._size[::-1] if self._turns % 2 else self._size
        self.limits.check_size(self.path, self.height, self.width)
        self._matrix = self._guessed_matrix(first)
        self._reformatter = VideoReformatter()

    @cached_property
    def _own_duration(self) -> float | None:
        """Seconds that Matroska notes for the stream: 00:00:04.000000000."""
        parts = (_tag(self._stream.metadata, "duration") or "").split(":")
        try:
            hours, minutes, seconds = map(float, parts)
        except ValueError:
            return None
        return hours * 3600 + minutes * 60 + seconds

    def _declared_seconds(self) -> float | None:
        """How long the header says that the picture lasts; sound may last longer."""
        stream = self._stream
        if stream.duration:
            return float(stream.duration * stream.time_base)
        if self._own_duration is not None:
            return self._own_duration
        return self._file.duration / av.time_base if self._file.duration and not self.has_audio else None

    def _usual_step(self) -> float:
        rate = self._stream.average_rate or self._stream.guessed_rate
        return 1 / float(rate) if rate else 0.04

    def _prepare(self) -> None:
        """Make the decoder ready; before its first packet."""
        context = self._stream.codec_context
        if self.codec in ("vp8", "vp9"):
            # ffmpeg's own decoders make up a picture from damaged data without a word, and leave out the second layer
            # in which Matroska keeps alpha. What they and libvpx make of intact data is the same, bit for bit.
            extra = context.extradata
            context = av.CodecContext.create("libvpx-vp9" if self.codec == "vp9" else "libvpx", "r")
            context.extradata = extra
        context.thread_type = "AUTO"
        context.options = {"max_pixels": str(max(self.limits.max_pixels, 1 << 16))}
        self._decoder = context
        self._last_length = 0.0

    def _guessed_matrix(self, frame: av.VideoFrame) -> int:
        """The matrix of a file that names none, as players guess it by size. Clips written here before they carried
        tags used BT.601 at every size."""
        large = frame.width >= 1280 or frame.height >= 720
        made_here = unpack(_tag(self._file.metadata, "comment"))[0] is not None
        return _BT709 if large and not made_here else _BT601

    def _positioned(self, start: float) -> Iterator[av.VideoFrame]:
        """Decoded frames from the one that shows at `start`, or one before it."""
        if start <= _NEAR:
            if self._fresh is None:
                self._reopen()
            frames, self._fresh = self._fresh or self._decoded(), None
            return frames
        self._fresh = None
        for back in _STEPS_BACK:
            moment = max(0.0, start - back)
            try:
                self._file.seek(self._origin + int(moment / self._stream.time_base), stream=self._stream)
            except av.FFmpegError:
                break
            self._decoder.flush_buffers()
            self.errors, self.damage = 0, None
            running = self._decoded(from_key_frame=True)
            first = next(running, None)
            if first is not None and not self.errors and self._time(first, 0.0) <= start + self.grain:
                return chain([first], running)
        self._reopen()  # the file has no index to trust
        return self._decoded()

    def _reopen(self) -> None:
        self._file.close()
        self._file = _open(self.path)
        self._stream = next(s for s in self._file.streams.video if not _is_cover(s))
        self.errors, self.damage = 0, None
        self._prepare()

    def _decoded(self, from_key_frame: bool = False) -> Iterator[av.VideoFrame]:
        """Frames from where the file stands; goes on after errors, which are counted."""
        given, waiting = 0, from_key_frame
        try:
            for packet in self._file.demux(self._stream):
                if packet.size:
                    waiting = waiting and not packet.is_keyframe
                    if waiting:
                        continue
                    self._last_length = float((packet.duration or 0) * (packet.time_base or 0))
                    if packet.is_corrupt:
                        if self._strict:  # what was decoded before it is intact
                            yield from self._decoder.decode(None)
                        self._complain("a packet is cut off")
                        if self._strict:
                            return
                try:
                    frames = self._decoder.decode(packet if packet.size else None)
                except EOFError:
                    return
                except av.FFmpegError as error:
                    self._complain(_why(error))
                    if not given and self.errors > _FEW:
                        return
                    continue
                for frame in frames:
                    given += 1
                    if frame.is_corrupt:
                        self._complain("a frame is corrupt")
                    yield frame
        except av.FFmpegError as error:  # of the demuxer: nothing follows
            self._complain(_why(error))

    def _complain(self, why: str) -> None:
        self.errors, self.damage = self.errors + 1, why

    def _time(self, frame: av.VideoFrame, before: float | None) -> float:
        if frame.pts is None:
            return 0.0 if before is None else before + self._usual_step()
        return float(frame.pts * _base(frame, self._stream) - self._origin * self._stream.time_base)

    def _progressive(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The frames, from the first interlaced one on through ffmpeg's deinterlacer, which leaves others alone."""
        graph = None
        for frame in frames:
            if graph is None and frame.interlaced_frame:
                graph = _deinterlacer(frame)
            if graph is None:
                yield frame
                continue
            graph.push(frame)
            yield from _pulled(graph)
        if graph is not None:
            graph.push(None)
            yield from _pulled(graph)

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray:
        height, width = self._size
        planar_rgb = frame.format.name.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "pal"))
        form = "rgb48le" if self.hdr else "rgba" if self.channels == 4 else "rgb24"
        picture = self._reformatter.reformat(
            frame,
            width,
            height,
            form,
            src_colorspace=None if planar_rgb else _MATRICES.get(int(frame.colorspace), self._matrix),
            src_color_range=frame.color_range or None,
            interpolation=Interpolation.BICUBIC,
        ).to_ndarray()
        picture = to_sdr(picture, self.hdr) if self.hdr else picture
        return np.ascontiguousarray(np.rot90(picture, self._turns)) if self._turns else picture


def _open(path: Path) -> av.container.InputContainer:
    try:
        return av.open(
            str(path.absolute()), "r", metadata_errors="replace",
            options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
        )  # fmt: skip
    except (av.FFmpegError, OSError, ValueError) as error:
        size = file_size(path) if path.is_file() else None
        if size is not None and size.cut:
            raise VideoError(f"{path}: cannot be decoded: truncated: {size}; get the file again") from None
        raise VideoError(f"{path}: cannot be decoded ({_why(error)})") from None


def _why(error: Exception) -> str:
    """What went wrong, in a line without addresses and banners."""
    text = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return f"{type(error).__name__}: {text[:200]}"


def _tag(metadata: dict[str, str], name: str) -> str | None:
    """A tag under its name in small letters; Matroska writes its own in capitals, with a language after a dash."""
    return next((value for key, value in metadata.items() if key.lower().split("-")[0] == name), None)


def _is_cover(stream: av.VideoStream) -> bool:
    return bool(stream.disposition & stream.disposition.attached_pic)


def _base(frame: av.VideoFrame, stream: av.VideoStream) -> Fraction:
    """Of a frame's stamps: a filter's frames have their own."""
    return frame.time_base or stream.time_base


def _hdr(frame: av.VideoFrame) -> str | None:
    curve = int(frame.color_trc)
    if curve in (_PQ, _HLG):
        return "PQ" if curve == _PQ else "HLG"
    bits = max((part.bits for part in frame.format.components), default=8)
    return "unnamed" if int(frame.colorspace) in (9, 10) and curve in (0, 2, 3) and bits > 8 else None


def _square_pixels(frame: av.VideoFrame, aspect: object) -> tuple[int, int]:
    """Height and width with square pixels; the side that is stored too short grows."""
    ratio = float(aspect) if aspect else 1.0
    if not 0.05 < ratio < 20:  # nonsense in a header
        ratio = 1.0
    if ratio >= 1:
        return frame.height, max(1, round(frame.width * ratio))
    return max(1, round(frame.height / ratio)), frame.width


def _deinterlacer(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    weave = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    sink = graph.add("buffersink")
    source.link_to(weave)
    weave.link_to(sink)
    graph.configure()
    return graph


def _pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return


def text_of_container(path: Path) -> str | None:
    """The comment of a video file.

    Raises:
        FileNotFoundError: no such file.
        VideoError: it cannot be opened.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no video file {path}")
    with _open(path) as file:
        return _tag(file.metadata, "comment")
