"""One shard of a packed set: videos to JPEGs to records, and where each frame lies."""

import dataclasses
import hashlib
import os
from typing import BinaryIO, NamedTuple

import numpy as np
import tensorflow as tf

from keras_mtnet.data.packing import manifest
from keras_mtnet.data.packing.manifest import FRAME, PackedSet, Record, SetInfo, Shard, shard_name
from keras_mtnet.data.packing.reader import masked_crc, record_head
from keras_mtnet.data.videos import Video
from keras_mtnet.files import write_beside, write_text
from keras_mtnet.video.read_cache import ReadCache
from keras_mtnet.video.rgb import fit_short_side
from keras_mtnet.video.source import EndsEarly, VideoError

_AT_ONCE = 256  # frames held as pixels
_LONGEST = 1 << 30  # bytes of a record; a protocol buffer ends at twice that


class Entry(NamedTuple):
    """A video to pack, and its record as far as it is known before."""

    video: Video
    record: Record


def write_shard(output: str, info: SetInfo, number: int, entries: list[Entry]) -> Shard:
    """Writes the files of a shard, each whole or not at all.

    Args:
        output: the folder.
        info: of the set.
        number: of the shard.
        entries: its videos.
    """
    paths = {
        suffix: os.path.join(output, shard_name(number, info.shards, suffix))
        for suffix in ("tfrecord", "frames", "json")
    }
    _remove_parts(paths["tfrecord"], paths["frames"], paths["json"])
    with write_beside(paths["tfrecord"]) as data, write_beside(paths["frames"]) as table:
        with open(data, "wb") as data_file, open(table, "wb") as table_file:
            writer = _ShardWriter(data_file, table_file, info)
            shard = writer.write(entries)
            for file in (data_file, table_file):
                file.flush()
                os.fsync(file.fileno())
    write_text(paths["json"], manifest.to_json(PackedSet(info, {number: shard})))
    return shard


def _remove_parts(*paths: str) -> None:
    """Removes what a killed run left beside its files. No other machine writes these."""
    for path in paths:
        folder, name = os.path.split(path)
        for entry in os.listdir(folder):
            if entry.startswith(".") and entry.endswith(f".{name}"):
                os.unlink(os.path.join(folder, entry))


class _ShardWriter:
    """Writes records one after the other, and where their frames are."""

    def __init__(self, data: BinaryIO, table: BinaryIO, info: SetInfo):
        self.data, self.table, self.info = data, table, info
        self.data_hash, self.table_hash = hashlib.sha256(), hashlib.sha256()
        self.offset = self.frames = self.records = 0

    def write(self, entries: list[Entry]) -> Shard:
        records = []
        for entry in entries:
            try:
                records.append(self._write_video(entry))
            except VideoError as error:
                records.append(dataclasses.replace(entry.record, error=error.reason))
        sums = self.data_hash.hexdigest(), self.table_hash.hexdigest()
        return Shard(self.offset, *sums, tuple(records))

    def _write_video(self, entry: Entry) -> Record:
        found = _encode(entry.video, self.info)
        height, width = found.size
        example = tf.train.SequenceExample()
        context = example.context.feature
        context["clip/name"].bytes_list.value.append(
            entry.record.name.encode(errors="surrogateescape")
        )
        context["clip/label/index"].int64_list.value.append(entry.record.label)
        context["image/height"].int64_list.value.append(height)
        context["image/width"].int64_list.value.append(width)
        features = example.feature_lists.feature_list["image/encoded"].feature
        for jpeg in found.jpegs:
            features.add().bytes_list.value.append(jpeg)
        data = example.SerializeToString(deterministic=True)
        head = record_head(len(data))
        record = dataclasses.replace(
            entry.record,
            damage=found.damage,
            frames=len(found.jpegs),
            fps=found.fps,
            height=height,
            width=width,
            number=self.records,
            offset=self.offset,
            size=len(head) + len(data) + 4,
            first=self.frames,
        )
        table = _table(data, found.jpegs, self.offset + len(head))
        self._append(head, data, masked_crc(data).to_bytes(4, "little"))
        self.table.write(table)
        self.table_hash.update(table)
        self.frames += len(found.jpegs)
        self.records += 1
        return record

    def _append(self, *parts: bytes) -> None:
        for part in parts:
            self.data.write(part)
            self.data_hash.update(part)
            self.offset += len(part)


def _table(data: bytes, jpegs: list[bytes], start: int) -> bytes:
    """The lines of the `.frames` file for a record whose data begin at `start`."""
    rows = np.empty(len(jpegs), FRAME)
    place = 0
    for row, jpeg in zip(rows, jpegs, strict=True):
        place = data.index(jpeg, place)
        row["offset"], row["size"], row["crc"] = start + place, len(jpeg), masked_crc(jpeg)
        place += len(jpeg)
    return rows.tobytes()


# --- Videos --------------------------------------------------------------------------------------


class _Encoded(NamedTuple):
    jpegs: list[bytes]
    size: tuple[int, int]
    fps: float
    damage: str | None


def _encode(video: Video, info: SetInfo) -> _Encoded:
    """All frames of a video as JPEGs."""
    source = video.open(info.fps, ReadCache())
    size = source.read([0]).shape[1:3]
    if min(size) > info.short_side:
        size = fit_short_side(*size, info.short_side)
    jpegs: list[bytes] = []
    while len(jpegs) < source.frame_count:
        numbers = np.arange(len(jpegs), min(len(jpegs) + _AT_ONCE, source.frame_count))
        try:
            frames = source.read(numbers, size=size)
        except EndsEarly:  # damage came to light: the video ends before it
            continue
        jpegs += [tf.io.encode_jpeg(f, quality=info.quality).numpy() for f in frames]
        if sum(map(len, jpegs)) > _LONGEST:
            raise VideoError(
                video.name,
                f"too long for a record after {len(jpegs)} frames: "
                "list parts of it, with start and end",
            )
    return _Encoded(jpegs, size, round(source.fps or 0.0, 3), source.damage)
