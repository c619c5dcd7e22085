"""Large arrays that TensorFlow takes over without copying them, and whose memory is used again."""

import collections
import math
import weakref

import numpy as np

_ALIGNMENT = 64  # bytes; what begins elsewhere TensorFlow copies
_KEPT = 4  # blocks that wait to be used again
_LARGE = 2**20  # bytes; smaller blocks are not worth keeping

# Memory of arrays that are gone, oldest first.
_free: collections.deque[np.ndarray] = collections.deque(maxlen=_KEPT)


def empty_aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """As `np.empty`, but where TensorFlow wants it.

    Memory that is new costs more than most of what is done to a batch: the system clears each page
    before it gives it away. So that of the batches before is used again, once nobody holds them any
    more, and where there is none NumPy is asked, which asks for pages of 2 MB and not of 4 kB.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    block = _take(size + _ALIGNMENT)
    # All views of the array refer to this one, through which the memory comes back.
    data = np.frombuffer(memoryview(block), "uint8")
    if block.nbytes >= _LARGE:
        weakref.finalize(data, _free.append, block).atexit = False
    start = -data.ctypes.data % _ALIGNMENT
    return data[start : start + size].view(dtype).reshape(shape)


def _take(size: int) -> np.ndarray:
    for _ in range(len(_free)):
        try:
            block = _free.popleft()
        except IndexError:  # other threads took the rest
            break
        if block.nbytes == size:
            return block
        _free.append(block)
    return np.empty(size, "uint8")
