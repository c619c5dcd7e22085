"""Batches of clips as NumPy arrays, read by several threads. No TensorFlow here."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from keras_mtnet.checks import check_counts, given
from keras_mtnet.data.augment import Augment
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.data.stream import ClipStream
from keras_mtnet.data.videos import Video, Videos
from keras_mtnet.video.source import VideoError

LABEL_MODES = ("int", "categorical", "binary", None)
NUMBER = "number"  # instead of labels the samples' numbers, for what was computed of them before
_ALIGNMENT = 64  # bytes; TensorFlow copies arrays that begin elsewhere
_NAMED = 3  # unreadable videos that an error names


class Batch(NamedTuple):
    """What was read of a batch."""

    clips: np.ndarray  # uint8 (b, T, S, S, 3)
    # int32 (b,), float32 (b, classes) or (b, 1), or int64 numbers (b,), as `label_mode` says
    labels: np.ndarray
    weights: np.ndarray  # float32 (b,), 0 for clips that stand in for others
    numbers: np.ndarray  # of the samples, int64 (b,)
    first: np.int64  # the number with which the batch begins, whether it can be read or not


class BatchReader:
    """Reads the batches of a `stream` of `videos`, with several threads.

    The clip reader's report takes the names of what cannot be read; where it is `strict`, the first
    such video is an error. With `full`, batches are filled up with other clips of theirs, of weight
    0. Otherwise they are smaller by what cannot be read.
    """

    def __init__(
        self,
        videos: Videos,
        clip_reader: ClipReader,
        stream: ClipStream,
        label_mode: str | None,
        full: bool,
        parallel_calls: int | None,
    ):
        check_counts(**given(parallel_calls=parallel_calls))
        _check_labels(videos, label_mode, clip_reader.augment, full)
        self.videos, self.clip_reader, self.stream = videos, clip_reader, stream
        self.label_mode, self.full, self.report = label_mode, full, clip_reader.report
        self.calls = parallel_calls or os.cpu_count() or 1
        self._pool: ThreadPoolExecutor | None = None  # made by the first call
        self._failed: set[int] = set()

    def read(self, epoch: int, step: int) -> Batch:
        """Reads a batch.

        Raises:
            ValueError: if nothing of it, or with `full` no video of the list, can be read.
            VideoError: for the first video that cannot be read, where `strict`.
        """
        numbers = self.stream.numbers(epoch, step)
        size = self.stream.clips if self.full else len(numbers)
        clips = _empty_aligned((size, *self.clip_reader.shape))
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

        self._pool = pool = self._pool or ThreadPoolExecutor(self.calls, "read")
        list(pool.map(read_one, range(len(numbers))))
        self._check(numbers, readable)
        if not readable.any():
            return self.placeholder(epoch, step)
        first, weights = numbers[0], self.stream.weights(int(readable.sum()))
        if not readable.all():
            places = np.flatnonzero(readable)
            places = np.resize(places, size) if self.full else places
            clips, labels, numbers = clips[places], labels[places], numbers[places]
        labels = self._form(labels, numbers)
        return Batch(clips, labels, weights[: len(clips)], numbers, first)

    def close(self) -> None:
        """Lets the threads end when they have read what they are at.

        Garbage collection may call this, in any thread at any moment: taking a lock here, also that
        of `shutdown`, could block for ever. A pool without references ends its threads by itself.
        """
        self._pool = None

    def names(self, epoch: int, step: int) -> list[str]:
        """The names of the videos of a batch."""
        numbers = map(int, self.stream.numbers(epoch, step))
        return [self.videos[self.stream.video(number)].name for number in numbers]

    def placeholder(self, epoch: int, step: int) -> Batch:
        """Zeros of the same shape, without reading anything."""
        numbers = self.stream.numbers(epoch, step)
        size = self.stream.clips if self.full else len(numbers)
        first = numbers[0] if len(numbers) else np.int64(0)
        zeros, numbers = np.zeros(size, "int32"), np.full(size, first)
        clips = np.zeros((size, *self.clip_reader.shape), "uint8")
        labels = self._form(zeros, numbers)
        return Batch(clips, labels, zeros.astype("float32"), numbers, first)

    def asked_for(self, clips: Any, labels: Any, weights: Any) -> tuple[Any, ...]:
        """What of a batch is given: no labels without `label_mode`, weights with `full`."""
        labeled = (clips,) if self.label_mode is None else (clips, labels)
        return (*labeled, weights) if self.full else labeled

    def _form(self, labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Labels `(b,)` as `label_mode` says."""
        if self.label_mode == NUMBER:
            return numbers
        if self.label_mode == "categorical":
            labels = labels[:, None] == np.arange(len(self.videos.class_names))
            return labels.astype("float32")
        return labels[:, None].astype("float32") if self.label_mode == "binary" else labels

    def _read_clip(self, video: Video, number: int, out: np.ndarray) -> None:
        if self.stream.training:
            draws = self.stream.draws(number, len(out))
            self.clip_reader.random_clip(video, draws, out)
        else:
            out[:] = self.clip_reader.views(video)[0]

    def _add_failed(self, index: int, video: Video, error: VideoError) -> None:
        if self.clip_reader.strict:
            raise VideoError(video.name, error.reason) from error
        if video.name not in self.report.failed:
            logging.warning("Cannot read %s: %s", video.name, error.reason)
        self.report.failed[video.name] = error.reason
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
    if label_mode not in (*LABEL_MODES, NUMBER):
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
