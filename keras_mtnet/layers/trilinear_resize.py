"""Trilinear interpolation of clips: frames by a matrix product, then each frame as an image."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtnet.layers.numerics import own_gradient


def trilinear_resize(x: Any, sizes: Sequence[Any]) -> Any:
    """Resizes a clip with half-pixel centers, no antialiasing and clamped edges.

    `sizes` are the new (frames, height, width), each an int or an integer tensor. An axis that
    keeps its length is left alone.
    """
    # Time first: the matrix product then meets few pixels, and frames are cheap to resize.
    x = _resize_axis(x, 1, sizes[0])
    known = None not in x.shape[2:4] and all(isinstance(size, int) for size in sizes[1:])
    if known and keras.backend.standardize_dtype(x.dtype) != "float64":  # images are float32
        return x if tuple(sizes[1:]) == tuple(x.shape[2:4]) else _frame_resizer(x, sizes[1:])(x)
    return _resize_axis(_resize_axis(x, 3, sizes[2]), 2, sizes[1])


def _frame_resizer(x: Any, sizes: Sequence[int]) -> Callable[[Any], Any]:
    """Resizes the frames of clips like `x`.

    TensorFlow's gradient of the operation for images is slow in bfloat16, and a gradient of it is
    silently zero. Matrix products have neither fault.
    """
    _, t, h, w, c = x.shape
    # NumPy until the gradient is taken: a tensor made here would leak out of JAX's remat.
    matrices = [interpolation_matrix(new, old).T for new, old in zip(sizes, (h, w), strict=True)]

    @own_gradient
    def resize(x: Any) -> tuple[Any, Callable[[Any], Any]]:
        frames = ops.reshape(x, (-1, h, w, c))
        y = ops.image.resize(frames, sizes, interpolation="bilinear", data_format="channels_last")
        y = ops.reshape(ops.cast(y, x.dtype), (-1, ops.shape(x)[1] if t is None else t, *sizes, c))

        def gradient(upstream: Any) -> tuple[Any]:
            rows, columns = (ops.convert_to_tensor(m, upstream.dtype) for m in matrices)
            return (_multiply(_multiply(upstream, 3, columns), 2, rows),)

        return y, gradient

    return resize


def _resize_axis(x: Any, axis: int, size: Any) -> Any:
    old = x.shape[axis]
    if isinstance(old, int) and isinstance(size, int):
        if old == size:
            return x
        matrix = ops.convert_to_tensor(interpolation_matrix(size, old), x.dtype)
    else:
        matrix = _interpolation_tensor(size, ops.shape(x)[axis])
    return _multiply(x, axis, ops.cast(matrix, x.dtype), size)


def _multiply(x: Any, axis: int, matrix: Any, size: Any = None) -> Any:
    """Multiplies an axis of length `old` by a matrix `(size, old)`."""
    size = matrix.shape[0] if size is None else size
    shape = list(x.shape if None not in x.shape[1:] else ops.shape(x))
    # (M, old, rest) with the axes before folded to M and those after to rest
    flat = ops.reshape(x, (-1, shape[axis], _product(shape[axis + 1 :])))
    resized = ops.matmul(matrix, flat)
    return ops.reshape(resized, (-1, *shape[1:axis], size, *shape[axis + 1 :]))


def interpolation_matrix(size: int, old: int) -> np.ndarray:
    """Weights `(size, old)` of linear interpolation; row i holds what new position i reads."""
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
