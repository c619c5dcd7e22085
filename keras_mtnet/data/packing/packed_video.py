"""Frames out of packed sets: any of any video, without reading the others, checked for damage.

A record is checked as a whole when it is read for the first time, against the checksums that every
TFRecord has. After that only the frames asked for are read, each checked against a checksum of its
own.
"""

import os
import struct
from collections.abc import Callable, Generator
from typing import Any

import av
import google_crc32c
import numpy as np

from keras_mtnet.data.packing import storage
from keras_mtnet.data.packing.manifest import FRAME, Record
from keras_mtnet.video.frame_index import FrameIndex
from keras_mtnet.video.read_cache import ReadCache
from keras_mtnet.video.source import VideoError, VideoSource

_HEAD, _TAIL = 12, 4  # bytes of a TFRecord before and after its data: length, checksums
_BLOCK = 1 << 22  # a record is checked in pieces of so many bytes
_Read = Callable[[int, int], bytes]  # offset and size to bytes


class PackedVideo(VideoSource):
    """A video of a packed set: a `record` of a `shard`, which is a path or an address.

    `cache` remembers which records are sound.
    """

    def __init__(
        self,
        shard: str,
        record: Record,
        name: str | None = None,
        fps: float | None = None,
        cache: ReadCache | None = None,
    ):
        super().__init__(record.name if name is None else name, fps=fps)
        self.damage = record.damage
        self._cache = ReadCache() if cache is None else cache
        self._shard, self._record = shard, record

    @property
    def index(self) -> FrameIndex:
        if self._record.error is not None:
            raise VideoError(self.name, self._record.error)
        # Where the rate was never known, the frames are taken as they are.
        return FrameIndex.even(self._record.frames, self._record.fps or self._fps or 25)

    def _decode(self, index: FrameIndex, wanted: np.ndarray) -> Generator[av.VideoFrame]:
        try:
            with storage.open_ranges(self._shard) as read:
                self._check_once(read)
                jpegs = self._read_jpegs(read, wanted)
            decoder = _jpeg_decoder()
            for jpeg in jpegs:
                yield _decode_jpeg(decoder, jpeg)
        except (_BrokenError, OSError) as error:
            shard = os.path.basename(self._shard)
            reason = f"{shard}, record {self._record.number}: {error}"
            raise VideoError(self.name, reason) from error

    def _check_once(self, read: _Read) -> None:
        """Checks the whole record, unless the cache says that this was done."""
        remote = storage.is_remote(self._shard)
        changed = 0 if remote else os.stat(self._shard).st_mtime_ns
        key = self._shard, changed, self._record.number
        if self._cache.get(key):
            return
        size = self._record.size - _HEAD - _TAIL
        start = self._record.offset + _HEAD
        if read(self._record.offset, _HEAD) != record_head(size):
            raise _BrokenError("no record begins there, or its length is damaged")
        crc = 0
        for place in range(start, start + size, _BLOCK):
            crc = google_crc32c.extend(crc, read(place, min(_BLOCK, start + size - place)))
        if read(start + size, _TAIL) != struct.pack("<I", _mask(crc)):
            raise _BrokenError("its bytes do not match their checksum")
        self._cache.put(key, True, nbytes=256)

    def _read_jpegs(self, read: _Read, wanted: np.ndarray) -> list[bytes]:
        """The JPEGs of the frames of the numbers `wanted`, which increase."""
        record = self._record
        with storage.open_ranges(self._shard.removesuffix("tfrecord") + "frames") as read_table:
            table = read_table(record.first * FRAME.itemsize, record.frames * FRAME.itemsize)
        if len(table) != record.frames * FRAME.itemsize:
            raise _BrokenError("the .frames file of its shard is too short")
        rows = np.frombuffer(table, FRAME)[wanted]
        starts = rows["offset"].astype("int64")
        ends = starts + rows["size"]
        if starts[0] < record.offset or (starts[1:] < ends[:-1]).any():
            raise _BrokenError("the .frames file of its shard is damaged")
        gap = storage.FAR_GAP if storage.is_remote(self._shard) else 0
        runs = np.split(np.arange(len(rows)), np.flatnonzero(starts[1:] - ends[:-1] > gap) + 1)
        jpegs = []
        for run in runs:
            base = starts[run[0]]
            data = read(int(base), int(ends[run[-1]] - base))
            jpegs += [data[starts[row] - base : ends[row] - base] for row in run]
        for number, jpeg, row in zip(wanted, jpegs, rows, strict=True):
            if masked_crc(jpeg) != row["crc"]:
                raise _BrokenError(f"frame {number} does not match its checksum")
        return jpegs


def masked_crc(data: bytes) -> int:
    """The checksum that TFRecords have of their data."""
    return _mask(google_crc32c.value(data))


def _mask(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record_head(size: int) -> bytes:
    """What comes before the data of a TFRecord."""
    length = struct.pack("<Q", size)
    return length + struct.pack("<I", masked_crc(length))


class _BrokenError(Exception):
    """The bytes are not those that were packed."""


def _jpeg_decoder() -> Any:
    """FFmpeg takes less time for JPEGs than libjpeg, and scales before converting."""
    decoder: Any = av.CodecContext.create("mjpeg", "r")
    decoder.options = {"idct": "xvid"}  # the fastest one, as exact as the others
    decoder.thread_type = "NONE"
    decoder.thread_count = 1
    return decoder


def _decode_jpeg(decoder: Any, jpeg: bytes) -> av.VideoFrame:
    try:
        return decoder.decode(av.Packet(jpeg))[0]
    except (av.FFmpegError, IndexError) as error:
        raise _BrokenError(f"a frame is no JPEG ({error})") from error
