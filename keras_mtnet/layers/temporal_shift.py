"""Temporal shift: some channels of every frame come from its neighbors."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.shapes import check_clip_shape, cut, sizes


@keras.saving.register_keras_serializable(package="keras_mtnet")
class TemporalShift(keras.layers.Layer):
    """Moves one share of the channels to the frame before, and one to the frame after.

    Frames beyond the ends are zeros. The other channels stay.

    Args:
        divisor: of the channels; `C // divisor` of them move each way.

    Input and output: `(N, T, H, W, C)`.

    Raises:
        ValueError: if the divisor is below 2.

    Source: Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding", ICCV 2019.

    Example:

    >>> import numpy as np
    >>> frames = np.reshape([[1.0, 2, 3, 4], [5, 6, 7, 8]], (1, 2, 1, 1, 4))
    >>> print(keras.ops.convert_to_numpy(TemporalShift(divisor=4)(frames)).reshape(2, 4))
    [[5. 0. 3. 4.]
     [0. 2. 7. 8.]]
    """

    def __init__(self, divisor: int = 8, **kwargs: Any):
        super().__init__(**kwargs)
        if divisor < 2:
            raise ValueError(f"divisor must be at least 2. Received: divisor={divisor}")
        self.divisor = divisor

    def build(self, input_shape: Sequence[int | None]) -> None:
        check_clip_shape(input_shape, type(self).__name__)
        self.built = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def call(self, x: Any) -> Any:
        share = x.shape[-1] // self.divisor
        later, earlier, still = ops.split(x, [share, 2 * share], axis=-1)
        t, h, w = sizes(x)
        ends = [[0, 0]] * 4
        later = ops.pad(cut(later, (1, 0, 0), (t - 1, h, w)), [ends[0], [0, 1], *ends[1:]])
        earlier = ops.pad(cut(earlier, (0, 0, 0), (t - 1, h, w)), [ends[0], [1, 0], *ends[1:]])
        return ops.concatenate([later, earlier, still], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "divisor": self.divisor}
