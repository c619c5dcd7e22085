"""A strided Conv3D whose padding is the same on both sides."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mtnet")
class CentredConv3D(keras.layers.Conv3D):
    """`keras.layers.Conv3D` with zeros of half the kernel on both sides, whatever the stride.

    Sizes are those of padding "same": `ceil(size / stride)`. But where "same" centres the windows
    on what the stride leaves, which for an even size is half a step later, these are centred on
    every `stride`-th position from the first, as PyTorch's are.

    Args:
        filters: output channels.
        kernel_size: int or (frames, height, width), odd.
        **kwargs: of `keras.layers.Conv3D`, but for `padding`.
    """

    def __init__(self, filters: int, kernel_size: Any, **kwargs: Any):
        super().__init__(filters, kernel_size, **{**kwargs, "padding": "same"})

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        if self.strides == (1, 1, 1):
            return super().convolution_op(inputs, kernel)
        sides = [[size // 2, size // 2] for size in self.kernel_size]
        padded = ops.pad(inputs, [[0, 0], *sides, [0, 0]])
        return ops.conv(padded, kernel, self.strides, "valid")
