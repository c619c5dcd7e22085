"""Batches of clips as NumPy arrays, read by several threads. No TensorFlow here."""

import dataclasses
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from absl import logging

from keras_mtnet.checks import check_counts, check_integer, given
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data.augment import PRESETS, Augment, find_augment
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.data.report import ReadReport
from keras_mtnet.data.stream import ClipStream
from keras_mtnet.data.videos import Video, Videos
from keras_mtnet.video.source import VideoError

LABEL_MODES = ("int", "categorical", "binary", None)
_ALIGNMENT = 64  # bytes; TensorFlow copies arrays that begin elsewhere
_NAMED = 3  # unreadable videos that an error names


class Batch(NamedTuple):
    """What was read of a batch.

    Attributes:
        clips: uint8 `(b, T, S, S, 3)`.
        labels: int32 `(b,)`.
        weights: float32 `(b,)`; 0 for clips that stand in for others.
        numbers: the sample numbers, int64 `(b,)`.
        first: the sample number with which the batch begins, whether it can be read or not.
    """

    clips: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    numbers: np.ndarray
    first: np.int64


class Threads:
    """Threads that read videos, which begin with the first call and end with `close`."""

    def __init__(self, count: int):
        self.count = count
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def for_each(self, function: Callable[[int], None], count: int) -> None:
        """Calls `function` with 0 to `count` - 1, several at a time; raises its first error."""
        with self._lock:
            pool = self._pool or ThreadPoolExecutor(self.count, thread_name_prefix="read")
            self._pool = pool
        calls = [pool.submit(function, place) for place in range(count)]
        for call in calls:
            call.result()

    def close(self) -> None:
        """Lets the threads end when they have read what they are at.

        Garbage collection may call this, in any thread at any moment: taking a lock here, also that
        of `shutdown`, could block for ever. A pool without references ends its threads by itself.
        """
        self._pool = None


class BatchReader:
    """Reads the batches of a stream.

    Args:
        videos: the list.
        stream: which of them are in which batch.
        clip_reader: reads their clips. Its report takes the names of what cannot be read, and
            where it is `strict`, the first such video is an error.
        clip_spec: the clips that it reads.
        threads: that read.
        full: fill batches up with other clips of theirs, of weight 0. Otherwise they are smaller by
            what cannot be read.
    """

    def __init__(
        self,
        videos: Videos,
        stream: ClipStream,
        clip_reader: ClipReader,
        clip_spec: ClipSpec,
        threads: Threads,
        full: bool,
    ):
        self.videos, self.stream, self.clip_spec = videos, stream, clip_spec
        self.threads, self.full = threads, full
        self.augment, self.report = clip_reader.augment, clip_reader.report
        self.shape = (clip_reader.frames, clip_reader.size, clip_reader.size, 3)
        self._clip_reader = clip_reader
        self._failed: set[int] = set()

    def read(self, epoch: int, step: int) -> Batch:
        """Reads a batch.

        Raises:
            ValueError: if nothing of it, or with `full` no video of the list, can be read.
            VideoError: for the first video that cannot be read, where `strict`.
        """
        numbers = self.stream.numbers(epoch, step)
        size = self.stream.clips if self.full else len(numbers)
        clips = _empty_aligned((size, *self.shape))
        labels = np.zeros(size, "int32")
        readable = np.zeros(size, "bool")

        def read_one(place: int) -> None:
            number = int(numbers[place])
            index = self.stream.video(number)
            video = self.videos[index]
            try:
                self._read_clip(video, number, clips[place])
            except VideoError as error:
                self._add_failed(index, video, error)
                return
            labels[place], readable[place] = video.label, True

        self.threads.for_each(read_one, len(numbers))
        self._check(numbers, readable)
        first = numbers[0] if len(numbers) else np.int64(0)
        weights = self.stream.weights(int(readable.sum()))
        if readable.all():
            return Batch(clips, labels, weights[:size], numbers, first)
        places = np.flatnonzero(readable)
        if not self.full:
            return Batch(
                clips[places], labels[places], weights[: len(places)], numbers[places], first
            )
        if not len(places):
            clips[:] = 0
            return Batch(clips, labels, weights, np.full(size, first), first)
        places = np.resize(places, size)
        return Batch(clips[places], labels[places], weights, numbers[places], first)

    def names(self, epoch: int, step: int) -> list[str]:
        """The names of the videos of a batch."""
        numbers = map(int, self.stream.numbers(epoch, step))
        return [self.videos[self.stream.video(number)].name for number in numbers]

    def placeholder(self, epoch: int, step: int) -> Batch:
        """Zeros of the same shape, without reading anything."""
        numbers = self.stream.numbers(epoch, step)
        size = self.stream.clips if self.full else len(numbers)
        zeros = np.zeros(size, "int32")
        numbers = np.full(size, numbers[0] if len(numbers) else 0)
        return Batch(
            np.zeros((size, *self.shape), "uint8"),
            zeros,
            zeros.astype("float32"),
            numbers,
            numbers[0],
        )

    def _read_clip(self, video: Video, number: int, out: np.ndarray) -> None:
        if self.stream.training:
            draws = self.stream.draws(number, len(out))
            self._clip_reader.random_clip(video, draws, out)
        else:
            out[:] = self._clip_reader.views(video)[0]

    def _add_failed(self, index: int, video: Video, error: VideoError) -> None:
        if self._clip_reader.strict:
            raise VideoError(video.name, error.reason) from error
        if video.name not in self.report.failed:
            logging.warning("Cannot read %s: %s", video.name, error.reason)
        self.report.add_failed(video.name, error.reason)
        self._failed.add(index)

    def _check(self, numbers: np.ndarray, readable: np.ndarray) -> None:
        nothing = len(numbers) and not readable.any() and not self.full
        if not nothing and len(self._failed) < len(self.videos):
            return
        names = [self.videos[self.stream.video(int(n))].name for n in numbers]
        named = "; ".join(f"{name}: {self.report.failed[name]}" for name in names[:_NAMED])
        what = f"the {len(numbers)} videos of a batch" if nothing else "the videos"
        raise ValueError(
            f"None of {what} can be read, e.g. {named}. Remove these files (keras-mtnet "
            "check-videos names all that cannot be read), or raise batch_size."
        )


def open_batches(
    videos: Videos,
    frames: int,
    stride: int | None,
    size: int,
    batch_size: int,
    training: bool,
    seed: int,
    augment: str | Augment,
    flip: float | None,
    label_mode: str | None,
    fps: float | None,
    sampling: str,
    sample_weights: bool,
    strict: bool,
    report: ReadReport | None,
    parallel_calls: int | None,
    part: tuple[int, int] = (0, 1),
) -> BatchReader:
    """Checks the arguments of `clips` and makes the reader of its batches.

    Raises:
        ValueError: for a wrong argument.
    """
    check_videos(videos)
    check_counts(batch_size=batch_size, **given(parallel_calls=parallel_calls))
    check_integer(seed=seed)
    if batch_size % part[1]:
        raise ValueError(
            f"batch_size must be divisible by the {part[1]} parts. "
            f"Received: batch_size={batch_size}"
        )
    augment = find_augment(augment)
    if augment != PRESETS["none"] and not training:
        raise ValueError(f"augment needs training=True. Received: augment={augment}")
    if flip is not None:
        augment = dataclasses.replace(augment, flip=float(flip))
    _check_labels(videos, label_mode, augment, sample_weights)
    report = ReadReport() if report is None else report
    stride = videos.stride if stride is None else stride
    clip_reader = ClipReader(frames, stride, size, fps, sampling, augment, report, strict)
    stream = ClipStream(len(videos), batch_size, training, seed, part)
    spec = ClipSpec(
        frames=frames,
        stride=stride if sampling == "window" else None,
        size=size,
        fps=fps,
        sampling=sampling,
        class_names=videos.class_names or None,
    )
    threads = Threads(parallel_calls or os.cpu_count() or 1)
    return BatchReader(videos, stream, clip_reader, spec, threads, full=sample_weights)


def check_videos(videos: Videos) -> None:
    """Raises ValueError for what is no list of videos, or an empty one."""
    if isinstance(videos, str | os.PathLike):
        raise ValueError(
            "videos must be a list of videos from keras_mtnet.data.read_split. For one folder per "
            "class use keras_mtnet.data.video_dataset_from_directory. "
            f"Received: videos={videos!r}"
        )
    if not videos:
        raise ValueError("videos must not be empty: there is nothing to read.")


def _check_labels(
    videos: Videos, label_mode: str | None, augment: Augment, sample_weights: bool
) -> None:
    received = f"Received: label_mode={label_mode!r}"
    if label_mode not in LABEL_MODES:
        raise ValueError(f"label_mode must be one of {LABEL_MODES}. {received}")
    if label_mode in ("categorical", "binary") and not videos.class_names:
        raise ValueError(f"label_mode needs videos with class names. {received}")
    if label_mode == "binary" and len(videos.class_names) != 2:
        raise ValueError(
            f"label_mode='binary' needs 2 classes. Received: {len(videos.class_names)} classes"
        )
    if augment.mixes and label_mode not in ("categorical", "binary"):
        raise ValueError(
            "MixUp and CutMix make shares of classes of the labels, which need "
            f"label_mode='categorical' and a loss of such labels. {received}"
        )
    if sample_weights and label_mode is None:
        raise ValueError(f"sample_weights=True needs labels. {received}")


def _empty_aligned(shape: tuple[int, ...]) -> np.ndarray:
    """As `np.empty` of uint8, but where TensorFlow takes the memory over without a copy."""
    size = math.prod(shape)
    block = np.empty(size + _ALIGNMENT, "uint8")
    start = -block.ctypes.data % _ALIGNMENT
    return block[start : start + size].reshape(shape)
