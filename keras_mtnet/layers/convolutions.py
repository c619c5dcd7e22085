"""Convolutions of clips in the forms that are right everywhere and fastest.

oneDNN, which TensorFlow computes with on CPUs, returns uninitialized memory for some gradients of
kernels, and may end the process (`keras-mtnet benchmark --check` finds these). No layer here uses
such a form.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.numerics import pad_with_zeros
from keras_mtnet.layers.shapes import every_frame, sizes

# From this many positions on, TensorFlow's convolution is the faster form of a matrix product.
MANY_POSITIONS = 2048
# oneDNN 3.7 gives wrong float32 gradients of 1x1 kernels at stride 2 below as many channels as its
# vectors hold: 8 on AVX2. Other processors have 16.
FEW_CHANNELS = 16


@keras.saving.register_keras_serializable(package="keras_mtnet")
class PointwiseConv3D(keras.layers.Conv3D):
    """A 1x1x1 `keras.layers.Conv3D` in the form that is fastest, mostly one matrix product."""

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
        x = every_frame(inputs, self.strides[0])
        if x.shape[-1] < FEW_CHANNELS:
            x = x[:, :, :: self.strides[1], :: self.strides[2]]
            return matmul_last(x, ops.reshape(kernel, kernel.shape[3:]))
        # Skipping rows and columns is left to a 2-D convolution.
        _, t, h, w, c = x.shape if None not in x.shape[1:] else ops.shape(x)
        kernel = ops.reshape(kernel, kernel.shape[1:])
        x = ops.conv(ops.reshape(x, (-1, h, w, c)), kernel, self.strides[1:], "same")
        return ops.reshape(x, (-1, t, *ops.shape(x)[1:]))


@keras.saving.register_keras_serializable(package="keras_mtnet")
class ClipConv3D(keras.layers.Conv3D):
    """A `keras.layers.Conv3D` that does not work on padding, and is right in bfloat16 on CPUs.

    On an axis of length 1, only the center of the kernel meets the clip: a 3x3x3 convolution of
    one frame is a 2-D one, which reads a third of the kernel. A kernel of one frame convolves all
    frames by a 2-D convolution, too, whose gradients take less time.

    oneDNN's bfloat16 gradient of the kernel is wrong where no window lies wholly inside the clip
    along an axis, as of 3 frames in a clip of 2. There, and where sizes are unknown, the clip is
    padded before the convolution.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        if self.padding != "same" or self.dilation_rate != (1, 1, 1):
            return super().convolution_op(inputs, kernel)
        lengths = inputs.shape[1:4]
        if 1 in lengths:
            kernel = self._center(kernel, [length == 1 for length in lengths])
        if self._must_be_padded(inputs, kernel):
            padded = pad_with_zeros(inputs, [[0, 0], *self._padding(inputs, kernel), [0, 0]])
            return _convolve(padded, kernel, self.strides, "valid")
        return _convolve(inputs, kernel, self.strides, "same")

    @staticmethod
    def _center(kernel: Any, chosen: Sequence[bool]) -> Any:
        """The center of the kernel along the chosen axes of frames, rows and columns.

        TensorFlow's gradient of an index takes twelve times as long as that of `ops.slice`.
        """
        spans = kernel.shape[:3]
        starts = [(n - 1) // 2 if one else 0 for n, one in zip(spans, chosen, strict=True)]
        lengths = [1 if one else n for n, one in zip(spans, chosen, strict=True)]
        kernel = ops.convert_to_tensor(kernel)  # JAX cannot slice a variable
        return ops.slice(kernel, (*starts, 0, 0), (*lengths, *kernel.shape[3:]))

    @staticmethod
    def _must_be_padded(x: Any, kernel: Any) -> bool:
        """Whether oneDNN may meet an axis along which no window lies wholly inside the clip."""
        half = keras.backend.standardize_dtype(x.dtype) == "bfloat16"
        return half and any(
            size > 1 and (length is None or length < size)
            for length, size in zip(x.shape[1:4], kernel.shape[:3], strict=True)
        )

    def _padding(self, x: Any, kernel: Any) -> list[list[Any]]:
        """The zeros that padding "same" puts before and after frames, rows and columns."""
        ends = []
        for length, size, stride in zip(sizes(x), kernel.shape[:3], self.strides, strict=True):
            total = size - 1
            if stride > 1:
                total = ops.maximum(-(-length // stride) * stride - stride + size - length, 0)
            ends.append([total // 2, total - total // 2])
        return ends


@keras.saving.register_keras_serializable(package="keras_mtnet")
class CenteredConv3D(ClipConv3D):
    """A `keras.layers.Conv3D` with zeros of half the kernel on both sides, whatever the stride.

    Sizes are those of padding "same", `ceil(size / stride)`. But "same" centers the windows on what
    the stride leaves, which for an even size is half a step later; these are centered on every
    `stride`-th position from the first, as PyTorch's are. Kernels are odd.
    """

    def __init__(self, filters: int, kernel_size: int | Sequence[int], **kwargs: Any):
        super().__init__(filters, kernel_size, **{**kwargs, "padding": "same"})

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        if self.strides == (1, 1, 1):
            return super().convolution_op(inputs, kernel)
        ends = [[size // 2, size // 2] for size in self.kernel_size]
        padded = pad_with_zeros(inputs, [[0, 0], *ends, [0, 0]])
        return _convolve(padded, kernel, self.strides, "valid")


def _convolve(x: Any, kernel: Any, strides: Sequence[int], padding: str) -> Any:
    """A 3-D convolution; where frames do not meet, a 2-D one of all of them.

    Results are the same, and as fast; oneDNN's gradients mostly take less time, down to a third.
    """
    few = x.shape[-1] < FEW_CHANNELS and max(strides) > 1 and tuple(kernel.shape[1:3]) == (1, 1)
    if few or kernel.shape[0] > 1 or (strides[0] > 1 and x.shape[1] != 1):
        return ops.conv(x, kernel, list(strides), padding)
    shape = x.shape if None not in x.shape[1:] else ops.shape(x)
    frames = ops.reshape(x, (-1, *shape[2:]))
    kernel = ops.reshape(kernel, kernel.shape[1:])
    y = ops.conv(frames, kernel, list(strides[1:]), padding)
    return ops.reshape(y, (-1, shape[1], *ops.shape(y)[1:]))


def matmul_last(x: Any, matrix: Any) -> Any:
    """Multiplies the last axis of `x` by a matrix, as one product over all other axes."""
    shape = ops.shape(x) if None in tuple(x.shape[1:]) else (-1, *x.shape[1:])
    product = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), matrix)
    return ops.reshape(product, (*shape[:-1], matrix.shape[-1]))
