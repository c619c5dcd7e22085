"""Which frames a video has, and when each is shown.

What a header says about the number of frames is never used: it is wrong or 0 in many real files.
Frames are counted by their packets where one packet is one frame, which costs no decoding, and by
decoding everywhere else.
"""

import dataclasses
import itertools
import os
import threading
from collections import OrderedDict

import av
import numpy as np

from keras_mtnet.video import mpeg4
from keras_mtnet.video.video_file import (
    NO_FRAME,
    TELL_ALL,
    Source,
    VideoError,
    is_folder,
    open_picture,
    open_video,
    pictures,
    source_name,
)

# Codecs that put every frame in a packet of its own. MPEG-4 part 2 (DivX, XviD) does so only where
# no packet is a placeholder, for a B-frame or for a frame left out; those are a few bytes long.
_PACKET_IS_FRAME = {
    *("h264", "hevc", "vp9", "av1", "mpeg1video", "mpeg2video"),
    *("mjpeg", "ffv1", "prores", "dnxhd"),
}
_LONGEST_PLACEHOLDER = 19
_MP4, _MKV, _AVI = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"
_PICTURE_TICK = 1 / 25  # a folder of pictures has no times
_NO_NUMBERS = np.zeros(0, "int64")


@dataclasses.dataclass(frozen=True)
class Keyframes:
    """Frames at which decoding can begin.

    Attributes:
        numbers: which frames they are, int64 `(keys,)`, increasing.
        packets: int64 `(keys, 2)`, position in the file and size of their packets, by which they
            are known again.
    """

    numbers: np.ndarray = dataclasses.field(default_factory=lambda: _NO_NUMBERS)
    packets: np.ndarray = dataclasses.field(default_factory=lambda: _NO_NUMBERS.reshape(0, 2))


@dataclasses.dataclass(frozen=True)
class FrameIndex:
    """The frames of one file.

    Attributes:
        ticks: int64 `(frames,)`, presentation times in units of `tick`, increasing.
        tick: length of a tick in seconds.
        by_packets: whether `ticks` are the times of packets, by which the frames that a decoder
            gives can be told apart. Otherwise they have to be counted from the start.
        quick: whether the file can be opened without looking into its streams.
        reordered: whether packets come in another order than their frames are shown in.
        order: int64 `(frames,)`, which frame each packet holds, where packets have no times.
        keys: frames at which decoding can begin, besides the first.
        damage: why the video ends before its last packet, None for a sound one.
    """

    ticks: np.ndarray
    tick: float
    by_packets: bool = False
    quick: bool = False
    reordered: bool = False
    order: np.ndarray | None = None
    keys: Keyframes = dataclasses.field(default_factory=Keyframes)
    damage: str | None = None

    @property
    def count(self) -> int:
        return len(self.ticks)

    @property
    def times(self) -> np.ndarray:
        """float64 `(frames,)`, seconds since the first frame, increasing."""
        return (self.ticks - self.ticks[:1]) * self.tick

    @property
    def nbytes(self) -> int:
        arrays = (self.ticks, self.order, self.keys.numbers, self.keys.packets)
        return sum(array.nbytes for array in arrays if array is not None)

    def segment(self, start: float | None, end: float | None) -> tuple[int, int]:
        """First frame and number of frames of the part from `start` to `end` seconds."""
        times = self.times
        first = 0 if start is None else int(np.searchsorted(times, start - 1e-6))
        last = self.count if end is None else int(np.searchsorted(times, end - 1e-6))
        return first, last - first

    def pictures(self, fps: float, first: int, count: int) -> int:
        """How many pictures show the `count` frames from `first` on, at `fps`; at least one."""
        times = self.times[first : first + count]
        last = float(np.median(np.diff(times))) if count > 1 else 0.0  # how long it is shown
        return max(1, round((times[-1] - times[0] + last) * fps))

    def nearest(self, seconds: np.ndarray, first: int, count: int) -> np.ndarray:
        """The frames nearest in time, the earlier of two equally near.

        Args:
            seconds: `(n,)`, since frame `first`.
            first: first frame to choose from.
            count: number of frames to choose from, at least 1.

        Returns:
            Frame numbers, int64 `(n,)`.
        """
        times = self.times[first : first + count]
        middles = (times[1:] + times[:-1]) / 2 - times[0]
        return first + np.searchsorted(middles + 1e-9, seconds)


def count_frames(source: Source) -> int:
    """How many frames of a video can be decoded, by decoding them all."""
    return frame_index(source, exact=True).count


def frame_index(source: Source, exact: bool = False) -> FrameIndex:
    """The frames of a video and their times. Remembered while the file does not change.

    Args:
        source: a video file, its bytes (of which nothing is remembered), or a folder of pictures.
        exact: decode every frame, which alone finds damage, instead of trusting its packets.

    Raises:
        VideoError: if the video has no readable frame.
    """
    key = _key(source, exact)
    index = _INDEXES.get(key)
    if index is None:
        index = None if exact else _by_packets(source) or _by_types(source)
        index = index or _by_decoding(source)
        if not index.count:
            broken = f"no frame can be decoded ({index.damage})"
            raise VideoError(source_name(source), broken if index.damage else NO_FRAME)
        _INDEXES.put(key, index)
    return index


def forget_keyframes(source: Source) -> FrameIndex:
    """The index of a file in which seeking does not lead to where its packets say."""
    index = dataclasses.replace(frame_index(source), keys=Keyframes())
    _INDEXES.put(_key(source, exact=False), index)
    return index


def distrust_packets(source: Source) -> FrameIndex:
    """The exact index of a file whose frames do not come as its packets say."""
    index = frame_index(source, exact=True)
    # From now on only this one is used, as long as no choice of frames can tell the difference.
    if index.damage is None and index.count == frame_index(source).count:
        _INDEXES.put(_key(source, exact=False), index)
    return index


def _key(source: Source, exact: bool) -> tuple | None:
    if isinstance(source, bytes):
        return None
    try:
        status = os.stat(source)
    except OSError as error:
        raise VideoError(source_name(source), "no such file") from error
    # A count that is exact must not replace one by packets: windows would come to depend on it.
    return os.path.abspath(source), status.st_mtime_ns, status.st_size, exact


# --- By packets ----------------------------------------------------------------------------------


def _by_packets(source: Source) -> FrameIndex | None:
    """Counts packets, which costs next to nothing; None where that cannot be trusted."""
    if is_folder(source):
        return FrameIndex(np.arange(len(pictures(source))), _PICTURE_TICK)
    with open_video(source, quick=True) as (container, stream):
        try:
            packets = [
                (p.pts, p.pos, p.size, p.is_keyframe, p.is_discard)
                for p in container.demux(stream)
                if p.size
            ]
        except av.FFmpegError:
            return None
        codec, tick = stream.codec_context.codec.canonical_name, float(stream.time_base or 0)
        container_name, tag = container.format.name, stream.codec_context.codec_tag.strip("\0")
    if not tick or not _one_frame_each(codec, packets):
        return None
    # Most containers do not store when a frame is shown; FFmpeg then guesses it from the order of
    # packets, wrongly if that is not the order of frames. mkv does not where it took over an AVI.
    reordered = any(b[0] < a[0] for a, b in itertools.pairwise(packets))
    if reordered and not (container_name == _MP4 or (container_name == _MKV and not tag)):
        return None
    shown = [packet for packet in packets if not packet[4]]
    ticks = np.unique([pts for pts, *_ in shown])
    if not len(ticks) or len(ticks) != len(shown):
        return None
    seekable = container_name in (_MP4, _MKV, _AVI)
    keys = _keyframes(shown, ticks) if seekable else Keyframes()
    quick = container_name in TELL_ALL
    return FrameIndex(ticks, tick, True, quick, reordered, keys=keys)


def _one_frame_each(codec: str, packets: list[tuple]) -> bool:
    """Whether every packet becomes a frame, and tells when it is shown."""
    if not packets or any(pts is None for pts, *_ in packets):
        return False
    first, _, _, is_key, _ = packets[0]
    if not is_key or first != min(pts for pts, *_ in packets):
        return False  # the first frames need one that was cut off: a decoder leaves them out
    return codec in _PACKET_IS_FRAME or (
        codec == "mpeg4" and all(size > _LONGEST_PLACEHOLDER for _, _, size, *_ in packets)
    )


def _keyframes(packets: list[tuple], ticks: np.ndarray) -> Keyframes:
    keys = sorted(packet for packet in packets if packet[3])
    if not keys or any(pos is None for _, pos, *_ in keys):
        return Keyframes()
    numbers = np.searchsorted(ticks, [pts for pts, *_ in keys])
    return Keyframes(numbers, np.array([key[1:3] for key in keys], "int64"))


def _by_types(source: Source) -> FrameIndex | None:
    """Counts the frames of DivX and XviD, which tell their order though not their times."""
    if is_folder(source):
        return None
    with open_video(source) as (container, stream):
        if container.format.name != _AVI or stream.codec_context.codec.canonical_name != "mpeg4":
            return None
        try:
            packets = [
                (mpeg4.frame_type(packet), packet.size)
                for packet in mpeg4.one_frame_each(container.demux(stream), stream)
                if packet.size
            ]
        except (av.FFmpegError, IndexError):
            return None
        rate = float(stream.average_rate or stream.guessed_rate or 25)
    types = [kind for kind, _ in packets]
    if types[:1] != [0] or any(size <= _LONGEST_PLACEHOLDER for _, size in packets):
        return None
    order = mpeg4.frame_order(types)
    return FrameIndex(np.arange(len(order)), 1 / rate, True, reordered=True, order=order)


# --- By decoding ---------------------------------------------------------------------------------


def _by_decoding(source: Source) -> FrameIndex:
    if is_folder(source):
        return _by_opening(pictures(source))
    ticks, damage = [], None
    with open_video(source) as (container, stream):
        try:
            for frame in container.decode(stream):
                ticks.append(frame.pts)
        except av.FFmpegError as error:
            damage = error.strerror
        return FrameIndex(*decoded_ticks(ticks, stream), damage=damage)


def decoded_ticks(ticks: list[int | None], stream: av.VideoStream) -> tuple[np.ndarray, float]:
    """Times of frames as they were decoded, and the length of a tick in seconds.

    Where they cannot be right, because some are missing or go backwards, frames are taken to be
    shown at an even rate.
    """
    tick = float(stream.time_base or 0)
    if not tick or None in ticks or (np.diff(ticks) <= 0).any():
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        return np.arange(len(ticks)), 1 / rate
    return np.array(ticks, "int64"), tick


def _by_opening(paths: list[str]) -> FrameIndex:
    for number, path in enumerate(paths):
        try:
            open_picture(path)
        except VideoError as error:
            return FrameIndex(np.arange(number), _PICTURE_TICK, damage=error.reason)
    return FrameIndex(np.arange(len(paths)), _PICTURE_TICK)


# --- Memory --------------------------------------------------------------------------------------


class _Indexes:
    """The indexes used last, as many as fit in `limit` bytes. Safe between threads."""

    def __init__(self, limit: int):
        self.limit = limit
        self.held = 0
        self.indexes: OrderedDict[tuple, FrameIndex] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: tuple | None) -> FrameIndex | None:
        with self.lock:
            if key in self.indexes:
                self.indexes.move_to_end(key)
            return self.indexes.get(key)

    def put(self, key: tuple | None, index: FrameIndex) -> None:
        if key is None:
            return
        with self.lock:
            old = self.indexes.pop(key, None)
            self.indexes[key] = index
            self.held += index.nbytes - (old.nbytes if old else 0)
            while self.held > self.limit and len(self.indexes) > 1:
                self.held -= self.indexes.popitem(last=False)[1].nbytes


_INDEXES = _Indexes(limit=2**26)  # all of UCF-101 three times over
