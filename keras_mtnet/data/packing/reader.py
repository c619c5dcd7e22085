"""The videos of a packed set, shared out as those of files are."""

import dataclasses

from keras_mtnet.data.catalog import SUBSETS
from keras_mtnet.data.datasets.lists import Request
from keras_mtnet.data.packing import storage
from keras_mtnet.data.packing.manifest import PackedSet, Record, load, shard_name
from keras_mtnet.data.packing.packed_video import PackedVideo
from keras_mtnet.data.videos import Video, Videos
from keras_mtnet.video.read_cache import ReadCache


@dataclasses.dataclass(frozen=True, slots=True)
class PackedItem(Video):
    """A video of a packed set's list; its shard is at `path`."""

    record: Record | None = None  # where in the shard, or why it is not there

    def open(self, fps: float | None = None, cache: ReadCache | None = None) -> PackedVideo:
        """Its frames."""
        assert self.record is not None
        return PackedVideo(self.path, self.record, self.name, fps, cache)


def read_packed(dataset: str, request: Request) -> Videos:
    """Finds the videos of one part of a packed set, by the lists it was packed with.

    Arguments and errors are as of `read_split`; `request.annotations` is not looked at.
    """
    packed = load(request.root)
    info = packed.info
    if dataset not in ("folder", info.dataset):
        raise ValueError(f"{request.root} is packed from {info.dataset}. Received: {dataset!r}")
    _check_complete(packed, request.root)
    # Shard s holds videos s, s + shards, s + 2 * shards, ... of the list.
    records = [
        (number, packed.shards[number].records[place])
        for place in range(-(-info.videos // info.shards))
        for number in range(info.shards)
        if place < len(packed.shards[number].records)
    ]
    wanted, rule = _choose(packed, [record for _, record in records], request)
    paths = {
        number: storage.join(request.root, shard_name(number, info.shards, "tfrecord"))
        for number in packed.shards
    }
    videos = [
        PackedItem(paths[number], record.label, record.name, record=record)
        for (number, record), chosen in zip(records, wanted, strict=True)
        if chosen
    ]
    everything = request.subset == "all" or not info.splits
    missing = [
        name
        for name, uses in info.missing
        if everything or uses[info.splits.index(request.split)] in request.choose(_subsets(packed))
    ]
    return Videos(videos, info.class_names, missing, info.dataset, rule)


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


def _choose(packed: PackedSet, records: list[Record], request: Request) -> tuple[list[bool], str]:
    """Which of the records belong to the subset, and how they were shared out."""
    splits = packed.info.splits
    if splits and request.subset != "all":
        if request.split not in splits:
            known = ", ".join(map(str, splits))
            raise ValueError(
                f"{request.root} has the splits {known}. Received: split={request.split}"
            )
        place, subsets = splits.index(request.split), request.choose(_subsets(packed))
        return [record.uses[place] in subsets for record in records], ""
    wanted, rule = request.share_out([(record.file, record.label) for record in records])
    return wanted, "" if splits else rule


def _subsets(packed: PackedSet) -> list[str]:
    """The subsets that the videos of a set belong to in its splits."""
    uses = {use for shard in packed.shards.values() for r in shard.records for use in r.uses}
    return [name for name in SUBSETS if name in uses]
