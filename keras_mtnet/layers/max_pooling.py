"""Max pooling whose windows lie as those of PyTorch networks do."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mtnet")
class CenteredMaxPooling3D(keras.layers.MaxPooling3D):
    """A `keras.layers.MaxPooling3D` with windows centered on every `strides`-th position.

    Sizes are those of padding "same", `ceil(size / stride)`, which centers the windows on what the
    stride leaves: for an even size half a step later. See `CenteredConv3D`.

    Args:
        pool_size: int or (frames, height, width), odd.
        strides: int or (frames, height, width).
        **kwargs: of `keras.layers.MaxPooling3D`, but for `padding`.

    Input: `(N, T, H, W, C)`. Output: `(N, T', H', W', C)`.

    Raises:
        ValueError: for an even window.

    Example:

    >>> CenteredMaxPooling3D(3, strides=(1, 2, 2))(keras.ops.ones((1, 4, 8, 8, 6))).shape
    TensorShape([1, 4, 4, 4, 6])
    """

    def __init__(
        self, pool_size: int | Sequence[int] = 3, strides: int | Sequence[int] = 2, **kwargs: Any
    ):
        super().__init__(pool_size, strides, **{**kwargs, "padding": "same"})
        if not all(size % 2 for size in self.pool_size):
            raise ValueError(f"pool_size must be odd. Received: pool_size={pool_size}")

    def call(self, inputs: Any) -> Any:
        if tuple(self.strides) == (1, 1, 1):  # "same" is centered
            return super().call(inputs)
        ends = [[size // 2, size // 2] for size in self.pool_size]
        ends = [[0, 0], *ends, [0, 0]]
        padded = ops.pad(inputs, ends, constant_values=float("-inf"))
        return ops.max_pool(padded, self.pool_size, self.strides, "valid")
