"""Batches of clips for every Keras backend: no TensorFlow is needed."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import keras
import numpy as np

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data.augment import Augment
from keras_mtnet.data.batches import Batch, open_batches
from keras_mtnet.data.report import ReadReport
from keras_mtnet.data.stream import Position
from keras_mtnet.data.videos import Videos

_AHEAD = 2  # batches that are read before they are asked for


class ClipSequence(keras.utils.PyDataset):
    """Batches of clips with their labels, the same ones in the same order as those of `clips`.

    For `fit`, `evaluate` and `predict` on TensorFlow, JAX and PyTorch. It reads ahead with threads
    of its own: those of Keras (`workers`) would change the order of batches. Keras also shuffles
    the batches of an epoch unless told `fit(..., shuffle=False)`; the models of this package tell
    it so themselves.

    Args:
        videos: as for `clips`, and so all others.
        frames: frames in a clip.
        stride: distance between neighboring frames of a clip; the data set's own when None.
        size: height and width of a clip in pixels.
        batch_size: clips in a batch.
        training: random clips in random order.
        seed: of the order and the clips.
        augment: an `Augment`, or the name of one. Only `flip` and crops (`crop_area`,
            `crop_aspect`) are done here; the others are TensorFlow operations.
        flip: probability of mirroring a training clip left to right; that of `augment` when None.
        label_mode: `"int"`, `"categorical"`, `"binary"` or None.
        fps: frame rate to which videos are resampled; their own when None.
        sampling: `"window"` or `"uniform"`.
        sample_weights: give batches of `(clips, labels, weights)` that all have `batch_size` clips.
        strict: raise at the first video that is unreadable or damaged.
        report: collects such videos; a new one when None.
        parallel_calls: clips read at the same time; as many as there are CPUs when None.

    Attributes:
        class_names: in label order.
        clip_spec: the `ClipSpec` of the clips.
        report: the `ReadReport`.
        batch_names: `batch_names(epoch, step)` are the names of the videos of a batch.
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
        self._reader = open_batches(
            videos,
            frames=frames,
            stride=stride,
            size=size,
            batch_size=batch_size,
            training=training,
            seed=seed,
            augment=augment,
            flip=flip,
            label_mode=label_mode,
            fps=fps,
            sampling=sampling,
            sample_weights=sample_weights,
            strict=strict,
            report=report,
            parallel_calls=parallel_calls,
        )
        augment = self._reader.augment
        if augment.changes_pixels or augment.mixes:
            raise ValueError(
                "ClipSequence flips and crops only; other augmentations are TensorFlow operations: "
                f"use keras_mtnet.data.clips. Received: augment={augment}"
            )
        self._label_mode, self._weighted = label_mode, sample_weights
        self.class_names = videos.class_names
        self.clip_spec: ClipSpec = self._reader.clip_spec
        self.report: ReadReport = self._reader.report
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
        with self._lock:
            epoch, skip = self.position.epoch, self.position.skip
            self._asked.add(step)
            if step < skip:
                return self._finish(self._reader.placeholder(epoch, step))
            if len(self._asked) <= skip:
                raise ValueError(
                    "Batches are not asked for in their order, so that the first ones cannot be "
                    f"skipped: give fit shuffle=False. Received: step {step}, skip={skip}"
                )
            self.position.skip = 0
            batch = self._ahead.pop((epoch, step), None)
            soon = [(epoch, s) for s in range(step, min(step + 1 + _AHEAD, len(self)))]
            in_order = step == 0 or step - 1 in self._asked
            self._ahead = {key: self._ahead[key] for key in soon if key in self._ahead}
            for key in soon[1:] if in_order else ():
                if key not in self._ahead:
                    self._ahead[key] = self._pool.submit(self._reader.read, *key)
        return self._finish(batch.result() if batch else self._reader.read(epoch, step))

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

    def _finish(self, batch: Batch) -> tuple[np.ndarray, ...]:
        """Gives labels their form, and leaves out what is not asked for."""
        labels = batch.labels
        if self._label_mode == "categorical":
            labels = np.eye(len(self.class_names), dtype="float32")[labels]
        elif self._label_mode == "binary":
            labels = labels[:, None].astype("float32")
        parts = (batch.clips,) if self._label_mode is None else (batch.clips, labels)
        return *parts, *((batch.weights,) if self._weighted else ())
