"""The product in the middle of a non-local block."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

Shape = Sequence[Any]  # None where a size is not known


@keras.saving.register_keras_serializable(package="keras_mtnet")
class NonLocalProduct(keras.layers.Layer):
    """At every position, the mean of all values, each times its key's product with the query.

    The published code multiplies queries by keys first, a matrix of positions by positions. The
    product is associative: keys by values first is a matrix of channels by channels, which costs
    a tenth for the large maps of a ResNet's second stage, and its memory does not grow with the
    clip.

    Input: queries `(N, T, H, W, C)`, keys `(N, T', H', W', C)` and values `(N, T', H', W', D)`.
    Output: `(N, T, H, W, D)`.

    Source: Wang et al., "Non-local Neural Networks", CVPR 2018, the dot product.

    Example:

    >>> x, half = keras.ops.ones((1, 4, 8, 8, 6)), keras.ops.ones((1, 4, 4, 4, 6)) / 2
    >>> float(NonLocalProduct()([x, half, half])[0, 0, 0, 0, 0])  # 6 channels of 1/4
    1.5
    """

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> tuple[Any, ...]:
        query, _, value = input_shape
        return (*query[:-1], value[-1])

    def call(self, inputs: Sequence[Any]) -> Any:
        query, key, value = inputs
        rows = [ops.reshape(x, (ops.shape(x)[0], -1, x.shape[-1])) for x in (query, key, value)]
        positions = ops.cast(ops.shape(rows[1])[1], self.compute_dtype)
        # Divided first: sums over thousands of positions may not fit into float16.
        context = ops.matmul(ops.transpose(rows[1], (0, 2, 1)), rows[2] / positions)  # (N, C, D)
        product = ops.matmul(rows[0], context)
        return ops.reshape(product, (*ops.shape(query)[:-1], value.shape[-1]))

    def count_products(self, input_shape: Sequence[Shape]) -> int:
        """Multiply-adds for inputs of these shapes."""
        query, key, value = input_shape
        positions = math.prod(query[1:4]) + math.prod(key[1:4])
        return query[0] * positions * key[-1] * value[-1]
