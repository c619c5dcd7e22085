"""Trilinear interpolation of clips, as a small matrix product an axis."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops


def trilinear_resize(x: Any, sizes: Sequence[Any]) -> Any:
    """Resizes a clip with half-pixel centres, no antialiasing and clamped edges.

    Args:
        x: tensor `(N, T, H, W, C)`.
        sizes: new (frames, height, width), each an int or an integer tensor.

    Returns:
        Tensor `(N, *sizes, C)` of the same dtype. An axis that keeps its length is left alone.
    """
    # Columns first, frames last: the many small products of the columns are then made while the
    # clip is smallest, and the frames are one large product.
    for axis, size in reversed(list(enumerate(sizes, start=1))):
        if x.shape[axis] is not None and isinstance(size, int) and size == x.shape[axis]:
            continue
        x = _resize_axis(x, axis, size)
    return x


def _resize_axis(x: Any, axis: int, size: Any) -> Any:
    shape = list(ops.shape(x))
    old = shape[axis]
    if isinstance(old, int) and isinstance(size, int):
        matrix = ops.convert_to_tensor(interpolation_matrix(size, old).astype("float32"))
    else:
        matrix = _interpolation_tensor(size, old)
    matrix = ops.cast(matrix, x.dtype)
    # (M, old, rest) with the axes before folded to M and those after to rest
    before = [-1 if axis > 1 else shape[0]]
    flat = ops.reshape(x, (*before, old, _product(shape[axis + 1 :])))
    return ops.reshape(ops.matmul(matrix, flat), (*shape[:axis], size, *shape[axis + 1 :]))


def interpolation_matrix(size: int, old: int) -> np.ndarray:
    """Weights `(size, old)` of linear interpolation: row i holds what new position i reads."""
    position = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(old)))


def _interpolation_tensor(size: Any, old: Any) -> Any:
    """`interpolation_matrix` where a length is known only when the graph runs."""
    size, old = ops.cast(size, "float32"), ops.cast(old, "float32")
    position = ops.clip((ops.arange(size) + 0.5) * old / size - 0.5, 0.0, old - 1.0)
    return ops.relu(1.0 - ops.abs(position[:, None] - ops.arange(old)))


def _product(values: Sequence[Any]) -> Any:
    result = 1
    for value in values:
        result = result * value
    return result
