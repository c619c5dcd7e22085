"""Packing a data set: on several threads, on several machines, resumed where it was stopped."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

from keras_mtnet.checks import check_integer, given
from keras_mtnet.data.catalog import DATASETS
from keras_mtnet.data.packing import manifest
from keras_mtnet.data.packing.manifest import FRAME, PackedSet, Record, SetInfo, shard_name
from keras_mtnet.data.packing.shard_writer import write_shard
from keras_mtnet.data.splits import read_split
from keras_mtnet.data.videos import Video, Videos
from keras_mtnet.files import check_outside, write_text
from keras_mtnet.video.check import show_progress


def pack(
    dataset: str,
    root: str | os.PathLike,
    output: str | os.PathLike,
    annotations: str | os.PathLike | None = None,
    shards: int = 64,
    short_side: int = 320,
    quality: int = 85,
    fps: float | None = None,
    workers: int | None = None,
    shard_index: int = 0,
    shard_count: int = 1,
    progress: bool = False,
) -> PackedSet:
    """Writes all videos of a data set as JPEG frames into a folder of a few large files.

    `read_split` reads that folder in place of `root`. All subsets and official splits are packed
    together. A shard is either whole or not there: started again after a stop, finished shards are
    left as they are, and the rest comes out in the same bytes.

    Args:
        dataset, root, annotations: as for `read_split`.
        output: the folder of the packed set; made if needed.
        shards: number of files. A few hundred megabytes each are handy.
        short_side: frames are made smaller, never larger, to this length of their shorter side.
        quality: of the JPEGs, 1 to 100.
        fps: frame rate at which to keep frames; None keeps all. Strides count the frames kept.
        workers: shards written at the same time; as many as there are CPUs when None.
        shard_index: which part of the shards to write, from 0.
        shard_count: of how many parts. Each may be written on another machine, into one folder or
            into several whose files are put together later.
        progress: show a bar on stderr.

    Returns:
        What is in the folder now; `unfinished` are the shards that other parts have to write.

    Raises:
        ValueError: for a wrong argument or list, if the folder holds another packed set or
            would be read as a class, or if no video can be read.
        FileNotFoundError: as of `read_split`.
        FileExistsError: if the folder holds anything else.

    Example:

    >>> import tempfile, keras_mtnet as mt
    >>> folder = tempfile.mkdtemp()
    >>> mt.data.draw_dataset(f"{folder}/videos", groups=2, clips_per_group=1, frames=8)
    >>> packed = mt.data.pack("folder", f"{folder}/videos", f"{folder}/packed", shards=2)
    >>> packed.counts["videos"], packed.unfinished
    (16, [])
    """
    root, output = os.fspath(root), os.fspath(output)
    annotations = None if annotations is None else os.fspath(annotations)
    check_integer(shards=shards, short_side=short_side, quality=quality, **given(workers=workers))
    check_integer(shard_index=shard_index, shard_count=shard_count)
    limits = {
        "shards": (shards, 1, 99_999),
        "short_side": (short_side, 16, 8192),
        "quality": (quality, 1, 100),
        "fps": (fps, 0.01, 1000),
        "workers": (workers, 1, 1024),
        "shard_count": (shard_count, 1, shards),
        "shard_index": (shard_index, 0, shard_count - 1),
    }
    for name, (value, lowest, highest) in limits.items():
        if value is not None and not lowest <= value <= highest:
            raise ValueError(f"{name} must be from {lowest} to {highest}. Received: {name}={value}")
    videos = read_split(dataset, root, annotations, subset="all")
    if videos.dataset == "folder":  # lists do not look at what else there is
        check_outside(output, root)
    items, splits, missing = _list(videos, root, annotations)
    listed = json.dumps([dataclasses.astuple(record) for _, record in items])
    info = SetInfo(
        dataset=videos.dataset,
        stride=videos.stride,
        class_names=videos.class_names,
        splits=splits,
        missing=missing,
        videos=len(items),
        videos_sha256=hashlib.sha256(listed.encode()).hexdigest(),
        shards=shards,
        short_side=short_side,
        quality=quality,
        fps=fps,
    )
    finished = _finished(output, info)
    os.makedirs(output, exist_ok=True)
    todo = [n for n in range(shard_index, shards, shard_count) if n not in finished]
    written = _write(output, info, items, todo, workers or os.cpu_count())
    what = f"Packing, {len(finished)} of {shards} shards are there" if finished else "Packing"
    for _ in show_progress(written, len(todo), what) if progress else written:
        pass
    packed = manifest.load(output)
    if not packed.unfinished:
        if not packed.counts["videos"]:
            name, reason = next(iter(packed.unreadable.items()))
            raise ValueError(f"none of the {info.videos} videos can be read, e.g. {name}: {reason}")
        write_text(os.path.join(output, manifest.MANIFEST), manifest.to_json(packed))
    return packed


def _write(
    output: str,
    info: SetInfo,
    items: list[tuple[Video, Record]],
    numbers: list[int],
    workers: int | None,
) -> Iterator[None]:
    """Writes shards on several threads; the first error stops those that have not begun."""
    with ThreadPoolExecutor(workers) as threads:
        futures = [
            threads.submit(write_shard, output, info, number, items[number :: info.shards])
            for number in numbers
        ]
        try:
            for future in as_completed(futures):
                future.result()
                yield
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def _list(
    videos: Videos, root: str, annotations: str | None
) -> tuple[list[tuple[Video, Record]], tuple[int, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """The videos with what is known of their records, the splits, and what is missing."""
    uses = _uses(videos, root, annotations)

    def row(name: str) -> tuple[str, ...]:
        return tuple(subsets.get(name, "") for subsets in uses.values())

    items = []
    for video in videos:
        file = os.path.relpath(video.path, root).replace(os.sep, "/")
        items.append((video, Record(video.name, file, video.label, row(video.name))))
    return items, tuple(uses), tuple((name, row(name)) for name in videos.missing)


def _uses(videos: Videos, root: str, annotations: str | None) -> dict[int, dict[str, str]]:
    """The splits of which there are lists, and for each the subsets of the videos by name."""
    dataset = videos.dataset
    if videos.rule:  # `read_split` shares them out by a seed
        return {}
    uses: dict[int, dict[str, str]] = {}
    for split in range(1, DATASETS[dataset].splits + 1):
        try:
            parts = {
                subset: read_split(dataset, root, annotations, split, subset)
                for subset in ("train", "validation", "test")
            }
        except FileNotFoundError:
            if split == 1:
                raise
            continue
        uses[split] = {
            name: subset
            for subset, part in parts.items()
            for name in (*(video.name for video in part), *part.missing)
        }
    return uses


def _finished(output: str, info: SetInfo) -> set[int]:
    """Numbers of the shards that are there, whole and of this set."""
    names = os.listdir(output) if os.path.isdir(output) else []
    others = [name for name in names if not (name.startswith(".") or manifest.is_ours(name))]
    if others:
        raise FileExistsError(
            f"{output!r} holds something else, {others[0]!r}: choose a new or empty folder"
        )
    if not manifest.is_packed(output):
        return set()
    packed = manifest.load(output)
    manifest.check_same(packed.info, info, output, "what is to be packed now")
    return {
        number
        for number, shard in packed.shards.items()
        if _size(output, number, info, "tfrecord") == shard.bytes
        and _size(output, number, info, "frames") == FRAME.itemsize * shard.frames
    }


def _size(output: str, number: int, info: SetInfo, suffix: str) -> int:
    path = os.path.join(output, shard_name(number, info.shards, suffix))
    return os.path.getsize(path) if os.path.isfile(path) else -1
