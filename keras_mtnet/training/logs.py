"""Logs and pictures that a run writes after each epoch."""

import csv
import importlib.util
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from keras_mtnet import plots
from keras_mtnet.callbacks.log_failure import forgiving
from keras_mtnet.data import Videos, clips
from keras_mtnet.training.recipe import Recipe


def log_callbacks(recipe: Recipe, training: Videos) -> list[keras.callbacks.Callback]:
    """The callbacks that write `history.csv`, `curves.png`, `logs/`, and Weights & Biases.

    Where matplotlib or tensorboard are not installed, a message says what is left out. A file that
    cannot be written is logged.
    """
    output = Path(recipe.output)
    history = output / "history.csv"
    found: list[keras.callbacks.Callback] = [_wandb(recipe)] if recipe.wandb else []
    found.append(forgiving(keras.callbacks.CSVLogger(history, append=True), history.name))
    if plots.available():
        draw = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: plots.learning_curves(
                read_history(history), output / "curves.png"
            )
        )
        found.append(forgiving(draw, "curves.png"))
    else:
        logging.info('No pictures without matplotlib: pip install "keras-mtnet[plots]"')
    if importlib.util.find_spec("tensorboard"):
        board = keras.callbacks.TensorBoard(output / "logs", write_graph=False)
        show = keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: _show_clips(recipe, training, output / "logs" / "clips")
        )
        found += [forgiving(board, "TensorBoard's logs"), show]
    else:
        logging.info('No TensorBoard logs without: pip install "keras-mtnet[tensorboard]"')
    return found


def read_history(path: str | os.PathLike) -> list[dict[str, float]]:
    """The rows of a `history.csv`, with epochs from 1."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [
            {name: float(value) for name, value in row.items() if value not in ("", "NA")}
            for row in csv.DictReader(file)
        ]
    return [{**row, "epoch": row["epoch"] + 1} for row in rows]


def _show_clips(recipe: Recipe, training: Videos, folder: Path) -> None:
    """Writes a picture of training clips for TensorBoard, once."""
    if folder.is_dir():
        return
    options: dict[str, Any] = {"training": True, "seed": recipe.seed, "sample_weights": True}
    augment = {"augment": recipe.augmentation(), "label_mode": "categorical"}
    first = clips(training, batch_size=4, **recipe.clip_options(), **options, **augment)
    for shown, _, _ in first.take(1).as_numpy_iterator():
        with tf.summary.create_file_writer(str(folder)).as_default():
            tf.summary.image("clips", clip_grid(shown)[None], step=0)


def clip_grid(clips: np.ndarray) -> np.ndarray:
    """RGB uint8 `(height, width, 3)` of up to four clips `(N, T, H, W, 3)`, one per row.

    Up to eight frames of each are shown, spread over it from left to right.
    """
    frames = np.linspace(0, clips.shape[1] - 1, min(8, clips.shape[1])).round().astype(int)
    shown = np.asarray(clips[:4, frames]).astype("uint8")
    n, t, h, w, _ = shown.shape
    return shown.transpose(0, 2, 1, 3, 4).reshape(n * h, t * w, 3)


def _wandb(recipe: Recipe) -> keras.callbacks.Callback:
    try:
        import wandb
        from wandb.integration.keras import WandbMetricsLogger
    except ImportError as error:
        raise ImportError(
            'wandb needs its package. Run: pip install "keras-mtnet[wandb]"'
        ) from error
    # The same name continues the same report.
    name = os.path.basename(os.path.abspath(recipe.output))
    wandb.init(project=recipe.wandb, id=name, resume="allow")
    return WandbMetricsLogger()
