"""What goes into the networks and what comes out of them, as people read it."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

# Per RGB channel, of values scaled to [0, 1]: those of the authors' released models.
MEAN = (124 / 255, 117 / 255, 104 / 255)
STD = (1 / (0.0167 * 255),) * 3


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Scales RGB clips of values 0-255 to what the networks were trained on.

    Args:
        x: NumPy array or tensor `(..., 3)`, uint8 or float, in the range 0-255. It is not changed.
        data_format: None or `"channels_last"`; clips are channels last in this package.

    Returns:
        `(x / 255 - mean) / std` in float32, a NumPy array for a NumPy array.

    Raises:
        ValueError: for `"channels_first"`, or if the last axis is not 3 long.
    """
    if data_format not in (None, "channels_last"):
        raise ValueError(
            "preprocess_input takes clips as (frames, height, width, 3): data_format must be "
            f"'channels_last'. Received: data_format={data_format!r}"
        )
    if x.shape[-1] != 3:
        raise ValueError(f"preprocess_input needs RGB in the last axis. Received: shape={x.shape}")
    # One multiply and one subtract; the constants are folded first.
    scale = np.asarray([1 / (255 * s) for s in STD], "float32")
    shift = np.asarray([m / s for m, s in zip(MEAN, STD, strict=True)], "float32")
    if isinstance(x, np.ndarray):
        return x.astype("float32") * scale - shift
    return keras.ops.cast(x, "float32") * scale - shift


def decode_predictions(
    preds: Any, top: int = 5, class_names: Sequence[str] | None = None
) -> list[list[tuple[str, float]]]:
    """Turns class scores into the best names.

    Args:
        preds: scores `(N, classes)`.
        top: how many classes to return for each clip, at most `classes`.
        class_names: one name a class, in label order; the labels' numbers when None.

    Returns:
        For each clip a list of `(name, score)`, best first.

    Raises:
        ValueError: if `preds` is not 2-D or the names do not fit its width.
    """
    scores = keras.ops.convert_to_numpy(preds)
    if scores.ndim != 2:
        raise ValueError(f"preds must have shape (N, classes). Received: shape={scores.shape}")
    names = list(map(str, range(scores.shape[1]))) if class_names is None else list(class_names)
    if len(names) != scores.shape[1]:
        raise ValueError(
            f"class_names must hold a name for each of the {scores.shape[1]} classes. "
            f"Received: {len(names)} names"
        )
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(names[i], float(row[i])) for i in best] for row, best in zip(scores, order, strict=True)
    ]
