"""Parts of clips are those that NumPy's indices name, whatever the graph knows of their shape."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet.layers.shapes import cut, every_frame

CLIPS = np.random.default_rng(0).standard_normal((2, 7, 5, 4, 3)).astype("float32")
KNOWN, ANY_LENGTH, UNKNOWN = CLIPS.shape, (None, None, 5, 4, 3), (None, None, None, None, 3)


@pytest.mark.parametrize("shape", [KNOWN, ANY_LENGTH, UNKNOWN])
@pytest.mark.parametrize("step", [1, 2, 3, 8])
def test_every_frame(step, shape):
    traced = tf.function(
        lambda x: every_frame(x, step), input_signature=[tf.TensorSpec(shape)], autograph=False
    )
    np.testing.assert_array_equal(traced(CLIPS), CLIPS[:, ::step])


@pytest.mark.parametrize("shape", [KNOWN, UNKNOWN])
def test_cut(shape):
    @tf.function(input_signature=[tf.TensorSpec(shape)], autograph=False)
    def traced(x):
        return cut(x, (2, 1, 0), (3, 2, keras.ops.shape(x)[3]))

    np.testing.assert_array_equal(traced(CLIPS), CLIPS[:, 2:5, 1:3])
    with pytest.raises(tf.errors.InvalidArgumentError):
        cut(tf.constant(CLIPS), (5, 0, 0), (3, 5, 4))


def test_gradients_are_those_of_indices():
    x = tf.Variable(CLIPS)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(every_frame(cut(x, (1, 0, 0), (5, 5, 4)), 2) ** 2)
    expected = np.zeros_like(CLIPS)
    expected[:, 1:6:2] = 2 * CLIPS[:, 1:6:2]
    np.testing.assert_allclose(tape.gradient(y, x), expected)
