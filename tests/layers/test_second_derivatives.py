"""Gradients of gradients are those of the function, by differences in float64, or refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from layer_cases import SHAPE, make

from keras_mtnet.layers.batch_norm import normalize_by_batch

# Whatever has a gradient of its own inside: normalization, soft pooling, resizing, remat.
NAMES = ("soft_pool", "soft_pool_overlapping", "mt_conv", "mt_conv_plain", "mt_block")


def clip(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(*SHAPE[:2], 1, 1, SHAPE[-1])) + rng.normal(size=SHAPE)
    return tf.constant(x, dtype)


def penalty(layer, x, variables):
    """Squares of the gradients of a smooth loss, summed."""
    with tf.GradientTape() as tape:
        tape.watch([x, *variables])
        y = tf.reduce_sum(tf.sin(layer(x, training=True)))
    gradients = tape.gradient(y, [x, *variables])
    return tf.add_n([tf.reduce_sum(each**2) for each in gradients if each is not None])


def second(layer, x, compiled=False):
    """The penalty and its gradients by clip and weights."""
    variables = [variable.value for variable in layer.trainable_variables]

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch([x, *variables])
            value = penalty(layer, x, variables)
        return tape.gradient(value, [x, *variables], unconnected_gradients="zero")

    return (tf.function(run) if compiled else run)(x)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("name", NAMES)
def test_equals_differences(name, compiled):
    layer, x = make(name, dtype="float64"), clip("float64")
    direction = tf.constant(np.random.default_rng(1).normal(size=SHAPE))
    variables = [variable.value for variable in layer.trainable_variables]
    up, down = (penalty(layer, x + sign * 1e-6 * direction, variables) for sign in (1, -1))
    slope = tf.reduce_sum(second(layer, x, compiled)[0] * direction)
    np.testing.assert_allclose(slope, (up - down) / 2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_float32_equals_float64(name):
    """They take other forms: frames are resized by an operation for images in float32."""
    layer, exact = make(name), make(name, dtype="float64")
    for ours, wanted in zip(
        second(layer, clip("float32")), second(exact, clip("float64")), strict=True
    ):
        np.testing.assert_allclose(ours, wanted, atol=2e-4 * np.abs(wanted).max())


def test_equals_keras_batch_normalization():
    x, bn = clip("float64"), keras.layers.BatchNormalization(epsilon=1e-5, dtype="float64")
    bn.build(SHAPE)
    bn.gamma.assign(np.linspace(0.5, 2, SHAPE[-1]))
    theirs = second(bn, x)
    bn.call = lambda x, training, mask=None: normalize_by_batch(bn, x)
    for ours, wanted in zip(second(bn, x), theirs, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_remat_is_right_or_refused(compiled):
    layer, kept = (make("mt_block", dtype="float64") for _ in range(2))
    layer.remat, x = True, clip("float64")
    try:
        found = second(layer, x, compiled)
    except NotImplementedError as error:
        assert "recompute_grad" in str(error)
        return
    for ours, wanted in zip(found, second(kept, x), strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-9 * max(1, np.abs(wanted).max()))
