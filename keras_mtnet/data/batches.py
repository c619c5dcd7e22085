"""Batches of clips as NumPy arrays, read by several threads. No TensorFlow here."""

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from absl import logging

from keras_mtnet.data.report import ReadReport
from keras_mtnet.data.stream import ClipStream
from keras_mtnet.data.videos import Video, Videos
from keras_mtnet.video.source import VideoError

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
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="read")
            calls = [self._pool.submit(function, place) for place in range(count)]
        for call in calls:
            call.result()

    def close(self) -> None:
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=False)
            self._pool = None


class BatchReader:
    """Reads the batches of a stream.

    Args:
        videos: the list.
        stream: which of them are in which batch.
        read: reads the clip of a video and sample number into memory of `shape`.
        shape: of a clip, `(T, S, S, 3)`.
        report: takes the names of videos that cannot be read.
        threads: that read.
        full: fill batches up with other clips of theirs, of weight 0. Otherwise they are smaller by
            what cannot be read.
        strict: raise at the first video that cannot be read.
    """

    def __init__(
        self,
        videos: Videos,
        stream: ClipStream,
        read: Callable[[Video, int, np.ndarray], None],
        shape: tuple[int, ...],
        report: ReadReport,
        threads: Threads,
        full: bool,
        strict: bool,
    ):
        self.videos, self.stream, self.read_clip, self.shape = videos, stream, read, shape
        self.report, self.threads, self.full, self.strict = report, threads, full, strict
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
                self.read_clip(video, number, clips[place])
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

    def _add_failed(self, index: int, video: Video, error: VideoError) -> None:
        if self.strict:
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


def _empty_aligned(shape: tuple[int, ...]) -> np.ndarray:
    """As `np.empty` of uint8, but where TensorFlow takes the memory over without a copy."""
    size = math.prod(shape)
    block = np.empty(size + _ALIGNMENT, "uint8")
    start = -block.ctypes.data % _ALIGNMENT
    return block[start : start + size].reshape(shape)
