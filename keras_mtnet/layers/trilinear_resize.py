"""Trilinear interpolation of clips: frames by a matrix product, then each frame as an image."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


def trilinear_resize(x: Any, sizes: Sequence[Any]) -> Any:
    """Resizes a clip with half-pixel centers, no antialiasing and clamped edges.

    Args:
        x: tensor `(N, T, H, W, C)`.
        sizes: new (frames, height, width), each an int or an integer tensor.

    Returns:
        Tensor `(N, *sizes, C)` of the same dtype. An axis that keeps its length is left alone.

    Example:

    >>> trilinear_resize(ops.ones((1, 4, 7, 7, 8)), (8, 14, 14)).shape
    TensorShape([1, 8, 14, 14, 8])
    """
    # Time first: the matrix product then meets few pixels, and frames are cheap to resize.
    x = _resize_axis(x, 1, sizes[0])
    known = None not in x.shape[2:4] and all(isinstance(size, int) for size in sizes[1:])
    if not known or keras.backend.standardize_dtype(x.dtype) == "float64":  # images: float32
        return _resize_axis(_resize_axis(x, 3, sizes[2]), 2, sizes[1])
    return _resize_frames(x, sizes[1:])


def _resize_frames(x: Any, sizes: Sequence[int]) -> Any:
    if tuple(sizes) == tuple(x.shape[2:4]):
        return x
    _, t, h, w, c = x.shape
    frames = ops.reshape(x, (-1, h, w, c))
    frames = ops.image.resize(frames, sizes, interpolation="bilinear", data_format="channels_last")
    lead = ops.shape(x)[:2] if t is None else (-1, t)
    return ops.reshape(ops.cast(frames, x.dtype), (*lead, *sizes, c))


def _resize_axis(x: Any, axis: int, size: Any) -> Any:
    shape = list(x.shape if None not in x.shape[1:] else ops.shape(x))
    old = shape[axis]
    if isinstance(old, int) and isinstance(size, int):
        if old == size:
            return x
        matrix = ops.convert_to_tensor(interpolation_matrix(size, old), x.dtype)
    else:
        matrix = _interpolation_tensor(size, old)
    # (M, old, rest) with the axes before folded to M and those after to rest
    flat = ops.reshape(x, (-1, old, _product(shape[axis + 1 :])))
    resized = ops.matmul(ops.cast(matrix, x.dtype), flat)
    return ops.reshape(resized, (-1, *shape[1:axis], size, *shape[axis + 1 :]))


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
