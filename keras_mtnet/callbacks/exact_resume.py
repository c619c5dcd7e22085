"""Continuing a `fit` that was killed, exactly where it was."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import numpy as np
from absl import logging

from keras_mtnet.callbacks.checkpoint import (
    Checkpoint,
    CheckpointError,
    TrainingState,
    find_checkpoints,
    load_checkpoint,
    remove_unfinished,
    save_checkpoint,
)
from keras_mtnet.callbacks.log_failure import log_failure
from keras_mtnet.callbacks.skip_batches import SkipBatches
from keras_mtnet.checks import check_above_0, check_counts, given

# What EarlyStopping, ReduceLROnPlateau, ModelCheckpoint and BestWeights count in.
_COUNTERS = ("best", "best_epoch", "wait", "stopped_epoch", "cooldown_counter")


class ExactResume(keras.callbacks.Callback):
    """Writes checkpoints, and continues a `fit` that was killed with the very next batch.

    Start the same script again after a kill: `fit` continues as if nothing had happened. Weights,
    optimizer, loss scale, random generators, metrics and history come to the same values as in an
    uninterrupted `fit`, bit for bit where the operations themselves are deterministic
    (`tf.config.experimental.enable_op_determinism()`). Once finished, `fit` only restores.

    SIGTERM and Ctrl-C finish the step, write a checkpoint and raise `KeyboardInterrupt`; a second
    one does not wait. A checkpoint that cannot be written is logged, and training continues. A
    damaged one is logged, and the one before it is used.

    Data sets of this package have a `position`: their `skip` batches before the kill cost nothing,
    and each epoch has its own order of clips. Any object with `position.epoch` and `position.skip`
    that honors them is used likewise. Of other data the batches before the kill are read and
    dropped; they must come in the same order in each epoch (`shuffle=False`), or be one endless
    stream with `steps_per_epoch` (not on PyTorch).

    Args:
        folder: for the checkpoints. Remove it to begin anew.
        data: what `fit` trains on, its `x`. Not needed for models of this package.
        steps: write a checkpoint after so many steps; None writes by time only.
        minutes: write a checkpoint after so much time.
        keep: how many of the newest checkpoints to keep.
        callbacks: other callbacks of the `fit`. The counters of Keras' own and of `BestWeights`
            continue, and rows of epochs to be trained again are removed from the file of a
            `CSVLogger(append=True)`.

    Put it after the callbacks that change weights, as `SwapEMAWeights`.

    Raises:
        ValueError: in `fit`, if the model is not built or the data are not known.
        CheckpointError: in `fit`, if no checkpoint fits the model.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> import keras_mtnet as mt
    >>> x, y = np.ones((8, 3)), np.ones((8, 2))
    >>> def train(folder):
    ...     model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    ...     model.compile("sgd", "mse")
    ...     resume = mt.callbacks.ExactResume(folder, data=x)
    ...     return model.fit(x, y, epochs=3, shuffle=False, verbose=0, callbacks=[resume])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train(folder).history == train(folder).history  # the second one only restores
    True
    """

    signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)
    writes = True  # of several workers only one does

    def __init__(
        self,
        folder: str | os.PathLike,
        data: Any = None,
        steps: int | None = None,
        minutes: float = 10.0,
        keep: int = 2,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        super().__init__()
        check_counts(keep=keep, **given(steps=steps))
        check_above_0(minutes=minutes)
        self.folder, self.data, self.callbacks = Path(folder), data, tuple(callbacks)
        self.steps, self.minutes, self.keep = steps, minutes, keep
        self.state = TrainingState()
        self._checkpoint: Checkpoint | None = None  # to be continued in the first epoch
        self._began = False
        self._saved_step, self._saved_time = 0, time.monotonic()
        self._asked: str | None = None
        self._handlers: dict[int, Any] = {}

    # --- What Keras calls ------------------------------------------------------------------------

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        model, data = self.model, self._training_data()
        if not model.built:
            raise ValueError(
                f"ExactResume needs a built model: give {model.name} an Input, or call it on a "
                "batch before `fit`."
            )
        _check_length(data, self.params.get("steps"))
        if not model.optimizer.built:  # its variables are in every checkpoint, also in the first
            with _scope(model):
                model.optimizer.build(model.trainable_variables)
        if not self._began:
            remove_unfinished(self.folder)
            self._restore(model)
        self._began = True
        self._listen()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        checkpoint, self._checkpoint = self._checkpoint, None
        if checkpoint:
            self.model._initial_epoch = None
            self._restore_surroundings()
        else:
            self.state.epoch, self.state.batch = epoch, 0
        data, skip = self._training_data(), self.state.batch
        position = getattr(data, "position", None)
        if position is not None:
            position.epoch, position.skip = epoch, skip
        if checkpoint is None:
            self._save_if_due()
            return
        before = self.state.step - skip if _is_stream(data) else 0
        if position is None and (skip or before):
            logging.info("Reading the %d batches before the checkpoint again.", skip + before)
        if skip or before:
            self.model.train_function = SkipBatches(self.model, checkpoint, before)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch >= self.state.batch:  # else it was skipped
            self.state.step += batch + 1 - self.state.batch
            self.state.batch = batch + 1
            self._save_if_due()
        elif self._asked:
            raise KeyboardInterrupt(self._asked)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._ignore()
        if self._checkpoint:  # there was nothing left to train
            self._checkpoint = self.model._initial_epoch = None
            self._restore_surroundings()
            return
        self.state.epoch, self.state.batch = self.state.epoch + 1, 0
        self.state.stopped = bool(self.model.stop_training)
        self.save()

    # --- Saving and restoring --------------------------------------------------------------------

    def latest(self) -> TrainingState:
        """Where training stands by the newest checkpoint that can be read; at 0 without one."""
        for path in find_checkpoints(self.folder):
            with contextlib.suppress(CheckpointError):
                return load_checkpoint(path).state
        return TrainingState()

    def save(self) -> None:
        """Writes a checkpoint now. A failure is logged."""
        self._saved_step, self._saved_time = self.state.step, time.monotonic()
        if not self.writes:
            return
        model = self.model
        self.state.history = {k: list(map(float, v)) for k, v in model.history.history.items()}
        self.state.epochs = list(model.history.epoch)
        self.state.callbacks = [_counters(callback) for callback in self.callbacks]
        with log_failure(f"The checkpoint of step {self.state.step}"):
            save_checkpoint(self.folder, model, self.state, self.keep)

    def stops(self, step: int) -> bool:
        """Whether to stop after this step."""
        return self._asked is not None

    def _save_if_due(self) -> None:
        by_steps = self.steps and self.state.step - self._saved_step >= self.steps
        by_time = time.monotonic() - self._saved_time >= 60 * self.minutes
        stop = self.stops(self.state.step)
        if by_steps or by_time or stop:
            self.save()
        if stop:
            self._ignore()
            raise KeyboardInterrupt(
                f"{self._asked or 'stopped'} after step {self.state.step}; the next start "
                "continues from there"
            )

    def _restore(self, model: keras.Model) -> None:
        """Gives the model the newest checkpoint; damaged ones are logged and passed over."""
        found = find_checkpoints(self.folder)
        for path in found:
            try:
                checkpoint = load_checkpoint(path)
                checkpoint.restore(model, ("model", "optimizer"))
            except CheckpointError as error:
                if path == found[-1]:
                    raise
                logging.warning("%s. Continuing from the checkpoint before it.", error)
                continue
            self._checkpoint, self.state = checkpoint, checkpoint.state
            self._saved_step = self.state.step
            # `keras.callbacks.BackupAndRestore` sets it too: there is no public way.
            last = self.params["epochs"]
            model._initial_epoch = last if self.state.stopped else self.state.epoch
            for callback in self.callbacks:
                if isinstance(callback, keras.callbacks.CSVLogger) and callback.append:
                    _trim_log(callback.filename, callback.sep, self.state.epoch)
            logging.info("Continuing after step %d.", self.state.step)
            return

    def _restore_surroundings(self) -> None:
        """History and counters, which Keras has set to their beginning by now."""
        self.model.history.history = {k: list(v) for k, v in self.state.history.items()}
        self.model.history.epoch = list(self.state.epochs)
        for callback, counters in zip(self.callbacks, self.state.callbacks, strict=False):
            for name, value in counters.items():
                setattr(callback, name, value)

    def _training_data(self) -> Any:
        data = self.data if self.data is not None else getattr(self._model, "training_data", None)
        if data is None:
            raise ValueError(
                "ExactResume must know the data to find its place in them: pass what `fit` is "
                "given, ExactResume(folder, data=x)."
            )
        return data

    # --- Signals ---------------------------------------------------------------------------------

    def _listen(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread is told of signals
        for number in self.signals:
            # None is a handler that Python did not install and could not bring back.
            if signal.getsignal(number) is not None:
                self._handlers[number] = signal.signal(number, self._ask)

    def _ignore(self) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    def _ask(self, number: int, frame: FrameType | None) -> None:
        # A `fit` that ended by an error has not told its callbacks.
        over = not _is_inside_fit(frame, self._model)
        if over or self._asked:
            self._ignore()
            if over:
                signal.raise_signal(number)
                return
            raise KeyboardInterrupt
        self._asked = f"stopped by {signal.Signals(number).name}"
        logging.warning("Stopping after this step ...")


def _scope(model: keras.Model) -> AbstractContextManager:
    """Where variables of the model are made: on TensorFlow its distribution strategy."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy.scope() if strategy else contextlib.nullcontext()


def _check_length(data: Any, steps: int | None) -> None:
    """Raises ValueError unless an epoch of `fit` is a whole pass over data with a position."""
    if hasattr(data, "position") and steps is not None and steps != len(data):
        raise ValueError(
            f"ExactResume counts epochs as passes over the data, which have {len(data)} batches. "
            f"Received: steps_per_epoch={steps}; leave it out"
        )


def _is_stream(data: Any) -> bool:
    """Whether data go on from epoch to epoch without beginning again."""
    if hasattr(data, "cardinality"):  # tf.data.INFINITE_CARDINALITY
        return int(data.cardinality()) == -1
    return isinstance(data, Iterator)


def _counters(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """What a callback counts in, as plain numbers."""
    found = {name: getattr(callback, name, None) for name in _COUNTERS}
    return {k: np.asarray(v).tolist() for k, v in found.items() if v is not None}


def _trim_log(path: str, separator: str, epochs: int) -> None:
    """Removes the rows of epochs that will be trained again from the end of a CSV file."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb+") as file:
        end = place = len(file.readline())
        for line in file:
            place += len(line)
            number = line.split(separator.encode())[0]
            if number.isdigit() and int(number) < epochs:
                end = place
        file.truncate(end)


def _is_inside_fit(frame: FrameType | None, model: keras.Model) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return True
        frame = frame.f_back
    return False
