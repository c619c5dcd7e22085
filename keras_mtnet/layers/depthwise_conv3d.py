"""Depthwise 3-D convolution as a sum of depthwise 2-D convolutions."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.numerics import at_least_float32
from keras_mtnet.layers.shapes import (
    check_clip_shape,
    check_not_empty,
    cut,
    every_frame,
    strided,
    triple,
)


@keras.saving.register_keras_serializable(package="keras_mtnet")
class DepthwiseConv3D(keras.layers.Layer):
    """Convolves every channel with a kernel of its own.

    `keras.layers.Conv3D(groups=channels)` is this operation too, but TensorFlow runs it on CPUs
    only through XLA, some seventy times slower. Here each frame of
    the kernel is a depthwise 2-D convolution of shifted frames, and their sum is the result; a
    kernel of one pixel convolves rows of frames at once.

    Padding is half the kernel on both sides, whatever the stride, as in PyTorch networks: output
    sizes are `ceil(size / stride)`.

    Args:
        kernel_size: int or (frames, height, width), odd.
        strides: int or (frames, height, width); height and width alike.
        kernel_initializer: of the kernel `(frames, height, width, channels, 1)`.
        use_bias: add a number per channel.

    Input: `(N, T, H, W, C)`. Output: `(N, T', H', W', C)`.

    Raises:
        ValueError: for an even kernel, unlike strides of height and width, or a batch of 0 clips.

    Example:

    >>> DepthwiseConv3D(3, strides=(1, 2, 2))(keras.ops.ones((1, 4, 8, 8, 6))).shape
    TensorShape([1, 4, 4, 4, 6])
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int] = 3,
        strides: int | Sequence[int] = 1,
        kernel_initializer: Any = "glorot_uniform",
        use_bias: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.use_bias = use_bias
        self.kernel_size = triple(kernel_size, "kernel_size")
        self.strides = triple(strides, "strides")
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        if not all(size % 2 for size in self.kernel_size):
            raise ValueError(f"kernel_size must be odd. Received: kernel_size={self.kernel_size}")
        if self.strides[1] != self.strides[2]:
            raise ValueError(
                f"strides of height and width must be alike. Received: strides={self.strides}"
            )

    def build(self, input_shape: Sequence[int | None]) -> None:
        check_clip_shape(input_shape, type(self).__name__)
        self.kernel = self.add_weight(
            name="depthwise_kernel",
            shape=(*self.kernel_size, input_shape[-1], 1),
            initializer=self.kernel_initializer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=input_shape[-1:], initializer="zeros")
        self.built = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        n, *sizes, c = input_shape
        return (n, *map(strided, sizes, self.strides), c)

    def call(self, x: Any) -> Any:
        # TensorFlow sums gradients of depthwise kernels in the type of the clips, which in
        # bfloat16 is wrong by a fifth of the largest.
        kernel, clips = at_least_float32(self.kernel), at_least_float32(x)
        pixels = self.kernel_size[1:] == (1, 1) and self.strides == (1, 1, 1)
        convolve = self._convolve_pixels if pixels else self._convolve_frames
        y = ops.cast(convolve(clips, kernel), x.dtype)
        return y if self.bias is None else y + self.bias

    def _convolve_pixels(self, x: Any, kernel: Any) -> Any:
        """(T, H * W) is an image whose columns are pixels, convolved along the frames."""
        shape = ops.shape(x)
        image = ops.reshape(x, (*shape[:2], shape[2] * shape[3], shape[4]))
        return ops.reshape(ops.depthwise_conv(image, kernel[:, 0], padding="same"), shape)

    def _convolve_frames(self, x: Any, kernel: Any) -> Any:
        check_not_empty(x, type(self).__name__)
        before, height, width = (size // 2 for size in self.kernel_size)
        step, t = self.strides[0], ops.shape(x)[1]
        taps: Sequence[int] = range(self.kernel_size[0])
        if x.shape[1] == 1:  # all other taps see padding alone
            taps, before = (before,), 0
        x = ops.pad(x, [[0, 0], *([size, size] for size in (before, height, width)), [0, 0]])
        _, _, h, w, c = ops.shape(x)
        total = None
        for tap in taps:
            first = tap if len(taps) > 1 else 0
            frames = every_frame(cut(x, (first, 0, 0), (t, h, w)), step)
            image = ops.reshape(frames, (-1, h, w, c))
            y = ops.depthwise_conv(image, kernel[tap], self.strides[1], "valid")
            total = y if total is None else total + y
        _, height, width, _ = ops.shape(total)
        return ops.reshape(total, (-1, -(-t // step), height, width, c))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "use_bias": self.use_bias,
        }
