"""Frames of video files, in presentation order; only those asked for are converted.

A read begins at the last keyframe before the frames asked for and knows each frame by its time, so
a late window costs no more than an early one. This holds only as far as the file's own index and
times can be trusted, and every read looks whether they can: the packet found must be the one that
was indexed, its frame must be a keyframe for the decoder as well, and every frame asked for must
come. Otherwise frames are decoded and counted from the start, which is always right.

A damaged video ends at its first packet that cannot be decoded. A count by packets cannot see such
damage; it is found when a read runs into it, and the video then ends before it.
"""

import dataclasses
import os
from collections.abc import Generator, Iterator

import av
import numpy as np
from av.video.frame import PictureType

from keras_mtnet.video import mpeg4
from keras_mtnet.video.container import decode, is_last, open_container, source_name
from keras_mtnet.video.frame_index import FrameIndex, Keyframes
from keras_mtnet.video.indexing import index_by_decoding, index_by_packets
from keras_mtnet.video.read_cache import ReadCache
from keras_mtnet.video.source import NO_FRAME, VideoError, VideoSource, WrongIndexError

# Going to a keyframe costs about as much as decoding this many frames.
_WORTH_A_SEEK = 8


class VideoFile(VideoSource):
    """A video file, or the bytes of one.

    What frames a read returns depends on the file alone, never on what was read before: a count by
    decoding, which stops at damage, does not replace a count by packets in `cache`.

    Args:
        source: path or bytes.
        name, start, end, fps: as for `open_video`.
        cache: keeps frame indexes of files, not of bytes, between reads.

    Example:

    >>> import tempfile, numpy as np, keras_mtnet as mt
    >>> from keras_mtnet.data.synthetic import write_video
    >>> path = tempfile.mkdtemp() + "/a.avi"
    >>> write_video(path, np.zeros((10, 32, 48, 3), "uint8"))
    >>> with mt.video.VideoFile(path) as video:
    ...     video.frame_count, video.fps, video.read([0, 9], size=16).shape
    (10, 25.0, (2, 16, 24, 3))
    """

    def __init__(
        self,
        source: str | os.PathLike | bytes,
        name: str | None = None,
        start: float | None = None,
        end: float | None = None,
        fps: float | None = None,
        cache: ReadCache | None = None,
    ):
        super().__init__(source_name(source) if name is None else name, start, end, fps)
        self._source = source
        self._cache = ReadCache() if cache is None else cache
        self._known: FrameIndex | None = None

    @property
    def index(self) -> FrameIndex:
        if self._known is None:
            self._known = self._find("packets")
        return self._known

    def _index_exactly(self) -> None:
        self._known = self._find("exact")

    def _correct(self, index: FrameIndex, error: WrongIndexError) -> None:
        if not index.by_packets:
            super()._correct(index, error)
        if isinstance(error, _CannotSeekError):
            self._known = dataclasses.replace(index, keys=Keyframes())
        else:
            self._index_exactly()
        # From now on only this one is used, unless a choice of frames could tell them apart.
        if self.index.damage is None and self.index.count == index.count:
            self._keep("packets", self.index)

    def _find(self, kind: str) -> FrameIndex:
        """The index that is kept, or a new one."""
        index = self._cache.get(self._key(kind))
        if index is None:
            index = index_by_packets(self._source, self.name) if kind == "packets" else None
            index = index or index_by_decoding(self._source, self.name)
            self._keep(kind, index)
        if not index.count:
            broken = f"no frame can be decoded ({index.damage})"
            raise VideoError(self.name, broken if index.damage else NO_FRAME)
        return index

    def _keep(self, kind: str, index: FrameIndex) -> None:
        if key := self._key(kind):
            self._cache.put(key, index, index.nbytes)

    def _key(self, kind: str) -> tuple | None:
        """What an index is kept under; None for bytes, and for files that are not there."""
        if isinstance(self._source, bytes) or not os.path.isfile(self._source):
            return None
        status = os.stat(self._source)
        return os.path.abspath(self._source), status.st_mtime_ns, status.st_size, kind

    def _decode(self, index: FrameIndex, wanted: np.ndarray) -> Generator[av.VideoFrame]:
        with open_container(self._source, index.quick, self.name) as (container, stream):
            try:
                if index.by_packets:
                    for key, run in _runs(index, wanted):
                        yield from _by_time(container, stream, index, key, run)
                else:
                    yield from _by_count(container, stream, wanted)
            except av.FFmpegError as error:
                raise WrongIndexError(error.strerror) from error


class _CannotSeekError(WrongIndexError):
    """Seeking did not lead to the packet that was indexed."""


def _by_count(
    container: av.container.InputContainer, stream: av.VideoStream, wanted: np.ndarray
) -> Iterator[av.VideoFrame]:
    """Decodes from the start and counts."""
    filled = 0
    frames = (frame for packet in container.demux(stream) for frame in decode(packet))
    for number, frame in enumerate(frames):
        if number == wanted[filled]:
            yield frame
            filled += 1
            if filled == len(wanted):
                return
    raise WrongIndexError("fewer frames than were counted")


def _runs(index: FrameIndex, wanted: np.ndarray) -> Iterator[tuple[int | None, np.ndarray]]:
    """Yields numbers to decode in one go, and the place of their keyframe, None for the start."""
    before = np.searchsorted(index.keys.numbers, wanted, "right") - 1
    start = np.where(before >= 0, index.keys.numbers[before], 0) if len(index.keys.numbers) else 0
    passed = np.concatenate([[-1], wanted[:-1]])
    seeks = np.flatnonzero(start - passed > _WORTH_A_SEEK)
    for run in np.split(np.arange(len(wanted)), seeks):
        if len(run):
            yield (int(before[run[0]]) if run[0] in seeks else None), wanted[run]


def _by_time(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    index: FrameIndex,
    key: int | None,
    wanted: np.ndarray,
) -> Iterator[av.VideoFrame]:
    """Decodes from a keyframe on, or from where the container stands, up to the last one wanted.

    Where packets tell the order of frames, those that neither are wanted nor help to decode others
    are left out. Where they may not, every frame has to come at its time, one after the other.
    """
    first = 0 if key is None else int(index.keys.numbers[key])
    coming = iter(index.ticks[first : wanted[-1] + 1].tolist())
    missing = set(index.ticks[wanted].tolist())
    start = int(index.ticks[first])
    context = stream.codec_context
    packets = container.demux(stream) if key is None else _seek(container, stream, index, key)
    if index.order is not None:
        packets = _with_times(packets, stream, index.order)
    for packet in packets:
        if index.reordered:
            needed = is_last(packet) or packet.is_keyframe or packet.pts in missing
            context.skip_frame = "DEFAULT" if needed else "NONREF"
        for frame in decode(packet):
            if frame.interlaced_frame and context.name == "h264":
                raise WrongIndexError("a packet may be half a frame")
            if key is not None:
                if frame.pts is not None and frame.pts < start:
                    continue  # it needs frames before the keyframe
                _check_keyframe(frame, start)
                key = None
            in_order = frame.pts in coming if index.reordered else frame.pts == next(coming, None)
            if not in_order:
                raise WrongIndexError("frames come in another order")
            if frame.pts in missing:
                missing.remove(frame.pts)
                yield frame
                if not missing:
                    return
    raise WrongIndexError("frames are missing")


def _with_times(
    packets: Iterator[av.Packet], stream: av.VideoStream, order: np.ndarray
) -> Iterator[av.Packet]:
    """Packets whose time is the number of their frame."""
    for place, packet in enumerate(mpeg4.one_frame_each(packets, stream)):
        if packet.size:
            packet.pts = int(order[place])
        yield packet


def _seek(
    container: av.container.InputContainer, stream: av.VideoStream, index: FrameIndex, key: int
) -> Iterator[av.Packet]:
    """The packets from a keyframe on."""
    numbers = index.keys.numbers
    tick = int(index.ticks[numbers[key]])
    end = numbers[key + 1] if key + 1 < len(numbers) else index.count
    middle = int(index.ticks[(numbers[key] + end) // 2])
    # mp4 takes times of decoding for those of showing: in between two keyframes that is harmless.
    for stamp in (middle, tick):
        try:
            container.seek(stamp, stream=stream)
            packets = container.demux(stream)
            packet = next(packets)
        except av.FFmpegError as error:
            raise _CannotSeekError from error
        if packet.pts == tick and (packet.pos, packet.size) == tuple(index.keys.packets[key]):
            yield packet
            yield from packets
            return
    raise _CannotSeekError


def _check_keyframe(frame: av.VideoFrame, tick: int) -> None:
    """Checks that the first frame after a seek is the one sought, and needs none before it."""
    if frame.pts != tick or not frame.key_frame or frame.pict_type != PictureType.I:
        raise _CannotSeekError
