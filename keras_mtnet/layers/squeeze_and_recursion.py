"""Squeeze and recursion: a gate per frame and channel from recurrent cells (eqs. 8-11)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.recurrence import CELLS, Recurrence
from keras_mtnet.layers.shapes import check_clip_shape


@keras.saving.register_keras_serializable(package="keras_mtnet")
class SqueezeAndRecursion(keras.layers.Layer):
    """Multiplies a clip by what recurrent layers make of its spatial means (eqs. 8-11).

    The clip is averaged over rows and columns to `(N, T, C)`, passed through `num_layers`
    recurrent layers of C units, and multiplied by the result, which is the same for all positions
    of a frame.

    Args:
        cell: `"rnn"`, `"gru"`, `"lstm"` or `"peephole_lstm"` (Table VI(b)).
        num_layers: how many recurrent layers.

    Input and output: `(N, T, H, W, C)`.

    Raises:
        ValueError: for an unknown cell, `num_layers` below 1, or input that is not 5-D.

    Example:

    >>> SqueezeAndRecursion("lstm")(keras.ops.ones((1, 8, 4, 4, 24))).shape
    TensorShape([1, 8, 4, 4, 24])
    """

    def __init__(self, cell: str = "gru", num_layers: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        if cell not in CELLS:
            raise ValueError(f"cell must be one of {sorted(CELLS)}. Received: {cell!r}")
        if not isinstance(num_layers, int) or num_layers < 1:
            raise ValueError(f"num_layers must be a positive int. Received: {num_layers!r}")
        self.cell = cell
        self.num_layers = num_layers
        self.recurrences = [
            Recurrence(cell, dtype=self.dtype_policy, name=f"recurrence{i + 1}")
            for i in range(num_layers)
        ]

    def inner_layers(
        self, input_shape: Sequence[int | None]
    ) -> list[tuple[keras.layers.Layer, tuple]]:
        """The recurrent layers, with the shape of what they receive."""
        n, t, _, _, c = input_shape
        return [(layer, (n, t, c)) for layer in self.recurrences]

    def build(self, input_shape: Sequence[int | None]) -> None:
        check_clip_shape(input_shape, "SqueezeAndRecursion")
        for layer, shape in self.inner_layers(input_shape):
            layer.build(shape)
        self.built = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def call(self, x: Any) -> Any:
        gate = ops.mean(x, axis=(2, 3))  # (N, T, C)
        for recurrence in self.recurrences:
            gate = recurrence(gate)
        return x * ops.expand_dims(gate, (2, 3))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cell": self.cell, "num_layers": self.num_layers}
