"""Input preprocessing and decoding of predictions."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_mtnet.checks import check_counts


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Returns clips as they are: networks of this package normalize inside.

    It exists for code written to the convention of `keras.applications`.

    Args:
        x: NumPy array or tensor `(..., 3)`, RGB, in the range 0 to 255.
        data_format: None or `"channels_last"`.

    Raises:
        ValueError: for `"channels_first"`, or if the last axis is not 3 long.

    Example:

    >>> preprocess_input(np.zeros((8, 32, 32, 3), "uint8")).dtype
    dtype('uint8')
    """
    if data_format not in (None, "channels_last"):
        raise ValueError(
            "Clips have the shape (frames, height, width, 3): data_format must be "
            f"'channels_last'. Received: data_format={data_format!r}"
        )
    if x.shape[-1] != 3:
        raise ValueError(f"Clips need RGB in the last axis. Received: shape={tuple(x.shape)}")
    return x


def decode_predictions(
    preds: Any, top: int = 5, class_names: Sequence[str] | None = None
) -> list[list[tuple[str, float]]]:
    """Names the best classes of each clip.

    Args:
        preds: scores `(N, classes)`.
        top: how many classes to return per clip, at most `classes`.
        class_names: one name per class, in label order, as `model.clip_spec.class_names`; the
            labels' numbers when None.

    Returns:
        For each clip a list of `(name, score)`, best first.

    Raises:
        ValueError: if `top` is below 1, `preds` is not 2-D, or the names do not fit its width.

    Example:

    >>> decode_predictions(np.array([[0.1, 0.9]]), top=1, class_names=["run", "jump"])
    [[('jump', 0.9)]]
    """
    check_counts(top=top)
    scores = keras.ops.convert_to_numpy(preds)
    if scores.ndim != 2:
        raise ValueError(f"preds must have shape (N, classes). Received: shape={scores.shape}")
    names = list(map(str, range(scores.shape[1]))) if class_names is None else list(class_names)
    if len(names) != scores.shape[1]:
        raise ValueError(
            f"class_names must hold one name for each of the {scores.shape[1]} classes. "
            f"Received: {len(names)} names"
        )
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(names[i], float(row[i])) for i in best] for row, best in zip(scores, order, strict=True)
    ]
