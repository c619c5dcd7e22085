"""SoftPool: pooling by the softmax of the values themselves (eq. 5)."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.numerics import at_least_float32, own_gradient, reciprocal
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

    def call(self, x: Any, training: bool = False) -> Any:
        if not self._tiles(x.shape[1:4]):
            return super().call(x, training)
        y = own_gradient(self._average_tiles)(at_least_float32(x))
        return ops.cast(self._unfold(y, x), self.compute_dtype)

    def _average_tiles(self, x: Any) -> tuple[Any, Callable[[Any], Any]]:
        """The averages of windows side by side, in folded shape, and their gradient.

        A gradient of its own takes half the operations of the derived one. What is as large as the
        clip is computed again for it, instead of kept.
        """
        largest, below, shares = _shares(self._tiled_taps(x))
        scale = reciprocal(total(shares))
        mean = weighted_sum(below, shares) * scale  # relative to the largest

        def gradient(upstream: Any) -> tuple[Any]:
            # dy / dx_i = w_i (1 + x_i - y)
            _, below, shares = _shares(self._tiled_taps(x), largest)
            factor = upstream * scale
            rest = factor * (1.0 - mean)
            parts = [share * (factor * d + rest) for share, d in zip(shares, below, strict=True)]
            return (self._join_taps(parts, x),)

        return largest + mean, gradient

    def _reduce(self, taps: list[Any], weights: list[Any] | None, training: bool) -> Any:
        largest, below, shares = _shares(taps)
        if weights is not None:
            shares = [share * weight for share, weight in zip(shares, weights, strict=True)]
        return largest + weighted_sum(below, shares) * reciprocal(total(shares))


def _shares(taps: list[Any], largest: Any = None) -> tuple[Any, list[Any], list[Any]]:
    """The largest value of each window, how far each place is below it, and the exponentials."""
    if largest is None:
        largest = ops.stop_gradient(maximum(taps))  # which the result does not depend on
    furthest = ops.cast(FURTHEST, largest.dtype)  # once, not an operation for each place
    below = [ops.maximum(tap - largest, furthest) for tap in taps]
    return largest, below, [ops.exp(d) for d in below]
