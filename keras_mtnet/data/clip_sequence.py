"""Batches of clips for every Keras backend: no TensorFlow is needed."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import keras
import numpy as np

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data.augment import Augment, find_augment
from keras_mtnet.data.batches import Batch, BatchReader, check_videos
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.data.report import ReadReport
from keras_mtnet.data.stream import ClipStream, Position
from keras_mtnet.data.videos import Videos

_AHEAD = 2  # batches that are read before they are asked for


class ClipSequence(keras.utils.PyDataset):
    """Batches of clips with their labels, the same ones in the same order as those of `clips`.

    For `fit`, `evaluate` and `predict` on TensorFlow, JAX and PyTorch. It reads ahead with threads
    of its own: those of Keras (`workers`) would change the order of batches. Keras also shuffles
    the batches of an epoch unless told `fit(..., shuffle=False)`; the models of this package tell
    it so themselves.

    Args:
        videos, frames, stride, size, batch_size, training, seed: as for `clips`.
        augment: likewise, but only `flip` and crops (`crop_area`, `crop_aspect`) are done here; the
            others are TensorFlow operations.
        flip, label_mode, fps, sampling: as for `clips`.
        sample_weights, strict, report, parallel_calls: as for `clips`.

    Attributes:
        class_names, clip_spec, report, batch_names: as of `clips`.
        position: the `Position`. An epoch that was read to its end is followed by the next.

    Raises:
        ValueError: as for `clips`, and for other augmentations.

    Example:

    >>> import tempfile
    >>> import keras_mtnet as mt
    >>> root = tempfile.mkdtemp() + "/videos"
    >>> mt.data.draw_dataset(root, frames=8, size=(64, 48))
    >>> videos = mt.data.read_split("folder", root)
    >>> train = mt.data.ClipSequence(videos, frames=4, size=16, batch_size=4, training=True)
    >>> clips, labels = train[0]
    >>> clips.shape, clips.dtype.name, labels.shape
    ((4, 4, 16, 16, 3), 'uint8', (4,))
    """

    def __init__(
        self,
        videos: Videos,
        frames: int = 16,
        stride: int | None = None,
        size: int = 224,
        batch_size: int = 8,
        training: bool = False,
        seed: int = 0,
        augment: str | Augment = "none",
        flip: float | None = None,
        label_mode: str | None = "int",
        fps: float | None = None,
        sampling: str = "window",
        sample_weights: bool = False,
        strict: bool = False,
        report: ReadReport | None = None,
        parallel_calls: int | None = None,
    ):
        super().__init__()
        check_videos(videos)
        chosen = find_augment(augment, flip, training)
        if chosen.changes_pixels or chosen.mixes:
            raise ValueError(
                "ClipSequence flips and crops only; other augmentations are TensorFlow operations: "
                f"use keras_mtnet.data.clips. Received: augment={chosen}"
            )
        stride = videos.stride if stride is None else stride
        report = report or ReadReport()
        self.clip_spec = ClipSpec(frames, stride, size, fps, sampling, videos.class_names or None)
        clip_reader = ClipReader(self.clip_spec, chosen, report, strict)
        stream = ClipStream(len(videos), batch_size, training, seed)
        self._reader = BatchReader(
            videos, clip_reader, stream, label_mode, sample_weights, parallel_calls
        )
        self.class_names = videos.class_names
        self.report = report
        self.batch_names = self._reader.names
        self.position = Position()
        self._asked: set[int] = set()  # steps of this epoch
        self._ahead: dict[tuple[int, int], Future[Batch]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_AHEAD, thread_name_prefix="batch")

    def __len__(self) -> int:
        return self._reader.stream.steps

    def __getitem__(self, step: int) -> tuple[np.ndarray, ...]:
        """The batch of a step of the epoch at `position`; see `clips` for what it holds."""
        batch = self._next(step).result()
        return self._reader.asked_for(batch.clips, batch.labels, batch.weights)

    def _next(self, step: int) -> Future[Batch]:
        """The batch of a step, and begins with those after it."""
        with self._lock:
            epoch, skip = self.position.stream_epoch, self.position.skip
            self._asked.add(step)
            if step < skip:
                return self._pool.submit(self._reader.placeholder, epoch, step)
            if len(self._asked) <= skip:
                raise ValueError(
                    "Batches are not asked for in their order, so that the first ones cannot be "
                    f"skipped: give fit shuffle=False. Received: step {step}, skip={skip}"
                )
            self.position.skip = 0
            in_order = step == 0 or step - 1 in self._asked
            end = min(step + 1 + _AHEAD, len(self)) if in_order else step + 1
            self._ahead = {
                key: self._ahead.get(key) or self._pool.submit(self._reader.read, *key)
                for key in ((epoch, s) for s in range(step, end))
            }
            return self._ahead.pop((epoch, step))

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        for step in range(len(self)):
            yield self[step]
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch, if all batches of this one were asked for."""
        with self._lock:
            if len(self._asked) == len(self):
                self._asked.clear()
                self.position.epoch += 1
                self.position.skip = 0
