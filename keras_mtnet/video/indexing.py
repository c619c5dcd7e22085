"""How the frames of a file are found.

What a header says about the number of frames is never used: it is wrong or 0 in many real files.
Frames are counted by their packets where one packet is one frame, which costs no decoding, and by
decoding everywhere else.
"""

import itertools
import os

import av
import numpy as np

from keras_mtnet.video import mpeg4
from keras_mtnet.video.container import TELL_ALL, decode, open_container
from keras_mtnet.video.frame_index import FrameIndex, Keyframes

# Codecs that put every frame in a packet of its own. MPEG-4 part 2 (DivX, XviD) does so only where
# no packet is a placeholder, for a B-frame or for a frame left out; those are a few bytes long.
_PACKET_IS_FRAME = {
    *("h264", "hevc", "vp9", "av1", "mpeg1video", "mpeg2video"),
    *("mjpeg", "ffv1", "prores", "dnxhd"),
}
_LONGEST_PLACEHOLDER = 19
_MP4, _MKV, _AVI = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"
_USUAL_RATE = 25


def index_by_packets(source: str | os.PathLike | bytes, name: str) -> FrameIndex | None:
    """Counts packets, which costs next to nothing; None where that cannot be trusted."""
    return _by_times(source, name) or _by_types(source, name)


def index_by_decoding(source: str | os.PathLike | bytes, name: str) -> FrameIndex:
    """Decodes every frame, which alone finds damage."""
    ticks: list[int | None] = []
    damage = None
    with open_container(source, name=name) as (container, stream):
        try:
            for packet in container.demux(stream):
                ticks += [frame.pts for frame in decode(packet)]
        except av.FFmpegError as error:
            damage = error.strerror
        return FrameIndex(*decoded_ticks(ticks, stream), damage=damage)


def decoded_ticks(ticks: list[int | None], stream: av.VideoStream) -> tuple[np.ndarray, float]:
    """Times of frames as they were decoded, and the length of a tick in seconds.

    Where they cannot be right, because some are missing or go backwards, frames are taken to be
    shown at an even rate.
    """
    tick = float(stream.time_base or 0)
    times = np.array([tick for tick in ticks if tick is not None], "int64")
    if not tick or len(times) < len(ticks) or (np.diff(times) <= 0).any():
        return np.arange(len(ticks)), 1 / usual_rate(stream)
    return times, tick


def usual_rate(stream: av.VideoStream) -> float:
    """Frames per second as the file announces them, 25 where it does not."""
    return float(stream.average_rate or stream.guessed_rate or _USUAL_RATE)


def _by_times(source: str | os.PathLike | bytes, name: str) -> FrameIndex | None:
    with open_container(source, quick=True, name=name) as (container, stream):
        try:
            packets: list[tuple] = [
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


def _by_types(source: str | os.PathLike | bytes, name: str) -> FrameIndex | None:
    """Counts the frames of DivX and XviD, which tell their order though not their times."""
    with open_container(source, name=name) as (container, stream):
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
        rate = usual_rate(stream)
    types = [kind for kind, _ in packets]
    if types[:1] != [0] or any(size <= _LONGEST_PLACEHOLDER for _, size in packets):
        return None
    order = mpeg4.frame_order(types)
    return FrameIndex(np.arange(len(order)), 1 / rate, True, reordered=True, order=order)
