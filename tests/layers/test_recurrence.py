"""Recurrence against NumPy and against Keras' own recurrent layers with the same weights."""

import keras
import numpy as np
import numpy_layers as reference
import pytest
import tensorflow as tf

from keras_mtnet.layers import PeepholeLSTMCell
from keras_mtnet.layers.recurrence import Recurrence

CHANNELS = 4
KERAS_LAYERS = {
    "rnn": lambda: keras.layers.SimpleRNN(CHANNELS, return_sequences=True),
    "gru": lambda: keras.layers.GRU(CHANNELS, return_sequences=True, reset_after=True),
    "lstm": lambda: keras.layers.LSTM(CHANNELS, return_sequences=True),
    "peephole_lstm": lambda: keras.layers.RNN(PeepholeLSTMCell(CHANNELS), return_sequences=True),
}


def sequence(frames, batch=3):
    rng = np.random.default_rng(frames)
    return rng.normal(size=(batch, frames, CHANNELS)).astype("float32")


def random_recurrence(cell):
    layer = Recurrence(cell)
    layer.build((None, None, CHANNELS))
    reference.randomize(layer)
    return layer


@pytest.mark.parametrize("frames", [1, 2, 7, 60])
@pytest.mark.parametrize("cell", KERAS_LAYERS)
def test_equals_keras_and_numpy(cell, frames):
    layer, theirs, x = random_recurrence(cell), KERAS_LAYERS[cell](), sequence(frames)
    theirs.build(x.shape)
    theirs.set_weights(layer.get_weights())
    y = layer(x)
    np.testing.assert_allclose(y, theirs(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y, reference.recurrence(x, cell, layer.cell), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", KERAS_LAYERS)
def test_unknown_length(cell):
    layer = random_recurrence(cell)
    inputs = keras.Input((None, CHANNELS))
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, CHANNELS)
    for frames in (1, 5, 40):
        x = sequence(frames)
        expected = reference.recurrence(x, cell, layer.cell)
        np.testing.assert_allclose(model.predict_on_batch(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frames", [4, 40])
@pytest.mark.parametrize("cell", KERAS_LAYERS)
def test_gradients_equal_those_of_keras(cell, frames):
    layer, theirs = random_recurrence(cell), KERAS_LAYERS[cell]()
    x = tf.constant(sequence(frames))
    theirs.build(x.shape)
    theirs.set_weights(layer.get_weights())
    upstream = np.random.default_rng(0).normal(size=x.shape).astype("float32")
    gradients = []
    for recurrent in (layer, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(recurrent(x) * upstream)
        gradients.append(tape.gradient(loss, [x, *(w.value for w in recurrent.weights)]))
    for ours, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)


def test_the_future_is_not_seen():
    layer, x = random_recurrence("gru"), sequence(8)
    later = x.copy()
    later[:, 5:] += 1
    np.testing.assert_array_equal(np.array(layer(x))[:, :5], np.array(layer(later))[:, :5])
