"""Trilinear interpolation of clips: each frame as an image, then time as a matrix product."""

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
    if _known(x.shape[2:4]) and _known(sizes[1:]):
        if tuple(sizes[1:]) != tuple(x.shape[2:4]):
            x = _resize_frames(x, sizes[1:])
    else:
        x = _resize_axis(_resize_axis(x, 3, sizes[2]), 2, sizes[1])
    if _known([x.shape[1], sizes[0]]) and sizes[0] == x.shape[1]:
        return x
    return _resize_axis(x, 1, sizes[0])


def _known(sizes: Sequence[Any]) -> bool:
    return all(isinstance(size, int) for size in sizes)


def _resize_frames(x: Any, sizes: Sequence[int]) -> Any:
    shape = (
        (*ops.shape(x)[:2], *sizes, x.shape[4])
        if x.shape[1] is None
        else (-1, x.shape[1], *sizes, x.shape[4])
    )
    frames = ops.reshape(x, (-1, *x.shape[2:]))
    frames = ops.image.resize(frames, sizes, interpolation="bilinear", data_format="channels_last")
    return ops.reshape(ops.cast(frames, x.dtype), shape)


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
