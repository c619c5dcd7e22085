"""Frames out of packed sets: any of any video, without reading the others, checked for damage.

A record is checked as a whole when a process reads from it for the first time, against the
checksums that every TFRecord has. After that only the frames asked for are read, each checked
against a checksum of its own.
"""

import dataclasses
import os
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator

import av
import google_crc32c
import numpy as np

from keras_mtnet.data.datasets.folder import check_training, choose_tests
from keras_mtnet.data.datasets.lists import Part
from keras_mtnet.data.packing import storage
from keras_mtnet.data.packing.manifest import FRAME, PackedSet, Record, load, shard_name
from keras_mtnet.data.videos import Video, Videos
from keras_mtnet.video.frame_index import FrameIndex
from keras_mtnet.video.read_cache import ReadCache
from keras_mtnet.video.source import VideoError, VideoSource

HEAD, TAIL = 12, 4  # bytes of a TFRecord before and after its data: length, checksums


@dataclasses.dataclass(frozen=True, slots=True)
class PackedItem(Video):
    """A video of a packed set's list; its shard is at `path`.

    Attributes:
        record: where in the shard, or why it is not there.
    """

    record: Record | None = None

    def open(self, fps: float | None = None, cache: ReadCache | None = None) -> "PackedVideo":
        """Its frames."""
        return PackedVideo(self.path, self.record, self.name, fps, cache)


# --- Lists ---------------------------------------------------------------------------------------


def read_packed(dataset: str, part: Part) -> Videos:
    """Finds the videos of one part of a packed set. Arguments and errors as of `read_split`.

    Its lists are those it was packed with, `part.annotations` is not looked at.
    """
    packed = load(part.root)
    info = packed.info
    if dataset not in ("folder", info.dataset):
        raise ValueError(f"{part.root} is packed from {info.dataset}. Received: {dataset!r}")
    _check_complete(packed, part.root)
    # Shard s holds videos s, s + shards, s + 2 * shards, ... of the list.
    records = [
        (number, packed.shards[number].records[place])
        for place in range(-(-info.videos // info.shards))
        for number in range(info.shards)
        if place < len(packed.shards[number].records)
    ]
    wanted = _choose(packed, [record for _, record in records], part)
    paths = {
        number: storage.join(part.root, shard_name(number, info.shards, "tfrecord"))
        for number in packed.shards
    }
    videos = [
        PackedItem(paths[number], record.label, record.name, record=record)
        for (number, record), chosen in zip(records, wanted, strict=True)
        if chosen
    ]
    everything = part.subset == "all" or not info.splits
    missing = [
        name
        for name, uses in info.missing
        if everything or uses[info.splits.index(part.split)] == part.subset
    ]
    return Videos(videos, info.class_names, missing, info.dataset)


def _check_complete(packed: PackedSet, root: str) -> None:
    """Raises FileNotFoundError if shards are missing, by their numbers."""
    missing = packed.unfinished
    if not storage.is_remote(root):
        names = {suffix: storage.list_names(root) for suffix in ("tfrecord", "frames")}
        missing += [
            number
            for number in packed.shards
            if any(
                shard_name(number, packed.info.shards, suffix) not in found
                for suffix, found in names.items()
            )
        ]
    if missing:
        shown = ", ".join(map(str, missing[:20])) + (", ..." if len(missing) > 20 else "")
        raise FileNotFoundError(
            f"{root} lacks {len(missing)} of {packed.info.shards} shards: {shown}. "
            "Run the same keras-mtnet pack again, or copy them there"
        )


def _choose(packed: PackedSet, records: list[Record], part: Part) -> list[bool]:
    """Which of the records belong to the subset."""
    if part.subset == "all":
        return [True] * len(records)
    splits = packed.info.splits
    if splits:
        if part.split not in splits:
            known = ", ".join(map(str, splits))
            raise ValueError(f"{part.root} has the splits {known}. Received: split={part.split}")
        place = splits.index(part.split)
        return [record.uses[place] == part.subset for record in records]
    files = defaultdict(list)
    for file, label in dict((r.file, r.label) for r in reversed(records)).items():
        files[packed.info.class_names[label]].append(file)
    tests = choose_tests(files, part.validation_split, part.seed)
    chosen = [(record.file in tests) == (part.subset == "test") for record in records]
    labels = {r.label for r, wanted in zip(records, chosen, strict=True) if wanted}
    check_training(list(packed.info.class_names), labels, part)
    return chosen


# --- Frames --------------------------------------------------------------------------------------


class PackedVideo(VideoSource):
    """A video of a packed set.

    Args:
        shard: path or URL of the shard.
        record: which video of it.
        name: what messages call it; as the set does when None.
        fps: frame rate to read it at.
        cache: remembers which records are sound.
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
        self.path, self.record = shard, record
        self.damage = record.damage
        self._cache = cache

    @property
    def index(self) -> FrameIndex:
        if self.record.error is not None:
            raise VideoError(self.name, self.record.error)
        # Where the rate was never known, the frames are taken as they are.
        return FrameIndex.even(self.record.frames, self.record.fps or self._fps or 25)

    def _decode(self, index: FrameIndex, wanted: np.ndarray) -> Iterator[av.VideoFrame]:
        try:
            with storage.open_ranges(self.path) as read:
                _check_once(self, read, self._cache)
                jpegs = _read_jpegs(self, wanted, read)
            decoder = _jpeg_decoder()
            for jpeg in jpegs:
                yield _decode_jpeg(decoder, jpeg)
        except (_Broken, OSError) as error:
            shard = os.path.basename(self.path)
            reason = f"{shard}, record {self.record.number}: {error}"
            raise VideoError(self.name, reason) from error


class _Broken(Exception):
    """The bytes are not those that were packed."""


def masked_crc(data: bytes, crc: int | None = None) -> int:
    """The checksum of TFRecords, of `data` or of data whose CRC-32C is known."""
    crc = google_crc32c.value(data) if crc is None else crc
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _check_once(
    video: PackedVideo, read: Callable[[int, int], bytes], cache: ReadCache | None
) -> None:
    record = video.record
    changed = 0 if storage.is_remote(video.path) else os.stat(video.path).st_mtime_ns
    key = video.path, changed, record.number
    if cache is not None and cache.get(key):
        return
    head = read(record.offset, HEAD)
    if head != record_head(record.size - HEAD - TAIL):
        raise _Broken("no record begins there, or its length is damaged")
    crc = 0
    for block in storage.blocks(read, record.offset + HEAD, record.size - HEAD - TAIL):
        crc = google_crc32c.extend(crc, block)
    if read(record.offset + record.size - TAIL, TAIL) != struct.pack("<I", masked_crc(b"", crc)):
        raise _Broken("its bytes do not match their checksum")
    if cache is not None:
        cache.put(key, True, nbytes=256)


def record_head(size: int) -> bytes:
    """What comes before the data of a TFRecord."""
    length = struct.pack("<Q", size)
    return length + struct.pack("<I", masked_crc(length))


def _read_jpegs(
    video: PackedVideo, wanted: np.ndarray, read: Callable[[int, int], bytes]
) -> list[bytes]:
    """The JPEGs of the frames of the numbers `wanted`, increasing."""
    record = video.record
    with storage.open_ranges(video.path.removesuffix("tfrecord") + "frames") as read_frames:
        table = read_frames(record.first * FRAME.itemsize, record.frames * FRAME.itemsize)
    if len(table) != record.frames * FRAME.itemsize:
        raise _Broken("the .frames file of its shard is too short")
    rows = np.frombuffer(table, FRAME)[wanted]
    starts, ends = rows["offset"].astype("int64"), (rows["offset"] + rows["size"]).astype("int64")
    if starts[0] < record.offset or (starts[1:] < ends[:-1]).any():
        raise _Broken("the .frames file of its shard is damaged")
    gap = storage.FAR_GAP if storage.is_remote(video.path) else 0
    jpegs = []
    for run in np.split(np.arange(len(rows)), np.flatnonzero(starts[1:] - ends[:-1] > gap) + 1):
        base = starts[run[0]]
        data = read(int(base), int(ends[run[-1]] - base))
        jpegs += [data[starts[row] - base : ends[row] - base] for row in run]
    for number, jpeg, row in zip(wanted, jpegs, rows, strict=True):
        if masked_crc(jpeg) != row["crc"]:
            raise _Broken(f"frame {number} does not match its checksum")
    return jpegs


def _jpeg_decoder() -> av.CodecContext:
    """FFmpeg takes less time for JPEGs than libjpeg, and scales before converting."""
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = {"idct": "xvid"}  # the fastest one, as exact as the others
    decoder.thread_type = "NONE"
    decoder.thread_count = 1
    return decoder


def _decode_jpeg(decoder: av.CodecContext, jpeg: bytes) -> av.VideoFrame:
    try:
        return decoder.decode(av.Packet(jpeg))[0]
    except (av.FFmpegError, IndexError) as error:
        raise _Broken(f"a frame is no JPEG ({error})") from error
