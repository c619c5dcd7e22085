"""How fast a run goes, while it goes."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtnet.training.checkpoint import RunState
from keras_mtnet.training.plan import Epoch


class InputClock:
    """Measures how long a step waits for its batch."""

    def __init__(self) -> None:
        self.arrived = 0.0

    def watch(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Notes when each batch is handed over. Nothing may be read ahead after this."""

        def note() -> np.int64:
            self.arrived = time.perf_counter()
            return np.int64(0)

        def pass_on(*batch: tf.Tensor) -> tuple[tf.Tensor, ...]:
            with tf.control_dependencies([tf.numpy_function(note, [], tf.int64)]):
                return tuple(tf.identity(part) for part in batch)

        return batches.map(pass_on)


class Throughput(keras.callbacks.Callback):
    """Adds `clips_per_second`, `input_wait` and `learning_rate` to each epoch's logs.

    `input_wait` is the share of the time in which a step waited for its clips; it is left out where
    it cannot be measured, as devices of their own read ahead. The first step of a new shape of
    clips, in which the graph is traced, does not count unless it is the only one. Put this before
    the callbacks that read the logs.

    Args:
        epochs: of the run.
        clock: through which its batches come.
    """

    def __init__(self, epochs: Sequence[Epoch], clock: InputClock | None = None) -> None:
        super().__init__()
        self.epochs, self.clock = epochs, clock
        self._traced: set[tuple[int, int]] = set()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        planned = self.epochs[epoch]
        self._batch_size = planned.batch_size
        shape = (planned.frames, planned.size)
        self._traces = shape not in self._traced
        self._traced.add(shape)
        self._start()

    def _start(self) -> None:
        self._steps, self._waited = 0, 0.0
        self._begin = self._step_begin = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._traces and self._steps == 1:
            self._traces = False
            self._start()
        self._step_begin = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # The last one stands; what follows it is validation.
        self._steps, self._end = self._steps + 1, time.perf_counter()
        if self.clock:
            self._waited += max(0.0, self.clock.arrived - self._step_begin)

    def now(self) -> dict[str, float]:
        """Clips per second and share of waiting in this epoch so far."""
        if not self._steps:
            return {}
        seconds = self._end - self._begin
        found = {"clips_per_second": round(self._steps * self._batch_size / seconds, 2)}
        if self.clock:
            found["input_wait"] = round(min(1.0, self._waited / seconds), 3)
        return found

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        rate = self.model.optimizer.learning_rate
        logs.update(self.now(), learning_rate=float(keras.ops.convert_to_numpy(rate)))


class Progress(keras.callbacks.Callback):
    """A bar on a terminal; elsewhere a line an epoch.

    Args:
        epochs: of the run.
        throughput: whose figures are shown.
        state: of the run, for a bar that begins in the middle.
    """

    def __init__(self, epochs: Sequence[Epoch], throughput: Throughput, state: RunState) -> None:
        super().__init__()
        self.epochs, self.throughput, self.state = epochs, throughput, state
        self.bar: keras.utils.Progbar | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        planned = self.epochs[epoch]
        self._done = (self.state.sample - planned.first_sample) // planned.batch_size
        if sys.stdout.isatty():
            print(f"Epoch {epoch + 1}/{len(self.epochs)}")
            self.bar = keras.utils.Progbar(planned.steps, unit_name="step")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._done += 1
        if self.bar:
            values = {**logs, **self.throughput.now()}
            self.bar.stateful_metrics = set(values)  # they are means already
            self.bar.update(self._done, list(values.items()), finalize=False)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.bar:
            self.bar.stateful_metrics = set(logs)
            self.bar.update(self._done, list(logs.items()), finalize=True)
            return
        values = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
        print(f"Epoch {epoch + 1}/{len(self.epochs)}: {values}", flush=True)
