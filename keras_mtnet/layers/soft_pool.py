"""SoftPool: pooling by the softmax of the values themselves (eq. 5)."""

from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.numerics import own_gradient, reciprocal
from keras_mtnet.layers.window_pooling import WindowPooling, maximum, total, weighted_sum

# exp(-104) is 0 in float32: a value further below the maximum of its window has no share in it.
FURTHEST = -104.0


@keras.saving.register_keras_serializable(package="keras_mtnet")
class SoftPool(WindowPooling):
    """Pools each window to the average of its values weighted by their exponentials (eq. 5).

    For a window R of one channel, `y = sum_i w_i x_i` with `w_i = exp(x_i) / sum_j exp(x_j)`.
    Values and exponents are taken in float32 (float64 for float64) and relative to the maximum of
    their own window, so the result is finite and right for any finite input, whatever stands in
    other windows.

    Args:
        pool_size: window as int or (frames, height, width). The default pools each frame 2x2;
            `(2, 2, 2)` is the symmetric variant of Table VI(c).
        strides: steps between windows, int or three; `pool_size` when None.
        padding: `"valid"` or `"same"`.

    Input: `(N, T, H, W, C)`. Output: `(N, T', H', W', C)`. An axis shorter than its window is
    pooled over what there is.

    Raises:
        ValueError: for another `padding`, sizes that are not positive, or input that is not 5-D.

    Example:

    >>> x = keras.ops.reshape(keras.ops.arange(4, dtype="float32"), (1, 1, 2, 2, 1))
    >>> round(float(SoftPool()(x)[0, 0, 0, 0, 0]), 2)  # the mean is 1.5, the maximum 3
    2.49
    """

    def _reduce(self, taps: list[Any], weights: list[Any] | None, training: bool) -> Any:
        if weights is None:
            return soft_average(*taps)
        largest = ops.stop_gradient(maximum(taps))
        below = [ops.maximum(tap - largest, FURTHEST) for tap in taps]
        shares = [ops.exp(d) * weight for d, weight in zip(below, weights, strict=True)]
        return largest + weighted_sum(below, shares) * reciprocal(total(shares))


@own_gradient
def soft_average(*taps: Any) -> Any:
    """Average of tensors of one shape, weighted by their exponentials.

    A gradient of its own takes half the operations of the derived one.
    """
    largest = ops.stop_gradient(maximum(taps))  # which the result does not depend on
    furthest = ops.cast(FURTHEST, largest.dtype)  # once, not an operation for each place
    below = [ops.maximum(tap - largest, furthest) for tap in taps]
    shares = [ops.exp(d) for d in below]
    scale = reciprocal(total(shares))
    mean = weighted_sum(below, shares) * scale  # relative to the largest

    def gradient(upstream: Any) -> tuple[Any, ...]:
        # dy / dx_i = w_i (1 + x_i - y)
        factor = upstream * scale
        rest = factor * (1.0 - mean)
        return tuple(share * (factor * d + rest) for share, d in zip(shares, below, strict=True))

    return largest + mean, gradient
