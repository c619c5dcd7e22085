"""A run that can be stopped at any moment: its place, its checkpoints, its end at a NaN."""

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mtnet.data import ReadReport, Videos
from keras_mtnet.data.sampling import epoch_order
from keras_mtnet.training.checkpoint import RunState, checkpoints, save_checkpoint
from keras_mtnet.training.multi_worker import Workers
from keras_mtnet.training.plan import Epoch
from keras_mtnet.training.records import going_on


class StopAtNaN(keras.callbacks.Callback):
    """Ends a run whose loss is no number any more, naming the step, its videos and a way back.

    Put it before the callbacks that write.

    Args:
        state: of the run.
        epochs: of the run.
        videos: it is trained on.
        seed: of the run.
        folder: of its checkpoints.
    """

    def __init__(
        self,
        state: RunState,
        epochs: Sequence[Epoch],
        videos: Videos,
        seed: int,
        folder: str | os.PathLike,
    ) -> None:
        super().__init__()
        self.state, self.epochs, self.videos = state, epochs, videos
        self.seed, self.folder = seed, folder

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = logs["loss"]
        if math.isfinite(loss):
            return
        names = []
        for number in range(self.state.sample, self.state.sample + self._batch_size):
            epoch, place = divmod(number, len(self.videos))
            names.append(self.videos[epoch_order(self.seed, epoch, len(self.videos))[place]].name)
        kept = checkpoints(self.folder)
        back = f"The last good checkpoint is {kept[0]}." if kept else "There is no checkpoint yet."
        raise FloatingPointError(
            f"The loss is {loss} at step {self.state.step + 1}, in epoch {self.state.epoch + 1}; "
            f"the clips of this step are of {', '.join(names)}. {back} Lower the learning rate, "
            "clip the gradients (clip_norm), or use float32."
        )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._batch_size = self.epochs[epoch].batch_size


class KeepPlace(keras.callbacks.Callback):
    """Knows where a run stands, and writes checkpoints. Put it last.

    Ctrl-C and SIGTERM end the run after the step, with a checkpoint. A checkpoint that cannot be
    written is reported, and the run goes on.

    Args:
        folder: of the checkpoints.
        state: of the run; kept up to date.
        epochs: of the run.
        report: which batches of the stream were left out.
        steps: write a checkpoint after so many steps; never by steps when None.
        minutes: or after so much time.
        keep: how many checkpoints to leave.
        metrics: values of the metrics to begin with, in the middle of an epoch.
        workers: of the run; the chief alone writes, and all stop after the same step.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        state: RunState,
        epochs: Sequence[Epoch],
        report: ReadReport,
        steps: int | None = None,
        minutes: float = 10.0,
        keep: int = 2,
        metrics: Sequence[np.ndarray] = (),
        workers: Workers | None = None,
    ) -> None:
        super().__init__()
        self.folder, self.state, self.epochs, self.report = Path(folder), state, epochs, report
        self.steps, self.minutes, self.keep, self.metrics = steps, minutes, keep, metrics
        self.workers = workers or Workers()
        self.saved_step, self.saved_time = state.step, time.monotonic()
        self.stop: str | None = None
        self.counters: list[keras.Variable] = []
        self.counts: list[Any] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        # Where whole batches were left out, TensorFlow finds the end of an epoch in the middle of a
        # step, which the optimizer has counted by then.
        if keras.backend.backend() == "tensorflow":
            self.counters = [
                variable
                for variable in self.model.optimizer.variables
                if len(variable.shape) == 0 and keras.backend.is_int_dtype(variable.dtype)
            ]
        self.counts = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # Keras has just set them to 0.
        for variable, value in zip(self.model.metrics_variables, self.metrics, strict=False):
            variable.assign(value)
        self.metrics = ()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        epoch = self.epochs[self.state.epoch]
        self.state.sample += epoch.batch_size
        self.state.step += 1
        self.counts = [keras.ops.copy(counter) for counter in self.counters]
        # After its last step an epoch is not over: its test and its row of the history follow.
        if self.state.sample < epoch.end_sample:
            self._save_if_due()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for counter, count in zip(self.counters, self.counts, strict=False):
            counter.assign(count)
        self.state.epoch = epoch + 1
        ended = self.state.epoch == len(self.epochs)
        self.state.sample = (
            self.epochs[epoch].end_sample if ended else self.epochs[epoch + 1].first_sample
        )
        # Those of the test, by now; the next epoch begins without.
        self.model.reset_metrics()
        self._save_if_due()

    def _save_if_due(self) -> None:
        by_steps = self.steps and self.state.step - self.saved_step >= self.steps
        by_time = time.monotonic() - self.saved_time >= 60 * self.minutes
        stop = self.workers.stops(self.state.step, asked=self.stop is not None)
        if by_steps or by_time or stop:
            self.save()
        if stop:
            raise KeyboardInterrupt(
                f"{self.stop or 'stopped'} after step {self.state.step}; it goes on from there "
                "with resume"
            )

    def save(self) -> None:
        """Writes a checkpoint now."""
        if not self.workers.is_chief:
            return
        with going_on(f"the checkpoint of step {self.state.step}"):
            save_checkpoint(self.folder, self.model, self.state, self.keep)
        self.saved_step, self.saved_time = self.state.step, time.monotonic()

    @contextlib.contextmanager
    def stopping_at_signals(self) -> Iterator[None]:
        """Within it, SIGINT and SIGTERM wait for the end of the step; a second one does not."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: Any) -> None:
            if self.stop:
                raise KeyboardInterrupt
            self.stop = f"stopped by {signal.Signals(number).name}"
            print("\nStopping after this step ...", flush=True)

        before = {number: signal.signal(number, ask) for number in self.workers.stop_signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
