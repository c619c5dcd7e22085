"""Packing a data set: on several threads, on several machines, and on from where it was stopped."""

import dataclasses
import hashlib
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed

from keras_mtnet.data.catalog import SEVERAL_SPLITS, read_split
from keras_mtnet.data.packing import manifest
from keras_mtnet.data.packing.manifest import (
    FRAME,
    MANIFEST,
    PackedSet,
    Record,
    SetInfo,
    Shard,
    shard_name,
)
from keras_mtnet.data.packing.shard_writer import Entry, write_shard
from keras_mtnet.data.videos import Videos
from keras_mtnet.files import write_text


def pack(
    dataset: str,
    root: str,
    output: str,
    annotations: str | None = None,
    shards: int = 64,
    short_side: int = 320,
    quality: int = 85,
    fps: float | None = None,
    workers: int | None = None,
    shard_index: int = 0,
    shard_count: int = 1,
    verbose: bool = True,
) -> PackedSet:
    """Writes all videos of a data set as JPEG frames into a folder of a few large files.

    `read_split` reads that folder in place of `root`, and with it `clips` and `views`. All subsets
    and official splits are packed together. A shard is either whole or not there: started again
    after a stop, finished shards are left as they are, and the rest comes out in the same bytes.

    Args:
        dataset: as for `read_split`.
        root: as for `read_split`.
        output: the folder of the packed set; made if needed.
        annotations: as for `read_split`.
        shards: into how many files. A few hundred megabytes each are handy.
        short_side: frames are made smaller, never larger, to this length of their shorter side.
        quality: of the JPEGs, 1 to 100.
        fps: keep pictures at this rate, whatever the rate of the file; None: all frames. Strides
            count the pictures that are kept.
        workers: shards written at the same time; as many as there are CPUs when None.
        shard_index: which part of the shards to write, from 0.
        shard_count: of how many parts. Each may be written on another machine, into one folder or
            into several whose files are put together later.
        verbose: print a line for each finished shard.

    Returns:
        What is in the folder now; `unfinished` are the shards that other parts have to write.

    Raises:
        ValueError: for a wrong argument or list, if the folder holds another packed set, or if no
            video can be read.
        FileNotFoundError: as of `read_split`.
        FileExistsError: if the folder holds anything else.
    """
    _check_arguments(shards, short_side, quality, fps, workers, shard_index, shard_count)
    info, entries = _plan(dataset, root, annotations, shards, short_side, quality, fps)
    finished = _finished(output, info)
    os.makedirs(output, exist_ok=True)
    show = _Progress(shards, len(finished), verbose)

    def write(number: int) -> None:
        show(number, write_shard(output, info, number, entries[number::shards]))

    todo = [n for n in range(shard_index, shards, shard_count) if n not in finished]
    _run(write, todo, workers or os.cpu_count())
    packed = manifest.load(output)
    if not packed.unfinished:
        if not packed.counts["videos"]:
            name, reason = next(iter(packed.unreadable.items()))
            raise ValueError(f"none of the {info.videos} videos can be read, e.g. {name}: {reason}")
        write_text(os.path.join(output, MANIFEST), manifest.to_json(packed))
    return packed


def _check_arguments(
    shards: int,
    short_side: int,
    quality: int,
    fps: float | None,
    workers: int | None,
    shard_index: int,
    shard_count: int,
) -> None:
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
            raise ValueError(f"{name} must be from {lowest} to {highest}. Received: {value}")


def _run(write: Callable[[int], None], numbers: list[int], workers: int) -> None:
    """Writes shards on several threads; the first error stops those that have not begun."""
    with ThreadPoolExecutor(workers) as threads:
        futures = [threads.submit(write, number) for number in numbers]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


# --- What to pack, and what is there -------------------------------------------------------------


def _plan(
    dataset: str,
    root: str,
    annotations: str | None,
    shards: int,
    short_side: int,
    quality: int,
    fps: float | None,
) -> tuple[SetInfo, list[Entry]]:
    """What the set will be, and its videos."""
    videos = read_split(dataset, root, annotations, subset="all")
    splits, uses = _uses(videos, root, annotations)

    def row(name: str) -> tuple[str, ...]:
        return tuple(uses[split].get(name, "") for split in splits)

    entries = []
    for video in videos:
        file = os.path.relpath(video.path, root).replace(os.sep, "/")
        entries.append(Entry(video, Record(video.name, file, video.label, row(video.name))))
    listed = json.dumps([dataclasses.astuple(entry.record) for entry in entries])
    info = SetInfo(
        dataset=videos.dataset,
        stride=videos.stride,
        class_names=videos.class_names,
        splits=splits,
        missing=tuple((name, row(name)) for name in videos.missing),
        videos=len(entries),
        videos_sha256=hashlib.sha256(listed.encode()).hexdigest(),
        shards=shards,
        short_side=short_side,
        quality=quality,
        fps=fps,
    )
    return info, entries


def _uses(
    videos: Videos, root: str, annotations: str | None
) -> tuple[tuple[int, ...], dict[int, dict[str, str]]]:
    """The splits of which there are lists, and for each the subsets of the videos by name."""
    dataset = videos.dataset
    one_list = dataset == "csv" and annotations is not None and os.path.isfile(annotations)
    if dataset == "folder" or one_list:  # `read_split` shares them out by a seed
        return (), {}
    uses: dict[int, dict[str, str]] = {}
    for split in (1, 2, 3) if dataset in SEVERAL_SPLITS else (1,):
        try:
            parts = {
                subset: read_split(dataset, root, annotations, split, subset)
                for subset in ("train", "test")
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
    return tuple(uses), uses


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


# --- Progress ------------------------------------------------------------------------------------


class _Progress:
    """Says which shards are finished."""

    def __init__(self, shards: int, finished: int, verbose: bool):
        self.shards, self.finished, self.verbose = shards, finished, verbose
        self.lock = threading.Lock()
        if finished and verbose:
            print(f"{finished} of {shards} shards are there already", flush=True)

    def __call__(self, number: int, shard: Shard) -> None:
        with self.lock:
            self.finished += 1
            if self.verbose:
                unreadable = sum(record.error is not None for record in shard.records)
                print(
                    f"shard {number}: {len(shard.records) - unreadable} videos, "
                    f"{shard.frames} frames, {shard.bytes / 1e6:.1f} MB"
                    + (f", {unreadable} unreadable" if unreadable else "")
                    + f" ({self.finished} of {self.shards} shards)",
                    flush=True,
                )
