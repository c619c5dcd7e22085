"""Frames out of video files: in presentation order, and no more than were asked for.

A read begins at the last keyframe before the frames asked for and knows each frame by its time, so
a late window costs no more than an early one. This holds only as far as the file's own index and
times can be trusted, and every read looks whether they can: the packet found must be the one that
was indexed, its frame must be a keyframe for the decoder as well, and every frame asked for must
come. Otherwise frames are decoded and counted from the start, which is always right.

A damaged video ends at its first packet that cannot be decoded. A count by packets cannot see such
damage, so `read_window` finds out when a window runs into it, and then chooses the window again
within the frames before. What it returns depends on the file alone, never on what was read before.
"""

from collections.abc import Callable, Iterator
from contextlib import closing

import av
import numpy as np
from av.video.frame import PictureType

from keras_mtnet.video import mpeg4
from keras_mtnet.video.frame_index import (
    FrameIndex,
    count_frames,
    distrust_packets,
    forget_keyframes,
    frame_index,
)
from keras_mtnet.video.rgb import Converter, Cut
from keras_mtnet.video.video_file import (
    EndsEarly,
    Source,
    VideoError,
    is_folder,
    open_picture,
    open_video,
    pictures,
    source_name,
)

__all__ = [
    "EndsEarly",
    "FrameIndex",
    "Source",
    "VideoError",
    "count_frames",
    "frame_index",
    "read_frames",
    "read_window",
]

# Going to a keyframe costs about as much as decoding this many frames.
_WORTH_A_SEEK = 8


def read_frames(
    source: Source,
    indices: np.ndarray,
    short_side: int | tuple[int, int] | None = None,
    cut: Cut | None = None,
) -> np.ndarray:
    """Reads single frames of a video.

    Only the frames asked for are converted and resized, and only they take memory.

    Args:
        source: a video file, its bytes, or a folder of pictures, which are frames in the order of
            their names.
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

    def choose(index: FrameIndex) -> np.ndarray:
        if indices.max() >= index.count:
            reason = f"it ends after {index.count} frames ({index.damage or 'no more'})"
            raise EndsEarly(source_name(source), reason, index.count)
        return indices

    return _read(source, choose, Converter(short_side, cut))[0]


def read_window(
    source: Source,
    choose: Callable[[int], np.ndarray],
    short_side: int | tuple[int, int] | None = None,
    start: float | None = None,
    end: float | None = None,
    cut: Cut | None = None,
    fps: float | None = None,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, str | None]:
    """Reads the frames that `choose` picks when told how many there are.

    Args:
        source: as for `read_frames`.
        choose: maps a number of frames to frame numbers `(n,)` below it. May be called twice.
        short_side: as for `read_frames`.
        start: where the part of the video to choose from begins, in seconds; None: at its start.
        end: where it ends, in seconds; None: at its end.
        cut: as for `read_frames`.
        fps: choose among pictures at this rate, each the frame nearest in time, whatever the rate
            of the file; None: among the frames of the file.
        out: memory of the result's shape to put the frames in, if none is repeated.

    Returns:
        RGB frames as `read_frames` returns them, and what is damaged about the video, None if
        nothing was noticed.

    Raises:
        VideoError: if nothing can be read.
    """
    if fps is not None and not fps > 0:
        raise ValueError(f"fps must be above 0. Received: {fps}")

    def choose_frames(index: FrameIndex) -> np.ndarray:
        first, count = index.segment(start, end)
        if count < 1:
            reason = f"no frame between {start} and {end} seconds"
            damage = f" ({index.damage} after {index.count} frames)" if index.damage else ""
            raise VideoError(source_name(source), reason + damage)
        if fps is None:
            return first + choose(count)
        return index.nearest(choose(index.pictures(fps, first, count)) / fps, first, count)

    return _read(source, choose_frames, Converter(short_side, cut), out)


# --- Reading -------------------------------------------------------------------------------------


class _CannotSeek(Exception):
    """Seeking did not lead to the packet that was indexed."""


class _NotAsIndexed(Exception):
    """Frames do not come as the packets promise: the file is damaged, or its times are wrong."""


def _read(
    source: Source,
    choose: Callable[[FrameIndex], np.ndarray],
    convert: Converter,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, str | None]:
    """The chosen frames, and what is damaged about the video."""
    index = frame_index(source)
    try:
        return _read_indexed(source, index, choose(index), convert, out)
    except _NotAsIndexed:
        index = distrust_packets(source)
        return _read_indexed(source, index, choose(index), convert, out)


def _read_indexed(
    source: Source,
    index: FrameIndex,
    numbers: np.ndarray,
    convert: Converter,
    out: np.ndarray | None,
) -> tuple[np.ndarray, str | None]:
    wanted, places = np.unique(numbers, return_inverse=True)
    try:
        frames, spoilt = _collect(source, index, wanted, convert, out)
    except _CannotSeek:
        frames, spoilt = _collect(source, forget_keyframes(source), wanted, convert, out)
    damage = None
    if index.damage:
        damage = f"it ends after {index.count} frames ({index.damage})"
    elif spoilt:
        damage = f"parts of frame {spoilt[0]} are missing"
    in_order = len(places) == len(wanted) and bool((places[1:] > places[:-1]).all())
    return frames if in_order else frames[places], damage


def _collect(
    source: Source,
    index: FrameIndex,
    wanted: np.ndarray,
    convert: Converter,
    out: np.ndarray | None,
) -> tuple[np.ndarray, list[int]]:
    """Converts frames as they come.

    Args:
        source: what to read.
        index: of its frames.
        wanted: their numbers, increasing.
        convert: makes arrays of them.
        out: memory for as many or more.

    Returns:
        The arrays, and the numbers of frames of which the decoder had to guess parts.
    """
    frames = None if out is None else out[: len(wanted)]
    spoilt = []
    with closing(_frames(source, index, wanted)) as stream:
        for place, frame in enumerate(stream):
            try:
                pixels = convert(frame)
            except (av.FFmpegError, MemoryError) as error:
                reason = f"{frame.format.name} frames cannot be converted"
                raise VideoError(source_name(source), reason) from error
            if frames is None:
                frames = np.empty((len(wanted), *pixels.shape), "uint8")
            frames[place] = pixels
            if frame.is_corrupt:
                spoilt.append(int(wanted[place]))
    return frames, spoilt


def _frames(source: Source, index: FrameIndex, wanted: np.ndarray) -> Iterator[av.VideoFrame]:
    """Yields the frames of the numbers `wanted`, decoded."""
    if is_folder(source):
        yield from _opened(source, wanted)
        return
    with open_video(source, quick=index.quick) as (container, stream):
        try:
            if index.by_packets:
                for key, run in _runs(index, wanted):
                    yield from _by_time(container, stream, index, key, run)
            else:
                yield from _by_count(container, stream, wanted)
        except av.FFmpegError as error:
            raise _NotAsIndexed(error.strerror) from error


def _opened(folder: Source, wanted: np.ndarray) -> Iterator[av.VideoFrame]:
    paths = pictures(folder)
    for number in wanted:
        try:
            yield open_picture(paths[number])
        except VideoError as error:
            raise _NotAsIndexed(error.reason) from error


def _by_count(
    container: av.container.InputContainer, stream: av.VideoStream, wanted: np.ndarray
) -> Iterator[av.VideoFrame]:
    """Decodes from the start and counts."""
    filled = 0
    for number, frame in enumerate(container.decode(stream)):
        if number == wanted[filled]:
            yield frame
            filled += 1
            if filled == len(wanted):
                return
    raise _NotAsIndexed("fewer frames than were counted")


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
            # An empty packet asks for the frames that a decoder holds back.
            needed = not packet.size or packet.is_keyframe or packet.pts in missing
            context.skip_frame = "DEFAULT" if needed else "NONREF"
        for frame in packet.decode():
            if frame.interlaced_frame and context.name == "h264":
                raise _NotAsIndexed("a packet may be half a frame")
            if key is not None:
                if frame.pts is not None and frame.pts < start:
                    continue  # it needs frames before the keyframe
                _check_keyframe(frame, start)
                key = None
            in_order = frame.pts in coming if index.reordered else frame.pts == next(coming, None)
            if not in_order:
                raise _NotAsIndexed("frames come in another order")
            if frame.pts in missing:
                missing.remove(frame.pts)
                yield frame
                if not missing:
                    return
    raise _NotAsIndexed("frames are missing")


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
            raise _CannotSeek from error
        if packet.pts == tick and (packet.pos, packet.size) == tuple(index.keys.packets[key]):
            yield packet
            yield from packets
            return
    raise _CannotSeek


def _check_keyframe(frame: av.VideoFrame, tick: int) -> None:
    """Checks that the first frame after a seek is the one sought, and needs none before it."""
    if frame.pts != tick or not frame.key_frame or frame.pict_type != PictureType.I:
        raise _CannotSeek
