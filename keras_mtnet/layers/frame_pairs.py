"""Clips as pairs of frames, one for a large and one for a small network, and together again."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.shapes import Shape, cut, sizes, strided


@keras.saving.register_keras_serializable(package="keras_mtnet")
class EvenFrames(keras.layers.Layer):
    """Repeats the last frame of a clip of an odd number of them.

    Input: `(N, T, H, W, C)`. Output: `(N, T, H, W, C)`, or `(N, T + 1, H, W, C)`.

    Example:

    >>> EvenFrames()(keras.ops.ones((1, 3, 2, 2, 3))).shape
    TensorShape([1, 4, 2, 2, 3])
    """

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        n, t, *rest = input_shape
        return (n, None if t is None else t + t % 2, *rest)

    def call(self, x: Any) -> Any:
        t = ops.shape(x)[1]
        if x.shape[1] is not None and t % 2 == 0:
            return x
        return ops.concatenate([x, x[:, -1:]], axis=1)[:, : t + t % 2]


@keras.saving.register_keras_serializable(package="keras_mtnet")
class FramePairs(keras.layers.Layer):
    """Splits a clip of an even number of frames into the first and the second ones of its pairs.

    Input: `(N, T, H, W, C)`. Output: two of `(N, T/2, H, W, C)`.

    Example:

    >>> first, second = FramePairs()(keras.ops.ones((1, 6, 2, 2, 3)))
    >>> first.shape, second.shape
    (TensorShape([1, 3, 2, 2, 3]), TensorShape([1, 3, 2, 2, 3]))
    """

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> list[Shape]:
        n, t, *rest = input_shape
        return [(n, strided(t, 2), *rest)] * 2

    def call(self, x: Any) -> list[Any]:
        n, t, h, w, c = ops.shape(x)
        pairs = ops.reshape(x, (n * (t // 2), 2, h, w, c))
        return [ops.reshape(y, (n, t // 2, h, w, c)) for y in ops.unstack(pairs, 2, axis=1)]


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
        small = ops.repeat(ops.repeat(small, 2, axis=2), 2, axis=3)
        return large + cut(small, (0, 0, 0), sizes(large))
