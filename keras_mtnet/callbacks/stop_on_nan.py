"""Ends a training whose loss is no longer finite."""

import math
import os
from typing import Any

import keras

from keras_mtnet.callbacks.checkpoint import find_checkpoints


class StopOnNaN(keras.callbacks.Callback):
    """Ends training by an error when the loss is not finite, before anything more is written.

    `keras.callbacks.TerminateOnNaN` lets the epoch end as if it had been trained.

    Args:
        folder: of the checkpoints of `ExactResume`, to be named in the error.
        data: what `fit` trains on; its `batch_names(epoch, batch)`, which data sets of this package
            have, names the videos of the batch. Not needed for models of this package.

    Raises:
        FloatingPointError: in `fit`, with the step, its videos and the last good checkpoint.

    Example:

    >>> import keras_mtnet as mt
    >>> mt.callbacks.StopOnNaN().on_train_batch_end(3, {"loss": float("nan")})
    Traceback (most recent call last):
        ...
    FloatingPointError: The loss is nan at batch 4 of epoch 1. Lower the learning rate, clip the \
gradients (global_clipnorm), or use float32.
    """

    def __init__(self, folder: str | os.PathLike | None = None, data: Any = None) -> None:
        super().__init__()
        self.folder, self.data, self._epoch = folder, data, 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if math.isfinite(loss):
            return
        data = self.data if self.data is not None else getattr(self._model, "training_data", None)
        videos, back = "", ""
        if hasattr(data, "batch_names"):
            videos = f"; its clips are of {', '.join(data.batch_names(self._epoch, batch))}"
        if self.folder is not None:
            kept = find_checkpoints(self.folder)
            back = (
                f" The last good checkpoint is {kept[0]}." if kept else " There is no checkpoint."
            )
        raise FloatingPointError(
            f"The loss is {loss} at batch {batch + 1} of epoch {self._epoch + 1}{videos}.{back} "
            "Lower the learning rate, clip the gradients (global_clipnorm), or use float32."
        )
