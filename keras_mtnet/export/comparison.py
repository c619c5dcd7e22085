"""The one check of all exports: their scores beside those of the network."""

import os
from typing import NamedTuple

import keras
import numpy as np
from absl import logging

from keras_mtnet.export.loading import load_export
from keras_mtnet.export.preparation import COMPARED, Exportable
from keras_mtnet.scoring import Scorer


class Comparison(NamedTuple):
    """How the scores of an export compare with those of its network.

    >>> str(Comparison(20, 1.5e-7, 20))
    'scores differ by at most 1.5e-07 on 20 clips; the best class is the same on 20'
    """

    clips: int
    difference: float  # the largest of all scores
    same_best: int  # clips of which both name the same class first

    def __str__(self) -> str:
        return (
            f"scores differ by at most {self.difference:.1e} on {self.clips} clips; the best "
            f"class is the same on {self.same_best}"
        )


def compare_export(
    model: keras.Model,
    path: str | os.PathLike,
    clips: np.ndarray,
    activation: str | None = None,
) -> Comparison:
    """Runs an export and its network on the same clips.

    Args:
        model, activation: as for `export_savedmodel`.
        path: the export, of any format.
        clips: uint8 `(N, T, H, W, 3)`.

    Example:

    >>> import tempfile
    >>> model = mt.MTNet((8,), (1,), classes=2, input_shape=(2, 8, 8, 3))
    >>> clips = np.random.default_rng(0).integers(0, 256, (3, 2, 8, 8, 3), "uint8")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = mt.export_litert(model, folder + "/m.tflite", ["jump", "run"])
    ...     compare_export(model, path, clips).difference < 1e-5
    True
    """
    return _compare(Scorer(model, activation, COMPARED), load_export(path), clips)


def compare_and_log(exportable: Exportable, path: str | os.PathLike) -> None:
    """Compares an export that was just written with its network, on the clips it came with."""
    export = load_export(path)
    found = _compare(exportable.scorer, export, exportable.clips)
    shape = "x".join(str(n or "any") for n in export.input_shape[1:])
    logging.info("%s takes uint8 clips (N, %s): %s", path, shape, found)


def _compare(scorer: Scorer, export: keras.Model, clips: np.ndarray) -> Comparison:
    expected, found = scorer(clips), Scorer(export, batch_size=scorer.batch_size)(clips)
    same = np.argmax(expected, axis=1) == np.argmax(found, axis=1)
    return Comparison(len(clips), float(np.abs(expected - found).max()), int(same.sum()))
