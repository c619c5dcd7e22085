"""SoftPool: pooling by the softmax of the values themselves (eq. 5)."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.window_pooling import WindowPooling, maximum, weighted_sum

# exp(-104) is 0 in float32: a value further below the maximum of its window has no share in it.
FURTHEST = -104.0


@keras.saving.register_keras_serializable(package="keras_mtnet")
class SoftPool(WindowPooling):
    """Pools each window to the average of its values weighted by their exponentials (eq. 5).

    For a window R of one channel: `y = sum_i w_i x_i` with `w_i = exp(x_i) / sum_j exp(x_j)`.
    Values and exponents are taken in float32 and relative to the maximum of their own window, so
    the result is finite and right for any finite float16, bfloat16 or float32 input, whatever
    stands elsewhere.

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

    def pool(self, taps: list[Any], weights: list[Any], training: bool) -> Any:
        # The result does not depend on the maximum, so no gradient needs to pass through it.
        largest = ops.stop_gradient(maximum(taps))
        below = [ops.maximum(tap - largest, FURTHEST) for tap in taps]
        shares = [ops.exp(d) * weight for d, weight in zip(below, weights, strict=True)]
        return largest + weighted_sum(below, shares) / sum(shares[1:], start=shares[0])

    def _tile(self, sizes: Sequence[int | None]) -> tuple[int, int, int] | None:
        return super()._tile(sizes) if self.pool_size[0] == 1 else None

    def pool_tiles(self, x: Any, window: tuple[int, int, int]) -> Any:
        _, t, *sizes, c = x.shape
        window = window[1:]
        whole = [size // pool * pool for size, pool in zip(sizes, window, strict=True)]
        if whole != sizes:
            x = x[:, :, : whole[0], : whole[1]]
        lead = ops.shape(x)[:2] if t is None else (-1, t)
        y = _soft_pool_images(ops.reshape(x, (-1, *whole, c)), window)
        return ops.reshape(y, (*lead, *y.shape[1:]))


def _soft_pool_images(x: Any, window: tuple[int, int]) -> Any:
    """SoftPool of side-by-side windows: `(M, H, W, C)` to `(M, H / h, W / w, C)`.

    Written with the backend's own pooling, and with a gradient of its own: both take half the
    operations of the same formula on the separate places of the windows.
    """
    sizes, places = x.shape[1:3], math.prod(window)

    def spread(y: Any) -> Any:
        return ops.image.resize(y, sizes, interpolation="nearest", data_format="channels_last")

    @ops.custom_gradient
    def soft_pool(x: Any) -> Any:
        largest = ops.max_pool(x, window, window)
        below = ops.maximum(x - spread(largest), FURTHEST)
        share = ops.exp(below)
        total = ops.average_pool(share, window, window)
        mean = ops.average_pool(share * below, window, window) / total  # relative to the largest

        def gradient(*args: Any, upstream: Any = None) -> Any:
            # dy / dx_i = w_i (1 + x_i - y), with w_i = share_i / (places * total)
            upstream = (args if upstream is None else upstream)[0]
            factor = upstream / (places * total)
            return share * (spread(factor) * (1.0 + below) - spread(factor * mean))

        return largest + mean, gradient

    return soft_pool(x)
