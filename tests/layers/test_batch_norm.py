"""Normalization by the batch against `keras.layers.BatchNormalization` itself."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet.layers.batch_norm import normalize_by_batch

SHAPE = (2, 4, 6, 6, 5)


def results(normalize, x: np.ndarray, weights: np.ndarray, spec: tuple) -> list[np.ndarray]:
    """Output, gradients of input, scale and center, and moving statistics after one step."""
    norm = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    norm.build(SHAPE)
    norm.gamma.assign(np.arange(1, 6) / 3)
    norm.beta.assign(np.arange(5) / 2)

    @tf.function(input_signature=[tf.TensorSpec(spec)])
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = normalize(norm, x)
            loss = tf.reduce_sum(y * weights)
        return [y, *tape.gradient(loss, [x, norm.gamma.value, norm.beta.value])]

    arrays = [np.array(value) for value in step(x)]
    return [*arrays, np.array(norm.moving_mean), np.array(norm.moving_variance)]


@pytest.mark.parametrize("spec", [SHAPE, (None, None, None, None, 5)])
def test_equals_keras(spec):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(SHAPE) * 2 + 1).astype("float32")
    weights = rng.standard_normal(SHAPE).astype("float32")
    ours = results(normalize_by_batch, x, weights, spec)
    theirs = results(lambda norm, x: norm(x, training=True), x, weights, spec)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
