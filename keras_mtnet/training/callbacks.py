"""What Keras' own callbacks lack: a throughput line, and files that are never half-written."""

import csv
import io
import os
import time
from pathlib import Path
from typing import Any

import keras

from keras_mtnet.files import write_beside, write_text


class Throughput(keras.callbacks.Callback):
    """Adds `clips_per_second` of the training steps and the `learning_rate` to each epoch's logs.

    Put it before the callbacks that read the logs. The time of the first step counts too, in which
    the graph is traced.

    Args:
        batch_size: clips of a step.
    """

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._begin = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # The last one stands; what follows it is validation.
        self._clips, self._end = (batch + 1) * self.batch_size, time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs["clips_per_second"] = round(self._clips / (self._end - self._begin), 2)
        rate = self.model.optimizer.learning_rate
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(rate))


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the highest validation accuracy.

    Of equal epochs the one with the lower validation loss wins, as accuracies on few videos tie.

    Args:
        path: a file ending in `.weights.h5`.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        super().__init__()
        self.path = Path(path)
        self.best: tuple[float, float] | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        score = (logs["val_accuracy"], -logs["val_loss"])
        if self.best is None or score > self.best:
            with write_beside(self.path) as beside:
                self.model.save_weights(beside)
            self.best = score


class RunHistory(keras.callbacks.Callback):
    """Writes `history.csv`, and `curves.png` where matplotlib is installed, after each epoch.

    Args:
        folder: the run folder.
        pictures: whether to draw the curves.
    """

    def __init__(self, folder: str | os.PathLike, pictures: bool = True) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.pictures = pictures
        self.rows: list[dict[str, Any]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.rows.append({"epoch": epoch + 1, **{name: float(v) for name, v in logs.items()}})
        table = io.StringIO()
        writer = csv.DictWriter(table, self.rows[0])
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.folder / "history.csv", table.getvalue())
        if self.pictures:
            from keras_mtnet.plots import learning_curves

            learning_curves(self.rows, self.folder / "curves.png")
