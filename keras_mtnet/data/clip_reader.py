"""Reading clips of videos, many at a time."""

import dataclasses
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from keras_mtnet.data import sampling, transforms
from keras_mtnet.data.arrays import empty_aligned
from keras_mtnet.data.augment import PRESETS, Augment
from keras_mtnet.data.packing.reader import PackedVideo, read_packed_window
from keras_mtnet.data.report import ReadReport
from keras_mtnet.data.videos import Video
from keras_mtnet.video.decoding import VideoError, read_window
from keras_mtnet.video.rgb import Box, Cut


@dataclasses.dataclass(frozen=True)
class ClipReader:
    """Reads the clips of one data set. Attributes are the arguments of `clips`."""

    frames: int
    stride: int
    size: int
    strict: bool
    report: ReadReport
    augment: Augment = PRESETS["none"]
    fps: float | None = None
    segments: bool = False

    def __post_init__(self):
        for name in ("frames", "stride", "size"):
            check_positive(name, getattr(self, name))
        if self.fps is not None and not self.fps > 0:
            raise ValueError(f"fps must be above 0. Received: {self.fps}")

    def random_clip(self, video: Video, draws: np.ndarray) -> np.ndarray:
        """uint8 `(T, S, S, 3)` by numbers in [0, 1): start, top, left, flip; 22 for other crops; T.

        It lasts until the next one is read in the same thread.
        """
        start, top, left, flip = draws[:4]

        def boxes(height: int, width: int) -> list[Box]:
            if self.augment.crop_area is None:
                side = transforms.crop_side(height, width)
                return [(*sampling.random_box(height, width, side, top, left), side, side)]
            limits = self.augment.crop_area, self.augment.crop_aspect
            return [sampling.random_area(height, width, *limits, draws[4:26])]

        def choose(count: int) -> np.ndarray:
            if self.segments:
                return sampling.segment_frames(count, self.frames, draws[26:])
            return sampling.random_window(count, self.frames, self.stride, start)

        cut = Cut(boxes, (self.size, self.size), bool(flip < self.augment.flip))
        out = _scratch((self.frames, 1, self.size, self.size, 3))
        return self._cut(video, choose, cut, out)[:, 0]

    def views(self, video: Video, windows: int = 1, crops: int = 1) -> np.ndarray:
        """uint8 `(windows * crops, T, S, S, 3)`: the crops of the first window, of the second..."""

        def boxes(height: int, width: int) -> list[Box]:
            side = transforms.crop_side(height, width)
            places = sampling.uniform_boxes(height, width, side, crops)
            return [(*place, side, side) for place in places]

        def choose(count: int) -> np.ndarray:
            if self.segments:
                return sampling.segment_frames(count, self.frames)
            return sampling.uniform_windows(count, self.frames, self.stride, windows).ravel()

        found = self._cut(video, choose, Cut(boxes, (self.size, self.size)))
        clip = self.frames, self.size, self.size, 3
        return (
            found.reshape(windows, self.frames, crops, *clip[1:]).swapaxes(1, 2).reshape(-1, *clip)
        )

    def _cut(
        self,
        video: Video,
        choose: Callable[[int], np.ndarray],
        cut: Cut,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Boxes of the chosen frames, uint8 `(n, boxes, S, S, 3)`.

        Damage is reported, or raised where `strict`.
        """
        if isinstance(video, PackedVideo):
            parts, damage = read_packed_window(video, choose, cut, out, self.fps)
        else:
            part = video.start, video.end
            parts, damage = read_window(video.path, choose, None, *part, cut, self.fps, out)
        if damage and self.strict:
            raise VideoError(video.name, damage)
        if damage:
            self.report.add_damaged(video.name, damage)
        return parts

    def map_batches(
        self,
        batches: tf.data.Dataset,
        videos: Callable[[int], Video],
        read: Callable[[Video, int], np.ndarray],
        parallel_batches: int,
        parallel_calls: int,
        lead: tuple[int, ...] = (),
        normalise: bool = True,
        leave_out: bool = True,
    ) -> tf.data.Dataset:
        """Reads the videos of each batch of numbers.

        Whole batches pass through TensorFlow and not single clips: handing one over costs as much
        as decoding a few frames.

        Args:
            batches: data set of int64 numbers `(B,)`.
            videos: number to video.
            read: video and number to clips, uint8 `(*lead, T, S, S, 3)`.
            parallel_batches: batches read at the same time.
            parallel_calls: videos read at the same time.
            lead: axes before T.
            normalise: give normalised float32 clips, not uint8.
            leave_out: whether to leave out batches of which nothing can be read.

        Returns:
            A data set of what could be read of each batch: clips `(b, *lead, T, S, S, 3)`, labels
            int32 `(b,)`, numbers `(b,)`; and of the batch's first number, 0 if it has none.
        """
        shape = (*lead, self.frames, self.size, self.size, 3)
        threads = _threads(parallel_calls)
        dtype = "float32" if normalise else "uint8"
        put = transforms.normalise_into if normalise else np.copyto

        def read_batch(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            found = empty_aligned((len(numbers), *shape), dtype)
            labels = np.empty(len(numbers), "int32")
            readable = np.empty(len(numbers), "bool")

            def read_one(place: int) -> None:
                number = int(numbers[place])
                video = videos(number)
                labels[place] = video.label
                clip = self._read_or_report(video, lambda: read(video, number))
                readable[place] = clip is not None
                if clip is not None:
                    put(found[place], clip)

            list(threads.map(read_one, range(len(numbers))))
            if readable.all():
                return found, labels, numbers
            if leave_out and not readable.any():
                self.report.left_out.add(int(numbers[0]))
            return found[readable], labels[readable], numbers[readable]

        def read_in_graph(numbers: tf.Tensor) -> tuple[tf.Tensor, ...]:
            types = (tf.as_dtype(dtype), tf.int32, tf.int64)
            found = tf.numpy_function(read_batch, [numbers], types)
            for tensor, each in zip(found, (shape, (), ()), strict=True):
                tensor.set_shape((None, *each))
            return *found, tf.reduce_sum(numbers[:1])

        found = batches.map(read_in_graph, num_parallel_calls=parallel_batches, deterministic=True)
        return found.filter(lambda x, y, *_: tf.size(y) > 0) if leave_out else found

    def _read_or_report(self, video: Video, read: Callable[[], np.ndarray]) -> np.ndarray | None:
        try:
            return read()
        except VideoError as error:
            self.report.add_failed(video.name, error.reason)
            if self.strict:
                raise VideoError(video.name, error.reason) from error
            return None


@functools.lru_cache
def _threads(count: int) -> ThreadPoolExecutor:
    """The threads of all pipelines that read so many videos at a time.

    TensorFlow keeps what a data set calls in Python for as long as the process lives: with threads
    of their own, data sets that are long gone would leave theirs behind.
    """
    return ThreadPoolExecutor(count, thread_name_prefix="read")


_memory = threading.local()


def _scratch(shape: tuple[int, ...]) -> np.ndarray:
    """uint8 memory of a thread, the same one as long as the shape stays."""
    if getattr(_memory, "shape", None) != shape:
        _memory.shape, _memory.pixels = shape, np.empty(shape, "uint8")
    return _memory.pixels


def check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1. Received: {value}")
