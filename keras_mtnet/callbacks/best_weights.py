"""The weights of the best epoch."""

import contextlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import keras

from keras_mtnet.callbacks.log_failure import log_failure
from keras_mtnet.files import write_beside


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the highest accuracy on the validation clips.

    Of equal epochs the one with the lower loss wins, as accuracies on few videos tie. The file is
    whole at any moment, and a failure to write it is logged. It is written at the end of the
    validation: put it before `keras.callbacks.SwapEMAWeights`, and it holds the averaged weights.
    `keras.callbacks.ModelCheckpoint` knows one value, and a kill may leave half a file.

    Args:
        path: a file ending in `.weights.h5`.
        monitor: metric of the validation, without `val_`; the higher, the better.
        scope: entered while weights are saved.

    Attributes:
        best: accuracy and negative loss of the best epoch so far, or None.

    Example:

    >>> import os, tempfile
    >>> import numpy as np
    >>> import keras_mtnet as mt
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse", metrics=["accuracy"])
    >>> x, y = np.ones((4, 3)), np.ones((4, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     best = mt.callbacks.BestWeights(folder + "/best.weights.h5")
    ...     fit = model.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[best])
    ...     os.listdir(folder)
    ['best.weights.h5']
    """

    def __init__(
        self,
        path: str | os.PathLike,
        monitor: str = "accuracy",
        scope: Callable[[], AbstractContextManager] = contextlib.nullcontext,
    ) -> None:
        super().__init__()
        self.path, self.monitor, self.scope = Path(path), monitor, scope
        self.best: list[float] | None = None

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        if self.monitor not in logs:
            raise ValueError(
                f"BestWeights needs the metric {self.monitor!r} of the validation, which has "
                f"{sorted(logs)}. Compile the model with it, or give monitor=."
            )
        score = [float(logs[self.monitor]), -float(logs["loss"])]
        if self.best is None or score > self.best:
            with log_failure(self.path.name):
                with write_beside(self.path) as beside, self.scope():
                    self.model.save_weights(beside)
                self.best = score  # else a later epoch may still take its place
