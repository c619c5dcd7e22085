"""The frames that the slow pathway of SlowFast sees."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.shapes import strided


@keras.saving.register_keras_serializable(package="keras_mtnet")
class SlowFrames(keras.layers.Layer):
    """Takes one of every `speed` frames, evenly spread from the first to the last.

    So PySlowFast and pytorchvideo pick them; the first of every `speed` would be other frames.

    Args:
        speed: frames of the clip for each that is taken.

    Input: `(N, T, H, W, C)`. Output: `(N, T/speed, H, W, C)`, rounded up.

    Example:

    >>> import numpy as np
    >>> clip = np.arange(32.0).reshape(1, 32, 1, 1, 1)
    >>> np.ravel(SlowFrames(4)(clip)).astype(int).tolist()
    [0, 4, 8, 13, 17, 22, 26, 31]
    """

    def __init__(self, speed: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.speed = speed

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        n, t, *rest = input_shape
        return (n, strided(t, self.speed), *rest)

    def call(self, x: Any) -> Any:
        t = ops.shape(x)[1]
        taken = strided(t, self.speed)
        steps = max(1, taken - 1) if isinstance(taken, int) else ops.maximum(1, taken - 1)
        return ops.take(x, ops.arange(taken) * (t - 1) // steps, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "speed": self.speed}
