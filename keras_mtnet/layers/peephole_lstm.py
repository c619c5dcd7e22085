"""The LSTM cell with peephole connections (Gers & Schmidhuber, 2000)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mtnet")
class PeepholeLSTMCell(keras.layers.LSTMCell):
    """An LSTM cell whose gates also see the cell state, each through one weight a unit.

    The input and forget gates see the previous state, the output gate the new one. Weights, their
    order and the numerics are those of `tfa.rnn.PeepholeLSTMCell` of TensorFlow Addons 0.23:
    `kernel`, `recurrent_kernel`, `bias` (gates in the order input, forget, cell, output), then the
    peephole weights of the input, forget and output gate.

    Use it as `keras.layers.RNN(PeepholeLSTMCell(units), return_sequences=True)`. It takes the
    arguments of `keras.layers.LSTMCell`; `kernel_initializer` also draws the peephole weights.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        for gate in ("input", "forget", "output"):
            name = f"{gate}_gate_peephole_weights"
            weight = self.add_weight(
                shape=(self.units,), name=name, initializer=self.kernel_initializer
            )
            setattr(self, name, weight)

    def call(self, inputs: Any, states: Sequence[Any], training: bool = False) -> tuple[Any, list]:
        """One frame `(N, C)`: the output `(N, units)` and the new states, output and cell state."""
        output, cell = states
        input_masks = output_masks = None
        if training and 0.0 < self.dropout < 1.0:
            input_masks = self.get_dropout_mask(inputs)
        if training and 0.0 < self.recurrent_dropout < 1.0:
            output_masks = self.get_recurrent_dropout_mask(output)
        z = _product(inputs, self.kernel, input_masks)
        z = z + _product(output, self.recurrent_kernel, output_masks)
        if self.use_bias:
            z = z + self.bias
        output, cell = self.gates(z, cell)
        return output, [output, cell]

    def gates(self, z: Any, cell: Any) -> tuple[Any, Any]:
        """Applies the gates.

        Args:
            z: summed input and recurrent products with bias, `(N, 4 units)`.
            cell: previous cell state `(N, units)`.

        Returns:
            Output and new cell state, each `(N, units)`.
        """
        z_input, z_forget, z_cell, z_output = ops.split(z, 4, axis=-1)
        keep = self.recurrent_activation(z_forget + self.forget_gate_peephole_weights * cell)
        write = self.recurrent_activation(z_input + self.input_gate_peephole_weights * cell)
        cell = keep * cell + write * self.activation(z_cell)
        read = self.recurrent_activation(z_output + self.output_gate_peephole_weights * cell)
        return read * self.activation(cell), cell


def _product(x: Any, kernel: Any, masks: Any) -> Any:
    """`x @ kernel` under no dropout mask, one, or a list with one for each of the four gates."""
    if masks is None:
        return ops.matmul(x, kernel)
    if not isinstance(masks, list):
        return ops.matmul(x * masks, kernel)
    gates = ops.split(kernel, 4, axis=-1)
    parts = [ops.matmul(x * mask, gate) for mask, gate in zip(masks, gates, strict=True)]
    return ops.concatenate(parts, axis=-1)
