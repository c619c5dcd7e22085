"""Clips as pairs of frames, one for a large and one for a small network, and together again."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.shapes import Shape, strided


@keras.saving.register_keras_serializable(package="keras_mtnet")
class FramePairs(keras.layers.Layer):
    """Splits a clip into the first and the second frames of its pairs.

    An odd last frame is a pair with itself.

    Input: `(N, T, H, W, C)`. Output: two of `(N, T/2, H, W, C)`, T/2 rounded up.

    Example:

    >>> first, second = FramePairs()(keras.ops.reshape(keras.ops.arange(3), (1, 3, 1, 1, 1)))
    >>> print(keras.ops.reshape(first, -1), keras.ops.reshape(second, -1))
    tf.Tensor([0 2], shape=(2,), dtype=int32) tf.Tensor([1 2], shape=(2,), dtype=int32)
    """

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> list[Shape]:
        n, t, *rest = input_shape
        return [(n, strided(t, 2), *rest)] * 2

    def call(self, x: Any) -> list[Any]:
        t = x.shape[1]
        whole = x if t is not None and t % 2 == 0 else ops.concatenate([x, x[:, -1:]], axis=1)
        return [x[:, ::2], whole[:, 1::2]]


@keras.saving.register_keras_serializable(package="keras_mtnet")
class RepeatFrames(keras.layers.Layer):
    """Repeats each frame.

    Input: `(N, T, H, W, C)`. Output: `(N, 2 T, H, W, C)`.

    Example:

    >>> RepeatFrames()(keras.ops.ones((1, 4, 2, 2, 3))).shape
    TensorShape([1, 8, 2, 2, 3])
    """

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        n, t, *rest = input_shape
        return (n, None if t is None else 2 * t, *rest)

    def call(self, x: Any) -> Any:
        return ops.repeat(x, 2, axis=1)


@keras.saving.register_keras_serializable(package="keras_mtnet")
class AddEnlarged(keras.layers.Layer):
    """Adds to a clip another one of half its height and width, every position of it repeated.

    Input: `(N, T, H, W, C)` and `(N, T, H/2, W/2, C)`, halves rounded up. Output: as the first.

    Example:

    >>> AddEnlarged()([keras.ops.ones((1, 4, 7, 7, 3)), keras.ops.ones((1, 4, 4, 4, 3))]).shape
    TensorShape([1, 4, 7, 7, 3])
    """

    def compute_output_shape(self, input_shape: Sequence[Sequence[int | None]]) -> Shape:
        return tuple(input_shape[0])

    def call(self, inputs: Sequence[Any]) -> Any:
        large, small = inputs
        height, width = ops.shape(large)[2:4]
        small = ops.repeat(ops.repeat(small, 2, axis=2), 2, axis=3)
        return large + small[:, :, :height, :width]
