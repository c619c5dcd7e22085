"""Large arrays that TensorFlow takes over without copying them."""

import math

import numpy as np

_ALIGNMENT = 64  # bytes; what begins elsewhere TensorFlow copies


def empty_aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """As `np.empty`, but where TensorFlow wants it.

    NumPy asks for large arrays in pages of 2 MB, TensorFlow in such of 4 kB. The system clears each
    page before it gives it away, which takes longer than most of what is done to a batch.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    data = np.empty(size + _ALIGNMENT, "uint8")
    start = -data.ctypes.data % _ALIGNMENT
    return data[start : start + size].view(dtype).reshape(shape)
