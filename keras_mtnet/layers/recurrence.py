"""Recurrent layers over the few frames of a feature map.

The weights are those of Keras' own cells. Unlike `keras.layers.RNN`, the input products of all
frames are one matrix product, known short sequences are unrolled without a traced loop, and the
first frame, which has no state, skips the recurrent product. The result holds no cuDNN operation,
so it compiles with XLA and exports everywhere.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.convolutions import matmul_last
from keras_mtnet.layers.peephole_lstm import PeepholeLSTMCell

# Longer sequences than this run in a loop: unrolling costs graph operations for every frame.
UNROLL_UP_TO = 32

State = tuple[Any, ...]


def _rnn_step(cell: keras.layers.SimpleRNNCell, z: Any, state: State | None, _: Any) -> State:
    if state is not None:
        z = z + ops.matmul(state[0], cell.recurrent_kernel)
    return (ops.tanh(z),)


def _gru_step(cell: keras.layers.GRUCell, z: Any, state: State | None, inner: Any) -> State:
    """Update gate, reset gate and candidate, in this order; the reset comes after the product."""
    if state is not None:
        inner = inner + ops.matmul(state[0], cell.recurrent_kernel)
    z_update, z_reset, z_new = ops.split(z, 3, axis=-1)
    inner_update, inner_reset, inner_new = ops.split(inner, 3, axis=-1)
    update = ops.sigmoid(z_update + inner_update)
    reset = ops.sigmoid(z_reset + inner_reset)
    new = ops.tanh(z_new + reset * inner_new)
    if state is None:
        return (new - update * new,)
    return (new + update * (state[0] - new),)


def _lstm_step(cell: keras.layers.LSTMCell, z: Any, state: State | None, _: Any) -> State:
    if state is not None:
        z = z + ops.matmul(state[0], cell.recurrent_kernel)
    write, keep, new, read = ops.split(z, 4, axis=-1)
    carry = ops.sigmoid(write) * ops.tanh(new)
    if state is not None:
        carry = carry + ops.sigmoid(keep) * state[1]
    return (ops.sigmoid(read) * ops.tanh(carry), carry)


def _peephole_step(cell: PeepholeLSTMCell, z: Any, state: State | None, _: Any) -> State:
    if state is None:
        return cell.gates(z, ops.zeros_like(z[..., : cell.units]))
    return cell.gates(z + ops.matmul(state[0], cell.recurrent_kernel), state[1])


# name -> (the Keras cell that holds the weights, one frame of it, how many states it carries). A
# frame of a GRU also needs the bias of its recurrence.
CELLS = {
    "rnn": (keras.layers.SimpleRNNCell, _rnn_step, 1),
    "gru": (keras.layers.GRUCell, _gru_step, 1),
    "lstm": (keras.layers.LSTMCell, _lstm_step, 2),
    "peephole_lstm": (PeepholeLSTMCell, _peephole_step, 2),
}


def _orthogonal(shape: Sequence[int], dtype: Any = None) -> Any:
    """Keras' orthogonal initializer for types that TensorFlow has no QR decomposition of."""
    return ops.cast(keras.initializers.Orthogonal()(shape, "float32"), dtype)


@keras.saving.register_keras_serializable(package="keras_mtnet")
class Recurrence(keras.layers.Layer):
    """A recurrent layer with as many units as it has inputs, returning the whole sequence.

    Args:
        cell: a key of `CELLS`.

    Input and output `(N, T, C)`.
    """

    def __init__(self, cell: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.cell_name = cell

    def build(self, input_shape: Sequence[int | None]) -> None:
        keras_cell, self._step, self._num_states = CELLS[self.cell_name]
        options = {}
        if self.variable_dtype == "bfloat16":
            options["recurrent_initializer"] = _orthogonal
        self.cell = keras_cell(
            input_shape[-1], dtype=self.dtype_policy, name=self.cell_name, **options
        )
        self.cell.build((input_shape[0], input_shape[-1]))
        self.built = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def call(self, x: Any) -> Any:
        bias, inner = ops.convert_to_tensor(self.cell.bias), None
        if self.cell_name == "gru":  # keeps (2, 3 C): one for the input, one for the recurrence
            bias, inner = ops.unstack(bias, 2)
        z = matmul_last(x, self.cell.kernel) + bias
        frames = x.shape[1]
        if frames is None or frames > UNROLL_UP_TO:
            return self._loop(z, inner)
        outputs, state = [], None
        for z_t in ops.unstack(z, frames, axis=1):
            state = self._step(self.cell, z_t, state, inner)
            outputs.append(state[0])
        return ops.stack(outputs, axis=1)

    def _loop(self, z: Any, inner: Any) -> Any:
        z = ops.transpose(z, (1, 0, 2))  # (T, N, G * C)
        frames = z.shape[0] or ops.shape(z)[0]
        places = ops.arange(frames, dtype="int32")
        start = ops.zeros_like(z[..., : self.cell.units])

        def step(t: Any, values: tuple[Any, ...]) -> tuple[Any, ...]:
            outputs, *before = values
            state = self._step(self.cell, ops.take(z, t, axis=0), tuple(before), inner)
            # A list that grows in the loop, as of `ops.scan`, is no builtin operation of LiteRT.
            here = ops.cast(places == t, outputs.dtype)[:, None, None]
            return (outputs + here * state[0], *state)

        outputs, *_ = ops.fori_loop(0, frames, step, (start, *(start[0],) * self._num_states))
        return ops.transpose(outputs, (1, 0, 2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cell": self.cell_name}
