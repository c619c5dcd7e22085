"""Frames out of video files: in presentation order, and no more than were asked for.

What a header says about the number of frames is never used: it is wrong or 0 in many real files.
Frames are counted by their packets where one packet is one frame, by decoding everywhere else.

A damaged video ends at its first packet that cannot be decoded. The frames before it are good and
may be used; later ones would be predicted from frames that are missing. A count by packets cannot
see such damage, so `read_window` finds out when a window runs into it, and then chooses the window
again within the frames there are. What it returns depends on the file alone, never on what was
read before.
"""

import dataclasses
import functools
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import av
import numpy as np

from keras_mtnet.data.convert import Converter, Cut

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# Codecs that put every frame in a packet of its own. MPEG-4 part 2 (DivX, XviD) does so only where
# no packet is a placeholder for a B-frame packed into its neighbour; those are a few bytes long.
_PACKET_IS_FRAME = {"h264", "hevc", "vp9", "av1", "mjpeg"}
_LONGEST_PLACEHOLDER = 19


class VideoError(ValueError):
    """A video that cannot be read.

    Attributes:
        name: the file.
        reason: what is wrong with it, in a few words.
    """

    def __init__(self, name: str, reason: str):
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class EndsEarly(VideoError):
    """A frame was asked for that lies behind the last readable one.

    Attributes:
        frames: how many frames can be read.
    """

    def __init__(self, name: str, reason: str, frames: int):
        super().__init__(name, reason)
        self.args = (name, reason, frames)
        self.frames = frames


@dataclasses.dataclass(frozen=True)
class FrameIndex:
    """The frames of one file.

    Attributes:
        times: float64 `(frames,)`, seconds since the first frame, increasing.
        damage: why the video ends before its last packet, None for a sound one.
    """

    times: np.ndarray
    damage: str | None = None

    @property
    def count(self) -> int:
        return len(self.times)

    def segment(self, start: float | None, end: float | None) -> tuple[int, int]:
        """First frame and number of frames of the part from `start` to `end` seconds."""
        first = 0 if start is None else int(np.searchsorted(self.times, start - 1e-6))
        last = self.count if end is None else int(np.searchsorted(self.times, end - 1e-6))
        return first, last - first


# --- Opening -------------------------------------------------------------------------------------


def _explain(path: str, error: Exception) -> str:
    """Why FFmpeg could not open `path`, as far as its first bytes tell."""
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        return "the file is empty"
    if head[4:8] == b"ftyp":
        return "an mp4 file without its index: cut off, or never finished"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return "a text file, not a video"
    return f"not a readable video ({getattr(error, 'strerror', None) or error})"


def _video_stream(container: av.container.InputContainer, path: str) -> av.VideoStream:
    """The first moving pictures of a file; a song's cover is not one."""
    cover = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        raise VideoError(path, "no video stream in the file")
    name = container.format.name
    if name == "image2" or (name.endswith("_pipe") and name != "gif_pipe"):
        raise VideoError(path, "a still image, not a video")
    if streams[0].codec_context is None:
        raise VideoError(path, "no decoder for its video stream")
    return streams[0]


@contextmanager
def _open(path: str) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    if not os.path.isfile(path):
        raise VideoError(path, "no such file")
    try:
        # "file:" keeps FFmpeg from taking a name with a colon for a protocol.
        container = av.open(f"file:{path}", metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise VideoError(path, _explain(path, error)) from error
    with container:
        yield container, _video_stream(container, path)


# --- Frames --------------------------------------------------------------------------------------


class _Damaged(Exception):
    """The next frame could not be decoded or converted."""


def _decoded(path: str) -> Iterator[Callable[[], tuple[av.VideoFrame, float | None]]]:
    """Yields the frames of a file, each as a function, in presentation order.

    A decoder has decoded a frame by the time it is yielded; a frame of a folder of pictures is
    decoded when its function is called.
    """
    if os.path.isdir(path):
        for name in _pictures(path):
            yield functools.partial(_picture, os.path.join(path, name))
        return
    with _open(path) as (container, stream):
        stream.thread_type = "NONE"
        try:
            for frame in container.decode(stream):
                yield lambda frame=frame: frame
        except av.FFmpegError as error:
            raise _Damaged(error.strerror) from error


def _pictures(folder: str) -> list[str]:
    return sorted(n for n in os.listdir(folder) if n.lower().endswith(IMAGE_SUFFIXES))


def _picture(path: str) -> av.VideoFrame:
    try:
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            return next(container.decode(video=0))
    except (av.FFmpegError, OSError, IndexError, StopIteration) as error:
        raise _Damaged(_explain(path, error)) from error


def _convert(convert: Converter, frame: av.VideoFrame) -> np.ndarray:
    try:
        return convert(frame)
    except av.FFmpegError as error:
        raise _Damaged(f"{frame.format.name} frames cannot be converted") from error


def read_frames(
    path: str,
    indices: np.ndarray,
    short_side: int | tuple[int, int] | None = None,
    cut: Cut | None = None,
) -> np.ndarray:
    """Reads single frames of a video.

    Decodes from the start to the last frame asked for. Only the frames asked for are converted and
    resized, and only they take memory.

    Args:
        path: a video file, or a folder of pictures, which are frames in the order of their names.
        indices: frame numbers `(n,)` in presentation order, from 0; any order, repeats allowed.
        short_side: length of the shorter side of the result in pixels, or `(height, width)`; the
            video's own size when None.
        cut: boxes of the frames to return instead of whole ones.

    Returns:
        RGB frames, uint8 `(n, height, width, 3)`, or `(n, boxes, height, width, 3)` for a cut.

    Raises:
        EndsEarly: if the video has fewer readable frames than `max(indices) + 1`.
        VideoError: if nothing can be read.
    """
    indices = np.asarray(indices, "int64")
    if indices.ndim != 1 or not len(indices) or indices.min() < 0:
        raise ValueError(f"indices must be a list of frame numbers from 0. Received: {indices}")
    wanted, places = np.unique(indices, return_inverse=True)
    convert, frames, seen, filled = Converter(short_side, cut), None, 0, 0
    reason = None
    with closing(_decoded(path)) as stream:
        try:
            for frame in stream:
                if seen == wanted[filled]:
                    rgb = _convert(convert, frame())
                    if frames is None:
                        frames = np.empty((len(wanted), *rgb.shape), "uint8")
                    frames[filled] = rgb
                    filled += 1
                seen += 1
                if filled == len(wanted):
                    break
        except _Damaged as error:
            reason = str(error)
    if not seen:
        raise VideoError(path, f"no frame can be decoded ({reason or 'it holds none'})")
    if filled < len(wanted):
        raise EndsEarly(path, f"it ends after {seen} frames ({reason or 'no more'})", seen)
    in_order = len(places) == len(wanted) and bool((places[1:] > places[:-1]).all())
    return frames if in_order else frames[places]


def read_window(
    path: str,
    choose: Callable[[int], np.ndarray],
    short_side: int | tuple[int, int] | None = None,
    start: float | None = None,
    end: float | None = None,
    cut: Cut | None = None,
) -> tuple[np.ndarray, str | None]:
    """Reads the frames that `choose` picks when told how many there are.

    Args:
        path: as for `read_frames`.
        choose: maps a number of frames to frame numbers below it. May be called twice.
        short_side: as for `read_frames`.
        start: where the part of the video to choose from begins, in seconds; None: at its start.
        end: where it ends, in seconds; None: at its end.
        cut: as for `read_frames`.

    Returns:
        RGB frames as `read_frames` returns them, and what is damaged about the video, None if
        nothing was noticed.

    Raises:
        VideoError: if nothing can be read.
    """
    index = frame_index(path)
    first, count = index.segment(start, end)
    if count < 1:
        raise VideoError(path, f"no frame between {start} and {end} seconds")
    try:
        return read_frames(path, first + choose(count), short_side, cut), index.damage
    except EndsEarly as early:
        count = min(count, early.frames - first)
        if count < 1:
            raise
        return read_frames(path, first + choose(count), short_side, cut), early.reason


# --- Counting ------------------------------------------------------------------------------------


def count_frames(path: str) -> int:
    """How many frames of a video can be decoded, by decoding them all."""
    return frame_index(path, exact=True).count


def frame_index(path: str, exact: bool = False) -> FrameIndex:
    """The frames of a video and their times. Remembered while the file does not change.

    Args:
        path: a video file or a folder of pictures.
        exact: decode every frame, which alone finds damage, instead of trusting its packets.

    Raises:
        VideoError: if the video has no readable frame.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise VideoError(path, "no such file") from error
    # A count that is exact must not replace one by packets: windows would come to depend on it.
    key = (os.path.abspath(path), status.st_mtime_ns, status.st_size, exact)
    index = _INDEXES.get(key)
    if index is None:
        index = (None if exact else _by_packets(path)) or _by_decoding(path)
        if not index.count:
            raise VideoError(path, f"no frame can be decoded ({index.damage or 'it holds none'})")
        _INDEXES.put(key, index)
    return index


def _by_packets(path: str) -> FrameIndex | None:
    """Counts packets, which costs next to nothing; None where that cannot be trusted."""
    if os.path.isdir(path):
        return FrameIndex(np.arange(len(_pictures(path)), dtype="float64"))
    with _open(path) as (container, stream):
        try:
            packets = [
                (p.pts, p.size) for p in container.demux(stream) if p.size and not p.is_discard
            ]
        except av.FFmpegError:
            return None
        codec, unit = stream.codec_context.name, float(stream.time_base or 0)
    times = np.unique([pts for pts, _ in packets if pts is not None])
    sound = codec in _PACKET_IS_FRAME or (
        codec == "mpeg4" and all(size > _LONGEST_PLACEHOLDER for _, size in packets)
    )
    if not packets or not sound or not unit or len(times) != len(packets):
        return None
    return FrameIndex((times - times[0]) * unit)


def _by_decoding(path: str) -> FrameIndex:
    times, damage = [], None
    with closing(_decoded(path)) as stream:
        try:
            for frame in stream:
                times.append(frame().time)
        except _Damaged as error:
            damage = str(error)
    if None in times or (np.diff(times) <= 0).any():
        times = np.arange(len(times)) / _rate(path)
    times = np.asarray(times, "float64")
    return FrameIndex(times - times[:1], damage)


def _rate(path: str) -> float:
    """Frames per second; 25 where neither file nor decoder knows."""
    if os.path.isdir(path):
        return 25.0
    with _open(path) as (_, stream):
        return float(stream.average_rate or stream.guessed_rate or 25)


class _Indexes:
    """The indexes used last, as many as hold `limit` frames together. Safe between threads."""

    def __init__(self, limit: int):
        self.limit = limit
        self.held = 0
        self.indexes: OrderedDict[tuple, FrameIndex] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: tuple) -> FrameIndex | None:
        with self.lock:
            if key in self.indexes:
                self.indexes.move_to_end(key)
            return self.indexes.get(key)

    def put(self, key: tuple, index: FrameIndex) -> None:
        with self.lock:
            old = self.indexes.pop(key, None)
            self.indexes[key] = index
            self.held += index.count - (old.count if old else 0)
            while self.held > self.limit and len(self.indexes) > 1:
                self.held -= self.indexes.popitem(last=False)[1].count


_INDEXES = _Indexes(limit=8_000_000)  # 64 MB of times: all of UCF-101 three times over
