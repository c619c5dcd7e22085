"""SqueezeAndRecursion against eqs. 8-11 in NumPy."""

import numpy as np
import numpy_layers as reference
import pytest
import tensorflow as tf

from keras_mtnet.layers import SqueezeAndRecursion

CELLS = ("rnn", "gru", "lstm", "peephole_lstm")


def clip(*shape, seed=0):
    return np.random.default_rng(seed).normal(0.5, 1, shape).astype("float32")


def random_layer(shape, *arguments, **options):
    layer = SqueezeAndRecursion(*arguments, **options)
    layer.build(shape)
    reference.randomize(layer)
    return layer


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape", [(2, 5, 3, 4, 6), (3, 1, 1, 1, 2), (1, 40, 2, 2, 3)])
def test_equals_the_formulas(cell, shape):
    layer, x = random_layer(shape, cell), clip(*shape)
    expected = reference.squeeze_and_recursion(x, layer)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num_layers", [1, 3])
def test_number_of_layers(num_layers):
    shape = (2, 4, 3, 3, 4)
    layer, x = random_layer(shape, "gru", num_layers=num_layers), clip(*shape)
    assert len(layer.recurrences) == num_layers
    expected = reference.squeeze_and_recursion(x, layer)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "cell, params", [("rnn", 55), ("gru", 180), ("lstm", 220), ("peephole_lstm", 235)]
)
def test_weights_are_those_of_cudnn_compatible_cells(cell, params):
    """Of 5 channels, a layer: 55 = 5 (5 + 5 + 1), 180 = 15 (5 + 5 + 2), 220 = 20 (5 + 5 + 1)."""
    layer = random_layer((None, None, None, None, 5), cell)
    assert layer.count_params() == 2 * params


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_large_maps_do_not_overflow_in_the_mean(policy):
    """300 * 200 * 200 is far beyond 65504, the largest float16; the mean is 300."""
    layer = SqueezeAndRecursion("gru", dtype=policy)
    x = tf.fill([1, 2, 200, 200, 2], tf.constant(300.0, layer.compute_dtype))
    y = tf.cast(layer(x), "float32")
    small = tf.cast(layer(x[:, :, :2, :2]), "float32")
    assert np.isfinite(y).all()
    np.testing.assert_allclose(y[:, :, :2, :2], small, rtol=0.01)


@pytest.mark.parametrize("cell", CELLS)
def test_gradient(cell):
    """The slope along a random direction of the clip, by differences in float64."""
    shape = (2, 3, 2, 3, 4)
    layer, x = random_layer(shape, cell), tf.Variable(clip(*shape))
    upstream, direction = clip(*shape, seed=1), clip(*shape, seed=2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) * upstream)
    slope = np.sum(tape.gradient(loss, x).numpy() * direction)
    expected = reference.directional_derivative(
        lambda x: np.sum(reference.squeeze_and_recursion(x, layer) * upstream), x, direction
    )
    np.testing.assert_allclose(slope, expected, rtol=1e-3)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"cell": "elman"}, "elman"),
        ({"num_layers": 0}, "num_layers.*0"),
        ({"num_layers": 1.5}, r"num_layers.*1\.5"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SqueezeAndRecursion(**arguments)


def test_refuses_what_is_no_clip():
    with pytest.raises(ValueError, match="SqueezeAndRecursion takes clips"):
        SqueezeAndRecursion()(np.zeros((2, 4, 3), "float32"))
