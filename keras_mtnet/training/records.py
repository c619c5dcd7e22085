"""What a run leaves behind after each epoch: weights, history, pictures, logs."""

import contextlib
import csv
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtnet.files import write_beside, write_text
from keras_mtnet.training.checkpoint import RunState
from keras_mtnet.training.multi_worker import Workers


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the highest accuracy on the test clips.

    Of equal epochs the one with the lower loss wins, as accuracies on few videos tie. It writes at
    the end of the test, so before `keras.callbacks.SwapEMAWeights` takes averaged weights back.

    Args:
        path: a file ending in `.weights.h5`.
        state: of the run, which knows the best epoch before this one.
        workers: of the run, if there are several.
    """

    def __init__(
        self, path: str | os.PathLike, state: RunState, workers: Workers | None = None
    ) -> None:
        super().__init__()
        self.path, self.state, self.workers = Path(path), state, workers or Workers()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        score = [float(logs["accuracy"]), -float(logs["loss"])]
        if self.state.best is None or score > self.state.best:
            with going_on(self.path.name):
                # Keras makes variables to save others.
                with write_beside(self.path) as beside, self.workers.alone():
                    self.model.save_weights(beside)
                self.state.best = score  # else a later epoch may still take its place


class RunHistory(keras.callbacks.Callback):
    """Writes `history.csv`, and `curves.png` where matplotlib is installed, after each epoch.

    Args:
        folder: the run folder.
        state: of the run; takes the rows.
        pictures: whether to draw the curves.
    """

    def __init__(self, folder: str | os.PathLike, state: RunState, pictures: bool = True) -> None:
        super().__init__()
        self.folder, self.state, self.pictures = Path(folder), state, pictures

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = {"epoch": epoch + 1, **{name: float(v) for name, v in logs.items()}}
        self.state.rows.append(row)
        table = io.StringIO()
        writer = csv.DictWriter(table, self.state.rows[0], restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(self.state.rows)
        with going_on("history.csv"):
            write_text(self.folder / "history.csv", table.getvalue())
        if self.pictures:
            from keras_mtnet.plots import learning_curves

            with going_on("curves.png"):
                learning_curves(self.state.rows, self.folder / "curves.png")


class TensorBoardLogs(keras.callbacks.Callback):
    """Writes every epoch's values, and once a picture of clips, for TensorBoard.

    Keras' own callback opens files anew in each `fit`, of which a run has one an epoch.

    Args:
        folder: for the logs.
        clips: `(N, T, H, W, 3)` as the network sees them, to be shown; gives None for no picture.
    """

    def __init__(
        self, folder: str | os.PathLike, clips: Callable[[], np.ndarray | None] = lambda: None
    ) -> None:
        super().__init__()
        self.folder, self.clips = Path(folder), clips
        self.writers: dict[str, tf.summary.SummaryWriter] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for name, value in logs.items():
            part = "validation" if name.startswith("val_") else "train"
            with going_on("TensorBoard's logs"), self._writer(part).as_default():
                tf.summary.scalar(name.removeprefix("val_"), value, step=epoch + 1)
        for writer in self.writers.values():
            writer.flush()

    def _writer(self, part: str) -> tf.summary.SummaryWriter:
        if part not in self.writers:
            self.writers[part] = tf.summary.create_file_writer(str(self.folder / part))
            clips = self.clips() if part == "train" else None
            if clips is not None:
                with self.writers[part].as_default():
                    tf.summary.image("clips", clip_grid(clips)[None], step=0)
        return self.writers[part]


def clip_grid(clips: np.ndarray, rows: int = 4, columns: int = 8) -> np.ndarray:
    """A picture of clips: one a row, frames from left to right.

    Args:
        clips: `(N, T, H, W, 3)`; their darkest value becomes black, their brightest white.
        rows: most clips to show.
        columns: most frames of a clip, spread over it.

    Returns:
        RGB uint8 `(height, width, 3)`.
    """
    frames = np.linspace(0, clips.shape[1] - 1, min(columns, clips.shape[1])).round().astype(int)
    shown = np.asarray(clips[:rows, frames], "float32")
    low, high = shown.min(), shown.max()
    shown = ((shown - low) * (255 / max(high - low, 1e-6))).astype("uint8")
    n, t, h, w, _ = shown.shape
    return shown.transpose(0, 2, 1, 3, 4).reshape(n * h, t * w, 3)


@contextlib.contextmanager
def going_on(what: str) -> Iterator[None]:
    """A file that cannot be written, on a full disk, does not end a run that is well otherwise."""
    try:
        yield
    except OSError as error:
        print(f"Warning: {what} could not be written ({error}). The run goes on.", flush=True)
