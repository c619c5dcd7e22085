"""Temporal downsampling by keeping the frames most like their neighbours, as released."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.shapes import halved
from keras_mtnet.layers.triplet_cosine_selection import TripletCosineSelection

SHORTEST = 1e-4  # norms below this are taken for this


@keras.saving.register_keras_serializable(package="keras_mtnet")
class SimilarFrameSelection(TripletCosineSelection):
    """Keeps the `T // factor` frames most similar to the frames beside them.

    The opposite choice of `TripletCosineSelection`, and what the networks released by the paper's
    authors do: frames are compared by the squared cosine of their spatial means, the first and the
    last frame are never kept, and clips of one or two frames stay as they are. Kept frames stay in
    temporal order, ties go to the earlier frame.

    Args:
        factor: by how much the number of frames is divided, rounded down.

    Input `(N, T, H, W, C)`, output `(N, T // factor, H, W, C)`, or the input where T is below 3.

    Raises:
        ValueError: if `factor` is not a positive int or the input is not 5-D.
    """

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        n, t, *rest = input_shape
        return (n, t if t is not None and t < 3 else halved(t, self.factor), *rest)

    def _fixed_frames(self, t: int | None) -> slice | None:
        """As in `TripletCosineSelection`, but one or two frames all stay."""
        return slice(0, t) if t is not None and t < 3 else super()._fixed_frames(t)

    def _kept_frames(self, x: Any) -> Any:
        """Returns the numbers of the frames that are kept, int32 `(N, T')`, ascending."""
        t = ops.shape(x)[1]
        if isinstance(t, int):
            count = t if t < 3 else halved(t, self.factor)
        else:
            count = ops.where(t < 3, t, ops.maximum(1, t // self.factor))
        similarity = ops.square(cosines_of_means(ops.stop_gradient(x)))  # (N, T - 1)
        # The neighbour that the first and last frame lack ranks them behind all others.
        similarity = ops.pad(similarity, [[0, 0], [1, 1]], constant_values=-8.0)
        order = ops.argsort(-(similarity[:, :-1] + similarity[:, 1:]), axis=1)
        return ops.sort(ops.cast(order[:, :count], "int32"), axis=1)


def cosines_of_means(x: Any) -> Any:
    """Cosine between each frame's spatial mean and the next one's, float32 `(N, T - 1)`."""
    v = ops.mean(ops.cast(x, "float32"), axis=(2, 3))  # (N, T, C)
    norm = ops.sqrt(ops.sum(v * v, axis=-1, keepdims=True))
    v = v / ops.maximum(norm, SHORTEST)
    return ops.sum(v[:, :-1] * v[:, 1:], axis=-1)
