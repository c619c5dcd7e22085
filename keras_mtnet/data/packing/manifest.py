"""The contents of a packed set, as JSON: a `Shard` each, and all of them as a `PackedSet`."""

import dataclasses
import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_mtnet.data.packing import storage

# A line of a `.frames` file: where the JPEG of a frame starts in the shard, its length, and its
# masked CRC-32C, as TFRecords have it.
FRAME = np.dtype([("offset", "<u8"), ("size", "<u4"), ("crc", "<u4")])
FORMAT = 1
MANIFEST = "manifest.json"
_NAME = re.compile(r"shard-\d{5}-of-\d{5}\.(json|tfrecord|frames)")


@dataclasses.dataclass(frozen=True)
class SetInfo:
    """What all shards of a set have in common."""

    dataset: str  # as in `read_split`
    stride: int  # distance between neighboring frames of a clip that suits it
    class_names: tuple[str, ...]
    splits: tuple[int, ...]  # official ones; none where `read_split` shares out the videos
    # Listed videos that were not on disk, with their subset in each split, "" for none.
    missing: tuple[tuple[str, tuple[str, ...]], ...]
    videos: int  # on the list and on disk
    videos_sha256: str  # of their list, which tells lists apart
    shards: int
    short_side: int  # of the frames in pixels, at most
    quality: int  # of the JPEGs, 1 to 100
    fps: float | None  # None: those of each file


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A video of a shard."""

    name: str  # what its list calls it
    file: str  # below the root; parts of one file have it in common
    label: int
    uses: tuple[str, ...] = ()  # "train", "test" or "" for neither, in each split of the set
    error: str | None = None  # why it could not be read and is not in the shard
    damage: str | None = None  # what is wrong with it, if it is there in part
    frames: int = 0
    fps: float = 0.0
    height: int = 0
    width: int = 0
    number: int = 0  # which record of the shard it is
    offset: int = 0  # where that begins, in bytes
    size: int = 0  # in bytes, with its own length and checksums
    first: int = 0  # place of its first frame in the `.frames` file


@dataclasses.dataclass(frozen=True)
class Shard:
    """A finished shard: every `shards`-th video of the list, from its number on."""

    bytes: int  # of the `.tfrecord` file
    sha256: str  # of the `.tfrecord` file
    frames_sha256: str  # of the `.frames` file
    records: tuple[Record, ...]  # in the order of the list

    @property
    def frames(self) -> int:
        """How many frames it holds."""
        return sum(record.frames for record in self.records)


@dataclasses.dataclass(frozen=True)
class PackedSet:
    """A packed set, finished or not."""

    info: SetInfo
    shards: dict[int, Shard]  # by number, the finished ones

    @property
    def unfinished(self) -> list[int]:
        """Numbers of the shards that are not there."""
        return [number for number in range(self.info.shards) if number not in self.shards]

    @property
    def records(self) -> list[Record]:
        """Those of the finished shards."""
        return [record for shard in self.shards.values() for record in shard.records]

    @property
    def counts(self) -> dict[str, int]:
        """How much there is of what."""
        records = self.records
        return {
            "videos": sum(record.error is None for record in records),
            "frames": sum(record.frames for record in records),
            "bytes": sum(shard.bytes for shard in self.shards.values()),
            "damaged": sum(record.damage is not None for record in records),
            "unreadable": sum(record.error is not None for record in records),
            "missing": len(self.info.missing),
        }

    @property
    def unreadable(self) -> dict[str, str]:
        """Name to reason of the videos that could not be read."""
        return {record.name: record.error for record in self.records if record.error}


def shard_name(number: int, shards: int, suffix: str) -> str:
    """Name of a file of a shard."""
    return f"shard-{number:05d}-of-{shards:05d}.{suffix}"


def to_json(packed: PackedSet) -> str:
    """A set as JSON, always the same for the same set: a line for each video."""
    head = {"format": FORMAT, "set": dataclasses.asdict(packed.info), "counts": packed.counts}
    head["unreadable"] = packed.unreadable
    shards = []
    for number, shard in sorted(packed.shards.items()):
        values = {key: value for key, value in vars(shard).items() if key != "records"}
        records = ",\n".join(json.dumps(_without_defaults(record)) for record in shard.records)
        shards.append(f'"{number}": {json.dumps(values)[:-1]}, "records": [\n{records}]}}')
    return json.dumps(head, indent=1)[:-2] + ',\n "shards": {\n' + ",\n".join(shards) + "\n}}\n"


def _without_defaults(record: Record) -> dict[str, Any]:
    values = {field: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {field.name: value for field, value in values.items() if value != field.default}


def from_json(text: str, path: str) -> PackedSet:
    """Reads what `to_json` wrote; ValueError, naming `path`, for anything else."""
    try:
        values = json.loads(text)
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']!r}, which this version does not know")
        info = SetInfo(**{key: _tuples(value) for key, value in values["set"].items()})
        shards = {
            int(number): Shard(**{**shard, "records": tuple(map(_record, shard["records"]))})
            for number, shard in values["shards"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} does not describe a packed set: {error}") from error
    return PackedSet(info, shards)


def _record(values: dict[str, Any]) -> Record:
    return Record(**{key: _tuples(value) for key, value in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def is_ours(name: str) -> bool:
    """Whether a file has a name that files of packed sets have."""
    return name == MANIFEST or _NAME.fullmatch(name) is not None


def is_packed(root: str) -> bool:
    """Whether a folder, or URL, is that of a packed set. No other set has a URL."""
    return storage.is_remote(root) or any(
        is_ours(name) and name.endswith(".json") for name in storage.list_names(root)
    )


def load(root: str) -> PackedSet:
    """Reads the manifest of a packed set, or those of the shards that are finished.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if one is not what it should be, or they are of different sets.
    """
    path = storage.join(root, MANIFEST)
    try:
        return from_json(storage.read_text(path), path)
    except FileNotFoundError as error:
        names = storage.list_names(root)
        shards = [name for name in names if is_ours(name) and name.endswith(".json")]
        paths = [storage.join(root, name) for name in shards]
        if not paths:
            raise FileNotFoundError(f"{root!r} holds no packed set: {error}") from error
    return merge((path, from_json(storage.read_text(path), path)) for path in paths)


def merge(sets: Iterable[tuple[str, PackedSet]]) -> PackedSet:
    """Puts shards of one set together, each with its path for messages."""
    sets = list(sets)
    path, first = sets[0]
    shards: dict[int, Shard] = {}
    for other_path, other in sets:
        check_same(first.info, other.info, path, other_path)
        shards.update(other.shards)
    return PackedSet(first.info, dict(sorted(shards.items())))


def check_same(one: SetInfo, other: SetInfo, path: str, other_path: str) -> None:
    """Raises ValueError if two shards are not of the same set, naming a difference."""
    for field in dataclasses.fields(SetInfo):
        values = getattr(one, field.name), getattr(other, field.name)
        if values[0] != values[1]:
            shown = " and ".join(f"{value!r:.60}" for value in values)
            raise ValueError(
                f"{path} and {other_path} are of different sets: {field.name} is {shown}. "
                "Choose another output folder, or the options of before"
            )
