"""Pooling over windows of a clip: the shared window arithmetic, and the plain operators.

`SoftPool` (soft_pool.py) is the operator the networks use; average, max and stochastic pooling are
the alternatives that Table VI(c) compares it with.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.numerics import at_least_float32
from keras_mtnet.layers.shapes import check_clip_shape, cut, triple


class WindowPooling(keras.layers.Layer):
    """Pools each channel over windows of frames, rows and columns; subclasses say how.

    An axis shorter than its window is pooled over what there is, so a length of 1 stays 1.

    Args:
        pool_size: window as int or (frames, height, width).
        strides: steps between windows, int or three; `pool_size` when None.
        padding: `"valid"` (whole windows only) or `"same"` (windows over the edge use what there
            is of them).
    """

    def __init__(
        self,
        pool_size: int | Sequence[int] = (1, 2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.pool_size = triple(pool_size, "pool_size")
        self.strides = self.pool_size if strides is None else triple(strides, "strides")
        if padding not in ("valid", "same"):
            raise ValueError(f"padding must be 'valid' or 'same'. Received: {padding!r}")
        self.padding = padding

    def build(self, input_shape: Sequence[int | None]) -> None:
        check_clip_shape(input_shape, type(self).__name__)
        self.built = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        n, *sizes, c = input_shape
        return (n, *(None if s is None else self._length(s, i) for i, s in enumerate(sizes)), c)

    def call(self, x: Any, training: bool = False) -> Any:
        x = at_least_float32(x)
        y = self._reduce(*self._windows(x), training=training)
        return ops.cast(self._unfold(y, x), self.compute_dtype)

    def _reduce(self, taps: list[Any], weights: list[Any] | None, training: bool) -> Any:
        """Reduces the windows: a tensor `(N, T', H', W', C)` for each place in the window.

        Places that fall outside the clip repeat a value of the same window; the weights,
        broadcastable to the taps, are 1 inside and 0 there, and None when every place is inside.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }

    def _length(self, size: Any, axis: int) -> Any:
        """Windows along an axis; `size` is an int, or a tensor in a graph of unknown shape."""
        pool, stride = self.pool_size[axis], self.strides[axis]
        if self.padding == "same":
            return -(-size // stride)
        windows = (size - pool) // stride + 1
        return max(1, windows) if isinstance(size, int) else ops.maximum(1, windows)

    def _windows(self, x: Any) -> tuple[list[Any], list[Any] | None]:
        if self._tiles(x.shape[1:4]):
            return self._tiled_taps(x), None
        return self._gathered_taps(x)

    def _tiles(self, sizes: Sequence[int | None]) -> bool:
        """Whether the windows lie side by side, whole, on axes of known length.

        Only axes before the first pooled one may be unknown: reshaping folds them into one.
        """
        first = self._first_pooled()
        return self.strides == self.pool_size and all(
            s is not None and (self.padding == "valid" or s % p == 0)
            for s, p in zip(sizes[first:], self.pool_size[first:], strict=True)
        )

    def _first_pooled(self) -> int:
        """The first of frames, rows, columns (0, 1, 2) that is pooled; 3 if none is."""
        return next((i for i, p in enumerate(self.pool_size) if p > 1), 3)

    def _tiled_taps(self, x: Any) -> list[Any]:
        """Splits side-by-side windows by reshaping, which copies nothing, and unstacking.

        Axes before the one being split are folded into the first. Columns are split on the channel
        axis, so that every piece copied is a long run of memory; strided slices of the same tensor
        took eight times as long. The taps keep the folded shape.
        """
        c, pools, whole = x.shape[4], *self._tiling(x)
        if whole != list(x.shape[1:4]):
            x = cut(x, (0, 0, 0), whole)
        (pt, ph, pw), (_, h, w) = pools, whole
        columns = (w // pw, pw * c)
        taps = [x]
        if pt > 1:
            taps = ops.unstack(ops.reshape(x, (-1, pt, h, w, c)), pt, axis=1)
        if ph > 1:
            taps = [ops.unstack(ops.reshape(tap, (-1, ph, *columns)), ph, axis=1) for tap in taps]
            taps = [row for rows in taps for row in rows]
        if pw > 1:
            taps = [tap if ph > 1 else ops.reshape(tap, (-1, *columns)) for tap in taps]
            taps = [part for tap in taps for part in ops.split(tap, pw, axis=-1)]
        return taps

    def _join_taps(self, taps: list[Any], x: Any) -> Any:
        """The clip, shaped as `x`, that `_tiled_taps` splits into `taps`; zeros where it cuts."""
        c, (pt, ph, pw), whole = x.shape[4], *self._tiling(x)
        whole = [ops.shape(x)[i + 1] if s is None else s for i, s in enumerate(whole)]
        if pw > 1:
            taps = [ops.concatenate(taps[i : i + pw], axis=-1) for i in range(0, len(taps), pw)]
        if ph > 1:
            taps = [ops.stack(taps[i : i + ph], axis=1) for i in range(0, len(taps), ph)]
        if pt > 1:
            taps = [ops.stack([ops.reshape(tap, (-1, *whole[1:], c)) for tap in taps], axis=1)]
        y = ops.reshape(taps[0], (-1, *whole, c))
        ends = [[0, 0 if s is None else s - w] for s, w in zip(x.shape[1:4], whole, strict=True)]
        return ops.pad(y, [[0, 0], *ends, [0, 0]]) if any(end for _, end in ends) else y

    def _tiling(self, x: Any) -> tuple[list[int], list[int | None]]:
        """Sizes of the windows, and those of the clip without what is cut off at its end."""
        sizes = x.shape[1:4]
        pools = [min(p, s or p) for p, s in zip(self.pool_size, sizes, strict=True)]
        return pools, [s if p == 1 else s // p * p for s, p in zip(sizes, pools, strict=True)]

    def _unfold(self, y: Any, x: Any) -> Any:
        """Gives a result of folded shape its five axes back: (N, T', H', W', C)."""
        if len(y.shape) == 5:
            return y
        first = 1 + self._first_pooled()
        unknown = None in x.shape[1:first]
        lead = ops.shape(x)[:first] if unknown else (-1, *x.shape[1:first])
        return ops.reshape(y, (*lead, *self.compute_output_shape(x.shape)[first:]))

    def _gathered_taps(self, x: Any) -> tuple[list[Any], list[Any]]:
        """Picks by index: for windows that overlap or are cut, or axes of unknown length."""
        taps, weights = [x], [1.0]
        for axis in range(3):
            pool, stride = self.pool_size[axis], self.strides[axis]
            if pool == stride == 1:
                continue
            size = x.shape[axis + 1]
            size = ops.shape(x)[axis + 1] if size is None else size
            windows = self._length(size, axis)
            before = 0
            if self.padding == "same":
                before = ops.maximum((windows - 1) * stride + pool - size, 0) // 2
            starts = ops.arange(windows, dtype="int32") * stride - before
            places = [starts + offset for offset in range(pool)]
            inside = [
                ops.reshape(
                    ops.cast((p >= 0) & (p < size), x.dtype),
                    [-1 if a == axis else 1 for a in range(4)],
                )
                for p in places
            ]
            places = [ops.clip(p, 0, size - 1) for p in places]
            taps = [ops.take(tap, p, axis=axis + 1) for tap in taps for p in places]
            weights = [weight * i for weight in weights for i in inside]
        return taps, weights


@keras.saving.register_keras_serializable(package="keras_mtnet")
class AveragePool(WindowPooling):
    """Mean of each window (Table VI(c))."""

    def _reduce(self, taps: list[Any], weights: list[Any] | None, training: bool) -> Any:
        if weights is None:
            return total(taps) / len(taps)
        return weighted_sum(taps, weights) / sum(weights)


@keras.saving.register_keras_serializable(package="keras_mtnet")
class MaxPool(WindowPooling):
    """Maximum of each window (Table VI(c))."""

    def _reduce(self, taps: list[Any], weights: list[Any] | None, training: bool) -> Any:
        return maximum(taps)  # places outside repeat a value of the same window


@keras.saving.register_keras_serializable(package="keras_mtnet")
class StochasticPool(WindowPooling):
    """Stochastic pooling (Zeiler & Fergus, 2013; Table VI(c)).

    In training one value of each window is drawn with probability in proportion to its positive
    part (evenly where no value is positive); in inference the values are averaged with those
    probabilities.

    Args:
        seed: int, or None for one drawn from Keras' global seed.
    """

    def __init__(self, *args: Any, seed: int | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def _reduce(self, taps: list[Any], weights: list[Any] | None, training: bool) -> Any:
        weights = [1.0] * len(taps) if weights is None else weights
        shares = [ops.relu(tap) * weight for tap, weight in zip(taps, weights, strict=True)]
        total = sum(shares)
        none = total <= 0
        shares = [
            ops.where(none, weight, share) for share, weight in zip(shares, weights, strict=True)
        ]
        total = ops.where(none, sum(weights), total)
        if not training:
            return weighted_sum(taps, shares) / total
        # The drawn place is the last one whose cumulative share does not pass the threshold.
        threshold = (
            keras.random.uniform(ops.shape(total), dtype=total.dtype, seed=self.seed_generator)
            * total
        )
        chosen, cumulative = taps[0], shares[0]
        for tap, share in zip(taps[1:], shares[1:], strict=True):
            chosen = ops.where((share > 0) & (cumulative <= threshold), tap, chosen)
            cumulative = cumulative + share
        return chosen

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def maximum(taps: Sequence[Any]) -> Any:
    """Largest value over the places of each window."""
    largest = taps[0]
    for tap in taps[1:]:
        largest = ops.maximum(largest, tap)
    return largest


def total(taps: Sequence[Any]) -> Any:
    """Sum over the places of each window."""
    return sum(taps[1:], start=taps[0])


def weighted_sum(taps: Sequence[Any], weights: Sequence[Any]) -> Any:
    """Sum over the places of each window of value times weight."""
    return total([tap * weight for tap, weight in zip(taps, weights, strict=True)])
