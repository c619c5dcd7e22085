"""The convolutions of MTNets in forms that run faster than Keras' own."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

# From this many positions on, TensorFlow's convolution is the faster form of a matrix product.
MANY_POSITIONS = 2048
# Below this many channels, oneDNN (in TensorFlow 2.21) gives wrong kernel gradients of 1x1
# convolutions of stride 2: seen below 8 with vectors of 8 numbers, others have 16.
FEW_CHANNELS = 16


@keras.saving.register_keras_serializable(package="keras_mtnet")
class PointwiseConv3D(keras.layers.Conv3D):
    """A 1x1x1 `keras.layers.Conv3D` in the form that is fastest: mostly one matrix product."""

    def __init__(self, filters: int, strides: int | Sequence[int] = 1, **kwargs: Any):
        kwargs.setdefault("kernel_size", 1)
        super().__init__(filters, strides=strides, **kwargs)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        if self.strides == (1, 1, 1):
            positions = inputs.shape[1:4]
            many = None not in positions and math.prod(positions) >= MANY_POSITIONS
            if many and keras.backend.backend() == "tensorflow":
                return super().convolution_op(inputs, kernel)
            return matmul_last(inputs, ops.reshape(kernel, kernel.shape[3:]))
        x = self._kept_frames(inputs)
        if x.shape[-1] < FEW_CHANNELS:
            x = x[:, :, :: self.strides[1], :: self.strides[2]]
            return matmul_last(x, ops.reshape(kernel, kernel.shape[3:]))
        # Skipping rows and columns is left to a 2-D convolution.
        _, t, h, w, c = x.shape if None not in x.shape[1:] else ops.shape(x)
        kernel = ops.reshape(kernel, kernel.shape[1:])
        x = ops.conv(ops.reshape(x, (-1, h, w, c)), kernel, self.strides[1:], "same")
        return ops.reshape(x, (-1, t, *ops.shape(x)[1:]))

    def _kept_frames(self, x: Any) -> Any:
        stride = self.strides[0]
        t = x.shape[1]
        if stride == 1 or t == 1:
            return x
        if None in x.shape[1:] or t % stride:
            return x[:, ::stride]
        groups = ops.reshape(x, (-1, t // stride, stride, *x.shape[2:]))
        return ops.unstack(groups, stride, axis=2)[0]  # its gradient is faster than a slice's


@keras.saving.register_keras_serializable(package="keras_mtnet")
class ClipConv3D(keras.layers.Conv3D):
    """A `keras.layers.Conv3D` with padding "same" that does not work on frames of padding.

    Where the clip is a single frame, only the centre of the kernel meets it: a 2-D convolution,
    which reads a third of a 3x3x3 kernel.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        if inputs.shape[1] != 1 or self.padding != "same":
            return super().convolution_op(inputs, kernel)
        centre = kernel[(self.kernel_size[0] - 1) // 2]
        frame = ops.reshape(inputs, (-1, *ops.shape(inputs)[2:]))
        frame = ops.conv(frame, centre, self.strides[1:], "same")
        return ops.expand_dims(frame, 1)


def matmul_last(x: Any, matrix: Any) -> Any:
    """Multiplies the last axis of `x` by a matrix, as one product over all other axes."""
    shape = ops.shape(x) if None in tuple(x.shape[1:]) else (-1, *x.shape[1:])
    product = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), matrix)
    return ops.reshape(product, (*shape[:-1], matrix.shape[-1]))


@keras.saving.register_keras_serializable(package="keras_mtnet")
class TemporalDepthwiseConv3D(keras.layers.Layer):
    """A depthwise convolution over time, one kernel of `kernel_size` frames a channel, no bias.

    Grouped Conv3D does not run on TensorFlow's CPU backend; with rows and columns laid in one axis
    the same sum is a depthwise 2-D convolution, which runs everywhere.

    Input and output `(N, T, H, W, C)`.
    """

    def __init__(self, kernel_size: int, kernel_initializer: Any = "glorot_uniform", **kwargs: Any):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, 1, input_shape[-1], 1),
            initializer=self.kernel_initializer,
        )
        self.built = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def call(self, x: Any) -> Any:
        shape = ops.shape(x)
        x = ops.reshape(x, (*shape[:2], shape[2] * shape[3], shape[4]))
        return ops.reshape(ops.depthwise_conv(x, self.kernel, padding="same"), shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
