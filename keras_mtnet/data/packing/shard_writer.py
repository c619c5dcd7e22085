"""One shard of a packed set: videos to JPEGs to records, and where each frame lies."""

import dataclasses
import hashlib
import os
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from keras_mtnet.data.packing import manifest
from keras_mtnet.data.packing.manifest import FRAME, PackedSet, Record, SetInfo, Shard, shard_name
from keras_mtnet.data.packing.packed_video import masked_crc, record_head
from keras_mtnet.data.videos import Video
from keras_mtnet.files import write_beside, write_text
from keras_mtnet.video.rgb import fit_short_side
from keras_mtnet.video.source import EndsEarly, VideoError, VideoSource

_LONGEST = 1 << 30  # bytes of a record; a protocol buffer ends at twice that


def write_shard(output: str, info: SetInfo, number: int, items: list[tuple[Video, Record]]) -> None:
    """Writes the files of a shard, each whole or not at all.

    `items` are its videos, and their records as far as they are known before.
    """
    names = [shard_name(number, info.shards, suffix) for suffix in ("tfrecord", "frames", "json")]
    paths = [os.path.join(output, name) for name in names]
    for entry in os.listdir(output):  # what a killed run left; no other machine writes these
        if entry.startswith(".") and entry.endswith(tuple(f".{name}" for name in names)):
            os.unlink(os.path.join(output, entry))
    with write_beside(paths[0]) as data, write_beside(paths[1]) as table:
        with open(data, "wb") as data_file, open(table, "wb") as table_file:
            shard = _ShardWriter(data_file, table_file, info).write(items)
            for file in (data_file, table_file):
                file.flush()
                os.fsync(file.fileno())
    write_text(paths[2], manifest.to_json(PackedSet(info, {number: shard})))


class _ShardWriter:
    """Writes records one after the other, and where their frames are."""

    def __init__(self, data: BinaryIO, table: BinaryIO, info: SetInfo):
        self._data, self._table, self._info = data, table, info
        self._hashes = {data: hashlib.sha256(), table: hashlib.sha256()}
        self._frames = self._records = 0

    def write(self, items: list[tuple[Video, Record]]) -> Shard:
        records = []
        for video, record in items:
            try:
                records.append(self._write_video(video, record))
            except VideoError as error:
                records.append(dataclasses.replace(record, error=error.reason))
        data, table = (made.hexdigest() for made in self._hashes.values())
        return Shard(self._data.tell(), data, table, tuple(records))

    def _write_video(self, video: Video, record: Record) -> Record:
        source = video.open(self._info.fps)
        _, height, width, _ = source.read([0]).shape
        size = fit_short_side(height, width, min(height, width, self._info.short_side))
        jpegs = _encode(source, size, self._info.quality)
        data = _example(record, jpegs, size)
        head = record_head(len(data))
        record = dataclasses.replace(
            record,
            damage=source.damage,
            frames=len(jpegs),
            fps=round(source.fps or 0.0, 3),
            height=size[0],
            width=size[1],
            number=self._records,
            offset=self._data.tell(),
            size=len(head) + len(data) + 4,
            first=self._frames,
        )
        self._append(self._table, _rows(data, jpegs, record.offset + len(head)))
        self._append(self._data, head, data, masked_crc(data).to_bytes(4, "little"))
        self._frames += len(jpegs)
        self._records += 1
        return record

    def _append(self, file: BinaryIO, *parts: bytes) -> None:
        for part in parts:
            file.write(part)
            self._hashes[file].update(part)


def _encode(source: VideoSource, size: tuple[int, int], quality: int) -> list[bytes]:
    """All frames of a video as JPEGs."""
    while True:
        jpegs: list[bytes] = []
        length = 0
        try:
            for frame in source.stream(size):
                jpegs.append(tf.io.encode_jpeg(frame, quality=quality).numpy())
                length += len(jpegs[-1])
                if length > _LONGEST:
                    raise VideoError(
                        source.name,
                        f"too long for a record after {len(jpegs)} frames: "
                        "list parts of it, with start and end",
                    )
        except EndsEarly:  # damage came to light: from the start, with the frames before it
            continue
        return jpegs


def _example(record: Record, jpegs: list[bytes], size: tuple[int, int]) -> bytes:
    """The data of a record."""
    example = tf.train.SequenceExample()
    context = example.context.feature
    name = record.name.encode(errors="surrogateescape")
    context["clip/name"].bytes_list.value.append(name)
    context["clip/label/index"].int64_list.value.append(record.label)
    context["image/height"].int64_list.value.append(size[0])
    context["image/width"].int64_list.value.append(size[1])
    features = example.feature_lists.feature_list["image/encoded"].feature
    for jpeg in jpegs:
        features.add().bytes_list.value.append(jpeg)
    return example.SerializeToString(deterministic=True)


def _rows(data: bytes, jpegs: list[bytes], start: int) -> bytes:
    """The lines of the `.frames` file for a record whose data begin at `start`."""
    rows = np.empty(len(jpegs), FRAME)
    place = 0
    for row, jpeg in zip(rows, jpegs, strict=True):
        place = data.index(jpeg, place)
        row["offset"], row["size"], row["crc"] = start + place, len(jpeg), masked_crc(jpeg)
        place += len(jpeg)
    return rows.tobytes()
