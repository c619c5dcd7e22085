"""PeepholeLSTMCell against what TensorFlow Addons 0.23 computed (vectors/make_peephole_lstm.py)."""

from pathlib import Path

import keras
import numpy as np
import numpy_layers as reference
import pytest
import tensorflow as tf

from keras_mtnet.layers import PeepholeLSTMCell
from keras_mtnet.layers.recurrence import Recurrence

VECTORS = Path(__file__).parents[1] / "vectors" / "peephole_lstm.npz"
PEEPHOLES = [f"{gate}_gate_peephole_weights" for gate in ("input", "forget", "output")]


@pytest.fixture(scope="module")
def addons():
    with np.load(VECTORS, allow_pickle=False) as vectors:
        return dict(vectors)


def set_by_name(cell, addons):
    stored = {k.removeprefix("weight/"): v for k, v in addons.items() if k.startswith("weight/")}
    assert {weight.name for weight in cell.weights} == set(stored)
    for weight in cell.weights:
        assert np.count_nonzero(stored[weight.name]) == stored[weight.name].size
        weight.assign(stored[weight.name])


def cell_with_weights(addons, **arguments):
    cell = PeepholeLSTMCell(addons["final_output"].shape[1], **arguments)
    cell.build((None, addons["x"].shape[2]))
    set_by_name(cell, addons)
    return cell


def test_vectors_are_of_the_version_they_claim(addons):
    assert str(addons["addons"]) == "0.23.0"
    assert str(addons["tensorflow"]).startswith("2.15.")


def test_outputs_and_final_states(addons):
    layer = keras.layers.RNN(cell_with_weights(addons), return_sequences=True, return_state=True)
    sequence, output, carry = layer(addons["x"])
    np.testing.assert_allclose(sequence, addons["sequence"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(output, addons["final_output"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(carry, addons["final_carry"], rtol=0, atol=1e-5)


def test_gradients(addons):
    cell = cell_with_weights(addons)
    layer, x = keras.layers.RNN(cell, return_sequences=True), tf.constant(addons["x"])
    layer(x)  # Keras builds and traces once
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x) * addons["upstream"])
    gradients = tape.gradient(loss, [x, *(weight.value for weight in cell.weights)])
    for name, gradient in zip(["x", *(w.name for w in cell.weights)], gradients, strict=True):
        expected = addons[f"gradient/{name}"]
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_peepholes_matter(addons):
    """The vectors would tell a plain LSTM, or peepholes in another place."""
    for name in PEEPHOLES:
        cell = cell_with_weights(addons)
        getattr(cell, name).assign(np.zeros_like(addons[f"weight/{name}"]))
        sequence = keras.layers.RNN(cell, return_sequences=True)(addons["x"])
        assert np.abs(sequence - addons["sequence"]).max() > 0.01


def test_defaults_are_those_of_addons(addons):
    config = PeepholeLSTMCell(3).get_config()
    for name in ("activation", "recurrent_activation"):
        assert config[name] == str(addons[name])
    cell = PeepholeLSTMCell(3)
    cell.build((None, 2))
    np.testing.assert_array_equal(cell.bias, [0] * 3 + [1] * 3 + [0] * 6)  # unit_forget_bias


def test_weights_have_the_names_and_order_of_addons(addons):
    cell = cell_with_weights(addons)
    expected = ["kernel", "recurrent_kernel", "bias", *PEEPHOLES]
    assert [weight.name for weight in cell.weights] == expected
    assert len(cell.trainable_weights) == 6


@pytest.mark.parametrize("units, frames", [(4, 3), (4, 50)])
def test_equals_numpy_and_recurrence(units, frames):
    x = np.random.default_rng(0).normal(size=(2, frames, units)).astype("float32")
    recurrence = Recurrence("peephole_lstm")
    recurrence.build(x.shape)
    reference.randomize(recurrence)
    sequence = keras.layers.RNN(recurrence.cell, return_sequences=True)(x)
    expected = reference.recurrence(x, "peephole_lstm", recurrence.cell)
    np.testing.assert_allclose(sequence, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(recurrence(x), expected, rtol=1e-4, atol=1e-5)


def test_without_bias(addons):
    cell = PeepholeLSTMCell(5, use_bias=False)
    cell.build((None, 4))
    x = addons["x"]
    layer = keras.layers.RNN(cell, return_sequences=True)
    with_bias = PeepholeLSTMCell(5, bias_initializer="zeros", unit_forget_bias=False)
    with_bias.build((None, 4))
    kernel, inner, *peepholes = cell.get_weights()
    with_bias.set_weights([kernel, inner, np.zeros(20), *peepholes])
    expected = keras.layers.RNN(with_bias, return_sequences=True)(x)
    np.testing.assert_allclose(layer(x), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["dropout", "recurrent_dropout"])
def test_dropout_in_training_alone(addons, name):
    cell = cell_with_weights(addons, **{name: 0.5}, seed=1)
    layer, x = keras.layers.RNN(cell, return_sequences=True), addons["x"]
    np.testing.assert_allclose(layer(x, training=False), addons["sequence"], atol=1e-5)
    y = np.array(layer(x, training=True))
    assert y.shape == addons["sequence"].shape
    assert np.abs(y - addons["sequence"]).max() > 0.01


def test_keras_round_trip(addons, tmp_path):
    inputs = keras.Input(addons["x"].shape[1:])
    cell = cell_with_weights(addons)
    model = keras.Model(inputs, keras.layers.RNN(cell, return_sequences=True)(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(addons["x"]), addons["sequence"], atol=1e-5)
