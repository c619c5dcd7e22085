"""Temporal downsampling by keeping the frames that differ most from their neighbors (eqs. 6-7)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.numerics import at_least_float32, reciprocal
from keras_mtnet.layers.shapes import check_clip_shape, halved

SMALLEST = 1.2e-38  # normal float32


@keras.saving.register_keras_serializable(package="keras_mtnet")
class TripletCosineSelection(keras.layers.Layer):
    """Keeps the `max(1, T // factor)` frames least similar to their neighbors (eqs. 6-7).

    Frames are compared by the cosine of their spatial sums (eq. 6). A frame's score is the sum of
    its similarity to the frame before and to the frame after (eq. 7). The frames with the lowest
    scores stay, in temporal order; of equal scores the earlier frame. The first and last frame
    have one neighbor: they are kept only where there are too few others, and that neighbor then
    counts twice. Frames are copied bit for bit, and gradients flow through the kept ones only.

    Args:
        factor: by how much the number of frames is divided (rounded down, never below 1).

    Input: `(N, T, H, W, C)`. Output: `(N, max(1, T // factor), H, W, C)`.

    Raises:
        ValueError: if `factor` is not a positive int or the input is not 5-D.

    Example:

    >>> frames = [[1, 0], [1, 0], [0, 1], [1, 0], [1, 0], [1, 0]]  # the third one differs
    >>> clip = keras.ops.reshape(keras.ops.array(frames, "float32"), (1, 6, 1, 1, 2))
    >>> TripletCosineSelection(factor=6)(clip).numpy().ravel()
    array([0., 1.], dtype=float32)
    """

    def __init__(self, factor: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(factor, int) or factor < 1:
            raise ValueError(f"factor must be a positive int. Received: {factor!r}")
        self.factor = factor

    def build(self, input_shape: Sequence[int | None]) -> None:
        check_clip_shape(input_shape, type(self).__name__)
        self.built = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        n, t, *rest = input_shape
        return (n, halved(t, self.factor), *rest)

    def call(self, x: Any) -> Any:
        if self.factor == 1 or x.shape[1] == 1:
            return x
        fixed = self._fixed_frames(x.shape[1])
        if fixed is not None:  # a slice would do, but its gradient is slow
            frames = ops.split(x, x.shape[1], axis=1)[fixed]
            return frames[0] if len(frames) == 1 else ops.concatenate(frames, axis=1)
        kept = self.kept_frames(x)  # (N, T')
        # One gather of whole frames over batch and time together.
        n, t = ops.shape(x)[:2]
        rows = ops.arange(n, dtype="int32")[:, None] * t + kept
        frames = ops.take(ops.reshape(x, (-1, *ops.shape(x)[2:])), ops.reshape(rows, (-1,)), axis=0)
        return ops.reshape(frames, (-1, ops.shape(kept)[1], *ops.shape(x)[2:]))

    def _fixed_frames(self, t: int | None) -> slice | None:
        """The frames that are kept of `t`, whatever they hold, or None where it depends on them.

        Of two frames the first stays, since both have the same score; of three and four frames
        all between the first and the last.
        """
        if t is None or t < 2:
            return None
        if t == 2:
            return slice(0, 1)
        return slice(1, t - 1) if halved(t, self.factor) == t - 2 else None

    def kept_frames(self, x: Any) -> Any:
        """Numbers of the frames that are kept, int32 `(N, T')`, ascending."""
        t = ops.shape(x)[1]
        count = max(1, t // self.factor) if isinstance(t, int) else ops.maximum(1, t // self.factor)
        # The missing neighbor of the first and last frame counts as 8: with cosines in [-1, 1],
        # they rank behind all others.
        similarity = neighbor_cosines(ops.stop_gradient(x))  # (N, T - 1)
        similarity = ops.pad(similarity, [[0, 0], [1, 1]], constant_values=8.0)
        order = ops.argsort(similarity[:, :-1] + similarity[:, 1:], axis=1)  # ties: earlier first
        return ops.sort(ops.cast(order[:, :count], "int32"), axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


def neighbor_cosines(x: Any) -> Any:
    """Cosine between each frame's spatial sum and the next one's, float32 `(N, T - 1)`.

    A frame whose sums are all zero has cosine 0.
    """
    v = ops.sum(at_least_float32(x), axis=(2, 3))  # (N, T, C)
    # Scaled to a largest entry of 1, squares can neither overflow nor vanish.
    v = v * reciprocal(ops.max(ops.abs(v), axis=-1, keepdims=True, initial=SMALLEST))
    square = ops.sum(v * v, axis=-1)  # (N, T), 0 or in [1, C]
    dot = ops.sum(v[:, :-1] * v[:, 1:], axis=-1)
    # sqrt(a * a) is a exactly, so equal frames have a cosine of exactly 1 and ties are ties.
    return dot / ops.sqrt(ops.maximum(square[:, :-1] * square[:, 1:], 0.5))
