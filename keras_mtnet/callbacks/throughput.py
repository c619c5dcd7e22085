"""Measures the throughput of training."""

import math
import time
from typing import Any

import keras
import numpy as np

from keras_mtnet.callbacks.skip_batches import SkipBatches
from keras_mtnet.checks import check_counts


class Throughput(keras.callbacks.Callback):
    """Adds `clips_per_second` and `learning_rate` to the logs of each epoch, and `input_wait`.

    `input_wait` is the share of the time in which a step waited for its batch. TensorFlow and JAX
    fetch batches inside the step, so a data set must be watched: `fit(throughput.watch(data))`.
    The first step, in which the graph is traced, does not count unless it is the only one. Put this
    before the callbacks that read logs.

    Args:
        batch_size: clips of a step.

    Example:

    >>> import numpy as np
    >>> import keras_mtnet as mt
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> model.compile("sgd", "mse")
    >>> fit = model.fit(np.ones((8, 3)), np.ones((8, 2)), batch_size=2, verbose=0,
    ...                 callbacks=[mt.callbacks.Throughput(batch_size=2)])
    >>> sorted(fit.history)
    ['clips_per_second', 'learning_rate', 'loss']
    """

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        check_counts(batch_size=batch_size)
        self.batch_size = batch_size
        self._watched = self._traced = False
        self._arrived = 0.0

    def watch(self, data: Any) -> Any:
        """A `tf.data.Dataset` that notes when each batch is handed over. Prefetch before it."""
        import tensorflow as tf

        def note() -> np.int64:
            self._arrived = time.perf_counter()
            return np.int64(0)

        def pass_on(*batch: Any) -> Any:
            with tf.control_dependencies([tf.numpy_function(note, [], tf.int64)]):
                return tf.nest.map_structure(tf.identity, batch)

        self._watched = True
        watched = data.map(pass_on)
        for name in ("class_names", "clip_spec", "report", "position", "batch_names"):
            if hasattr(data, name):
                setattr(watched, name, getattr(data, name))
        return watched

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._start()

    def _start(self) -> None:
        self._steps, self._waited, self._seconds = 0, 0.0, 0.0
        self._last_end = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._steps == 1 and not self._traced:
            self._traced = True
            self._start()
        self._skips = isinstance(self._model.train_function, SkipBatches)
        self._begin = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        end = time.perf_counter()
        if self._skips:
            self._last_end = end
            return
        # What follows the last step of an epoch is validation.
        self._steps, self._seconds = self._steps + 1, self._seconds + end - self._last_end
        if self._watched:
            self._waited += max(0.0, self._arrived - self._begin)
        elif keras.backend.backend() == "torch":  # which fetches a batch before its step begins
            self._waited += self._begin - self._last_end
        self._last_end = end

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        # NaN after an epoch that was resumed behind its last step: logs have the same names always.
        seconds = self._seconds if self._steps else math.nan
        logs["clips_per_second"] = round(self._steps * self.batch_size / seconds, 2)
        if self._watched or keras.backend.backend() == "torch":
            logs["input_wait"] = round(self._waited / seconds, 3)
        rate = self.model.optimizer.learning_rate
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(rate))
