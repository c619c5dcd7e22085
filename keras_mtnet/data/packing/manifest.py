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
    """What all shards of a set have in common.

    Attributes:
        dataset: name of the data set, as in `read_split`.
        stride: distance between neighboring frames of a clip that suits it.
        class_names: in label order.
        splits: numbers of the official splits; none where `read_split` shares out the videos.
        missing: listed videos that were not on disk, with their subset in each split, "" for none.
        videos: number of videos on the list that are on disk.
        videos_sha256: SHA-256 of the list, which tells lists apart.
        shards: number of shards.
        short_side: longest short side of the frames, in pixels.
        quality: of the JPEGs, 1 to 100.
        fps: frames per second; None: those of each file.
    """

    dataset: str
    stride: int
    class_names: tuple[str, ...]
    splits: tuple[int, ...]
    missing: tuple[tuple[str, tuple[str, ...]], ...]
    videos: int
    videos_sha256: str
    shards: int
    short_side: int
    quality: int
    fps: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A video of a shard.

    Attributes:
        name: what its list calls it.
        file: path of its file below the root, which parts of one file have in common.
        label: index into the class names.
        uses: its subset, "train" or "test", in each split of the set; "" for neither.
        error: why it could not be read, and is not in the shard; None if it is.
        damage: what is wrong with it, if it is there in part.
        frames: number of frames.
        fps: frames per second.
        height: of the frames, in pixels.
        width: of the frames, in pixels.
        number: which record of the shard it is, from 0.
        offset: where that record begins, in bytes.
        size: its length, with its own length and checksums.
        first: place of its first frame in the `.frames` file.
    """

    name: str
    file: str
    label: int
    uses: tuple[str, ...] = ()
    error: str | None = None
    damage: str | None = None
    frames: int = 0
    fps: float = 0.0
    height: int = 0
    width: int = 0
    number: int = 0
    offset: int = 0
    size: int = 0
    first: int = 0


@dataclasses.dataclass(frozen=True)
class Shard:
    """A finished shard: every `shards`-th video of the list, from its number on.

    Attributes:
        bytes: size of the `.tfrecord` file.
        sha256: of the `.tfrecord` file.
        frames_sha256: of the `.frames` file.
        records: in the order of the list.
    """

    bytes: int
    sha256: str
    frames_sha256: str
    records: tuple[Record, ...]

    @property
    def frames(self) -> int:
        """How many frames it holds."""
        return sum(record.frames for record in self.records)


@dataclasses.dataclass(frozen=True)
class PackedSet:
    """A packed set, finished or not.

    Attributes:
        info: what its shards have in common.
        shards: number to finished shard.
    """

    info: SetInfo
    shards: dict[int, Shard]

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


# --- JSON ----------------------------------------------------------------------------------------


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
    """Reads what `to_json` wrote; `path` is for messages.

    Raises:
        ValueError: if it is anything else.
    """
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


# --- Folders -------------------------------------------------------------------------------------


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
    """Shards of one set, put together.

    Args:
        sets: each with its path, for messages.

    Raises:
        ValueError: if they are of different sets.
    """
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
