"""SoftPool against eq. 5 in float64, window by window."""

import keras
import numpy as np
import numpy_layers as reference
import pytest
import tensorflow as tf

from keras_mtnet.layers import SoftPool

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16")


def rounding(dtype):
    """Relative error of one rounding to the compute dtype, with the float32 sums' own."""
    return 3e-6 + {"float32": 0, "float16": 2**-11, "bfloat16": 2**-8}[dtype]


@pytest.fixture
def clip():
    return np.random.default_rng(0).normal(0, 3, (2, 5, 7, 6, 3)).astype("float32")


@pytest.mark.parametrize(
    "shape, pool_size, strides, padding",
    [
        ((2, 4, 6, 6, 3), (1, 2, 2), None, "valid"),  # the networks' own
        ((2, 5, 7, 6, 3), (1, 2, 2), None, "valid"),  # odd sizes: the rest is dropped
        ((2, 5, 7, 6, 3), (2, 2, 2), None, "valid"),  # the symmetric variant
        ((2, 5, 7, 6, 3), (2, 2, 2), None, "same"),  # cut windows at the edges
        ((2, 4, 6, 8, 3), (2, 2, 2), None, "same"),
        ((2, 5, 7, 6, 3), (3, 3, 3), (1, 2, 2), "valid"),  # overlapping
        ((2, 5, 7, 6, 3), (3, 3, 3), (1, 2, 2), "same"),
        ((2, 5, 7, 6, 3), (1, 2, 3), (2, 3, 4), "valid"),  # gaps between windows
        ((2, 5, 7, 6, 3), (1, 2, 3), (2, 3, 4), "same"),
        ((1, 1, 1, 1, 4), (1, 2, 2), None, "valid"),  # axes shorter than their window
        ((1, 1, 1, 5, 4), (2, 2, 2), None, "valid"),
        ((1, 2, 3, 1, 4), (4, 4, 4), (1, 1, 1), "valid"),
        ((1, 1, 1, 5, 4), (2, 2, 2), None, "same"),
        ((1, 3, 4, 4, 1), 2, 1, "valid"),  # ints for all axes
    ],
)
def test_equals_the_formula(shape, pool_size, strides, padding):
    x = np.random.default_rng(1).normal(0, 3, shape).astype("float32")
    y = SoftPool(pool_size, strides, padding)(x)
    sizes = [p if isinstance(p, tuple) else (p,) * 3 for p in (pool_size, strides or pool_size)]
    expected = reference.pool(x, reference.soft, *sizes, padding)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_default_strides_are_the_window(clip):
    same = SoftPool((1, 2, 2), strides=(1, 2, 2))(clip)
    np.testing.assert_array_equal(SoftPool()(clip), same)


def hard_clip():
    """One (1, 1, 4, 12) channel with what breaks other forms of the formula, in 2x2 windows."""
    rows = np.zeros((4, 12))
    rows[0, 0], rows[0, 1] = 1e4, -1e4  # beside zeros, in one window
    rows[2, 0] = 1e4  # windows of their own, far from zeros elsewhere in the frame
    rows[2, 2] = -1e4
    rows[2:, 4:6] = -1e4
    rows[0:2, 6:8] = 50.0  # among zeros
    rows[0, 8] = 50.0  # in a window of zeros
    rows[2:, 8:10] = [[-120.0, -121.0], [-120.5, -119.0]]  # exp(x) alone is 0
    rows[2:, 10:] = [[90.0, 91.0], [90.5, 89.0]]  # exp(x) alone is infinite
    return rows.reshape(1, 1, 4, 12, 1)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [None, (1, 1, 1)])
def test_far_values_do_not_reach_other_windows(policy, padding, strides):
    layer = SoftPool(strides=strides, padding=padding, dtype=policy)
    x = keras.ops.cast(hard_clip(), layer.compute_dtype)  # the formula is held to what arrives
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    expected = reference.pool(
        keras.ops.cast(x, "float32"), reference.soft, (1, 2, 2), strides, padding
    )
    error = rounding(layer.compute_dtype)
    np.testing.assert_allclose(keras.ops.cast(y, "float32"), expected, rtol=error, atol=error)


LARGEST = {
    "float32": 2.0**127 * (2 - 2**-23),
    "float16": 65504.0,
    "bfloat16": 2.0**127 * (2 - 2**-7),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("pool_size", [(1, 2, 2), (2, 2, 2), (3, 3, 3), (1, 5, 7)])
def test_largest_finite_values(policy, pool_size):
    layer = SoftPool(pool_size, dtype=policy)
    largest = LARGEST[layer.compute_dtype]
    for corner in (largest, -largest, 0.0):
        x = np.full((1, 3, 5, 7, 2), largest, "float32")
        x[0, 0, 0, 0] = corner
        x[..., 1] *= -1
        y = keras.ops.cast(layer(keras.ops.cast(x, layer.compute_dtype)), "float32")
        expected = reference.pool(x, reference.soft, pool_size)
        np.testing.assert_allclose(y, expected, rtol=1e-6)


def soft_pool_gradient(x, upstream, pool_size):
    """By hand: dy/dx_i = w_i (1 + x_i - y), for windows side by side."""
    gradient = np.zeros(x.shape)
    y = reference.pool(x, reference.soft, pool_size)
    for n, i, j, k, c in np.ndindex(*y.shape):
        window = tuple(slice(a * p, (a + 1) * p) for a, p in zip((i, j, k), pool_size, strict=True))
        v = reference.values(x[(n, *window, c)])
        weights = np.exp(v - v.max())
        weights /= weights.sum()
        gradient[(n, *window, c)] = upstream[n, i, j, k, c] * weights * (1 + v - y[n, i, j, k, c])
    return gradient


@pytest.mark.parametrize("pool_size", [(1, 2, 2), (2, 2, 2)])
def test_gradient(clip, pool_size):
    upstream = np.random.default_rng(2).normal(size=SoftPool(pool_size)(clip).shape)
    with tf.GradientTape() as tape:
        x = tf.Variable(clip)
        loss = tf.reduce_sum(SoftPool(pool_size)(x) * upstream)
    expected = soft_pool_gradient(clip, upstream, pool_size)
    np.testing.assert_allclose(tape.gradient(loss, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("policy", POLICIES)
def test_gradient_is_finite_beside_far_values(policy):
    layer = SoftPool(dtype=policy)
    x = tf.Variable(tf.cast(hard_clip(), layer.compute_dtype))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.cast(layer(x), "float32"))
    gradient = tf.cast(tape.gradient(loss, x), "float32")
    expected = soft_pool_gradient(
        tf.cast(x, "float32").numpy(), np.ones((1, 1, 2, 6, 1)), (1, 2, 2)
    )
    np.testing.assert_allclose(gradient, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("policy, value", [("float32", 1e30), ("float16", 65504.0)])
def test_gradient_of_large_values(policy, value):
    window = np.array([value, value, -value, 0.0]).reshape(1, 1, 2, 2, 1)
    x = tf.Variable(tf.cast(window, policy))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(SoftPool(dtype=policy)(x))
    gradient = np.array(tape.gradient(loss, x)).ravel()
    np.testing.assert_allclose(gradient, [0.5, 0.5, 0, 0], atol=1e-3)


def test_an_integer_clip_is_pooled_as_numbers():
    x = np.arange(16, dtype="int32").reshape(1, 1, 4, 4, 1)
    expected = reference.pool(x, reference.soft, (1, 2, 2))
    np.testing.assert_allclose(SoftPool()(x), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"padding": "full"}, "full"),
        ({"pool_size": 0}, "pool_size.*0"),
        ({"pool_size": (2, 2)}, "pool_size"),
        ({"strides": (1, -1, 1)}, "strides.*-1"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SoftPool(**arguments)


@pytest.mark.parametrize("shape", [(2, 4, 4, 3), (2, 4, 4, 4, 4, 3)])
def test_refuses_what_is_no_clip(shape):
    with pytest.raises(ValueError, match="SoftPool takes clips"):
        SoftPool()(np.zeros(shape, "float32"))
