"""From a stem's feature map to the two streams of the released networks."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.mt_conv import split_channels
from keras_mtnet.layers.shapes import check_clip_shape
from keras_mtnet.layers.similar_frame_selection import SimilarFrameSelection
from keras_mtnet.layers.window_pooling import AveragePool

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="keras_mtnet")
class TwoStreamEntry(keras.layers.Layer):
    """Pools a stem's result and splits its channels into a local and a prolonged stream.

    Each frame is max-pooled 3x3 with stride 2, and the frames most like their neighbours are kept.
    The local stream is the first `ratio` of the channels; the prolonged stream is the rest,
    average-pooled 2x2, with half its frames kept again.

    Args:
        ratio: share of the channels in the local stream.

    Input `(N, T, H, W, C)` of values that are not negative, as a ReLU leaves them. Output: local
    `(N, T', H', W', floor(ratio * C))` and prolonged `(N, T'', H' // 2, W' // 2, the rest)`.

    Raises:
        ValueError: as `split_channels` does, or for input that is not 5-D.
    """

    def __init__(self, ratio: float = 7 / 8, **kwargs: Any):
        super().__init__(**kwargs)
        self.ratio = ratio
        self.pool = AveragePool((1, 2, 2), dtype=self.dtype_policy, name="pool")
        self.selection = SimilarFrameSelection(dtype=self.dtype_policy, name="selection")

    def build(self, input_shape: Sequence[int | None]) -> None:
        check_clip_shape(input_shape, "TwoStreamEntry")
        self.local_channels, _ = split_channels(input_shape[-1], self.ratio, "stem filters")
        self.built = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> list[Shape]:
        n, t, h, w, c = input_shape
        if h is None or w is None:  # rounding looks at both
            h = w = None
        else:
            odd = h % 2 or w % 2
            h, w = (h + odd + 1) // 2, (w + odd + 1) // 2
        local, prolonged = split_channels(c, self.ratio, "stem filters")
        pooled = self.selection.compute_output_shape((n, t, h, w, c))
        small = self.pool.compute_output_shape((*pooled[:-1], prolonged))
        return [(*pooled[:-1], local), self.selection.compute_output_shape(small)]

    def call(self, x: Any) -> list[Any]:
        x = self.selection(_max_pool(x))
        local, prolonged = ops.split(x, [self.local_channels], axis=-1)
        return [local, self.selection(self.pool(prolonged))]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ratio": self.ratio}


def _max_pool(x: Any) -> Any:
    """Max pooling 3x3, stride 2, of each frame: windows start one row and column outside.

    Where rows or columns are odd in number, they start two outside, on both axes: the released
    networks repeat the first row and column there, which changes no maximum of its window.
    """
    _, t, h, w, c = ops.shape(x)
    x = ops.reshape(x, (-1, h, w, c))
    if isinstance(h, int) and isinstance(w, int):
        before = 2 if h % 2 or w % 2 else 1
        x = ops.pad(x, [[0, 0], [before, 1], [before, 1], [0, 0]])
    else:
        skip = (h + 1) % 2 * ((w + 1) % 2)  # 1 where both are even
        x = ops.pad(x, [[0, 0], [2, 1], [2, 1], [0, 0]])[:, skip:, skip:]
    x = ops.max_pool(x, 3, 2, padding="valid")
    return ops.reshape(x, (-1, t, *ops.shape(x)[1:]))
