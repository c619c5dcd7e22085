"""Layers that keep no activations learn the same as those that do."""

import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet.layers import MTBlock, MTConv
from keras_mtnet.models.released_mtnet import TwoStreamMTBlock

SHAPE = (3, 4, 8, 8, 8)
CASES = {
    "block": (MTBlock, {"ratio": 1 / 2}),
    "half": (MTBlock, {"ratio": 1 / 2, "dtype": "mixed_bfloat16"}),
    "random_pooling": (MTBlock, {"ratio": 1 / 2, "pooling": "stochastic"}),
    "two_streams": (TwoStreamMTBlock, {"ratio": 1 / 2}),
}


def learn(kind, options, remat, compiled):
    """One step of each of two batches: losses, gradients and what the layer holds at the end."""
    keras.utils.set_random_seed(0)
    block = kind(6, strides=(1, 2, 2), remat=remat, **options)
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(size=(2, *SHAPE)), block.compute_dtype)

    def step(x):
        if kind is TwoStreamMTBlock:
            x = [x[..., :4], x[:, ::2, ::2, ::2, 4:]]
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = keras.tree.flatten(block(x, training=True))
            loss = sum(tf.reduce_mean(tf.cast(each, "float32") ** 2) for each in y)
        values = [variable.value for variable in block.trainable_variables]
        return loss, tape.gradient(loss, [*keras.tree.flatten(x), *values])

    run = tf.function(step) if compiled else step
    if kind is TwoStreamMTBlock:
        block.build([(None, 4, 8, 8, 4), (None, 2, 4, 4, 4)])
    else:
        block.build(SHAPE)
    found = [run(x) for x in inputs]
    return found, [keras.ops.convert_to_numpy(variable) for variable in block.variables]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("case", CASES)
def test_learns_the_same(case, compiled):
    kind, options = CASES[case]
    (kept, state), (again, same_state) = (
        learn(kind, options, remat, compiled) for remat in (False, True)
    )
    tolerance = 2e-2 if case == "half" else 1e-5
    for (loss, gradients), (same_loss, same_gradients) in zip(kept, again, strict=True):
        np.testing.assert_allclose(loss, same_loss, rtol=1e-5)
        for gradient, same in zip(gradients, same_gradients, strict=True):
            assert gradient.dtype == same.dtype
            gradient, same = (tf.cast(each, "float32") for each in (gradient, same))
            np.testing.assert_allclose(
                same, gradient, atol=tolerance * float(tf.reduce_max(tf.abs(gradient)))
            )
    for value, same in zip(state, same_state, strict=True):  # moving statistics, seeds
        np.testing.assert_allclose(value, same, rtol=1e-5, atol=1e-6)


def test_nothing_is_computed_twice_without_a_gradient():
    blocks = [MTBlock(6, ratio=1 / 2, remat=remat) for remat in (False, True)]
    x = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    for block in blocks:
        block.build(SHAPE)
    blocks[1].set_weights(blocks[0].get_weights())
    np.testing.assert_array_equal(*(block(x) for block in blocks))


def test_keeps_no_activations(monkeypatch):
    """What a step needs lasts from its forward to its backward half."""
    made = []
    call = MTConv._branches

    def watched(self, *arguments):
        parts = call(self, *arguments)
        made.extend(weakref.ref(part) for part in parts)
        return parts

    monkeypatch.setattr(MTConv, "_branches", watched)
    alive = {}
    for remat in (False, True):
        block = MTBlock(6, ratio=1 / 2, remat=remat)
        made.clear()
        with tf.GradientTape() as tape:
            y = block(tf.ones(SHAPE), training=True)
        assert len(made) == 8  # of four convolutions
        alive[remat] = sum(each() is not None for each in made)
        assert tape.gradient(y, block.trainable_variables[0].value) is not None
    assert alive[False] >= 6 and alive[True] == 0
