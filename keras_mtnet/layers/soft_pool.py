"""SoftPool: pooling by the softmax of the values themselves (eq. 5)."""

from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.window_pooling import WindowPooling, maximum, weighted_sum

LARGEST = 3.4028234e38  # finite float32


@keras.saving.register_keras_serializable(package="keras_mtnet")
class SoftPool(WindowPooling):
    """Pools each window to the average of its values weighted by their exponentials (eq. 5).

    For a window R of one channel: `y = sum_i w_i x_i` with `w_i = exp(x_i) / sum_j exp(x_j)`.
    Exponents are float32 and relative to the maximum of their own window, so the result is finite
    and right for any finite float16, bfloat16 or float32 input, whatever stands elsewhere.

    Args:
        pool_size: window as int or (frames, height, width). The default pools each frame 2x2;
            `(2, 2, 2)` is the symmetric variant of Table VI(c).
        strides: steps between windows, int or three; `pool_size` when None.
        padding: `"valid"` or `"same"`.

    Input `(N, T, H, W, C)`, output `(N, T', H', W', C)`. An axis shorter than its window is pooled
    over what there is.

    Raises:
        ValueError: for another `padding`, sizes that are not positive, or input that is not 5-D.
    """

    def pool(self, taps: list[Any], weights: list[Any] | None, training: bool) -> Any:
        # The result does not depend on the maximum, so no gradient needs to pass through it.
        largest = ops.stop_gradient(maximum(taps))
        shares = [ops.exp(tap - largest) for tap in taps]
        if weights is not None:
            shares = [share * weight for share, weight in zip(shares, weights, strict=True)]
        # Weights are brought to a sum of 1 before they meet the values: a sum of four values
        # near the largest float32 would overflow. Rounded weights may still pass it by a little.
        scale = 1.0 / sum(shares[1:], start=shares[0])
        mean = weighted_sum(taps, [share * scale for share in shares])
        return ops.clip(mean, -LARGEST, LARGEST)
