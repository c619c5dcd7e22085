"""The videos of a packed set, shared out as those of files are."""

import dataclasses
from collections import defaultdict

from keras_mtnet.data.datasets.folder import check_training, choose_tests
from keras_mtnet.data.datasets.lists import Part
from keras_mtnet.data.packing import storage
from keras_mtnet.data.packing.manifest import PackedSet, Record, load, shard_name
from keras_mtnet.data.packing.packed_video import PackedVideo
from keras_mtnet.data.videos import Video, Videos
from keras_mtnet.video.read_cache import ReadCache


@dataclasses.dataclass(frozen=True, slots=True)
class PackedItem(Video):
    """A video of a packed set's list; its shard is at `path`.

    Attributes:
        record: where in the shard, or why it is not there.
    """

    record: Record | None = None

    def open(self, fps: float | None = None, cache: ReadCache | None = None) -> PackedVideo:
        """Its frames."""
        assert self.record is not None
        return PackedVideo(self.path, self.record, self.name, fps, cache)


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
        there = set(storage.list_names(root))
        missing += [
            number
            for number in packed.shards
            if not {shard_name(number, packed.info.shards, s) for s in ("tfrecord", "frames")}
            <= there
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
