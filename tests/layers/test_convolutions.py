"""The pointwise and the centered convolution."""

import keras
import numpy as np
import numpy_layers as reference
import pytest
import tensorflow as tf

from keras_mtnet.layers import DepthwiseConv3D
from keras_mtnet.layers.convolutions import CenteredConv3D, PointwiseConv3D


def clip(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("strides", [1, (1, 2, 2), 2, (3, 1, 2)])
@pytest.mark.parametrize("use_bias", [False, True])
def test_pointwise_equals_conv3d(strides, use_bias):
    x = clip(2, 5, 6, 7, 3)
    ours = PointwiseConv3D(4, strides=strides, padding="same", use_bias=use_bias, activation="relu")
    plain = keras.layers.Conv3D(4, 1, strides, "same", use_bias=use_bias, activation="relu")
    plain.build(x.shape)
    ours.build(x.shape)
    reference.randomize(plain)
    ours.set_weights(plain.get_weights())
    assert ours.compute_output_shape(x.shape) == plain.compute_output_shape(x.shape)
    np.testing.assert_allclose(ours(x), plain(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 4, 8, 20])
@pytest.mark.parametrize("strides", [1, (1, 2, 2), 2])
@pytest.mark.parametrize("filters", [3, 24])
def test_pointwise_gradient(channels, filters, strides):
    """Of the kernel, against NumPy: oneDNN's is wrong for few channels and a stride of 2."""
    x, layer = clip(4, 4, 8, 8, channels), PointwiseConv3D(filters, strides=strides)
    layer.build(x.shape)
    upstream = clip(*layer.compute_output_shape(x.shape), seed=1)
    t, h, w = layer.strides
    expected = np.einsum("nthwc,nthwd->cd", x[:, ::t, ::h, ::w].astype("float64"), upstream)
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x) * upstream)
        gradient = tape.gradient(loss, layer.kernel.value)[0, 0, 0]
        np.testing.assert_allclose(gradient, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("sizes", [(4, 8, 8), (5, 7, 9)])
@pytest.mark.parametrize("strides", [1, 2, (1, 2, 2)])
@pytest.mark.parametrize("kernel", [3, (1, 3, 3)])
def test_centered_convolution(sizes, strides, kernel):
    """Windows are centered on every stride-th position from the first: a dense result, skipped."""
    conv = CenteredConv3D(3, kernel, strides=strides, use_bias=False)
    x = clip(2, *sizes, 4)
    y = np.asarray(conv(x))
    dense = keras.layers.Conv3D(3, kernel, padding="same", use_bias=False)
    dense.build(x.shape)
    dense.kernel.assign(conv.kernel)
    t, h, w = conv.strides
    np.testing.assert_allclose(y, np.asarray(dense(x))[:, ::t, ::h, ::w], rtol=1e-4, atol=1e-5)
    assert conv.compute_output_shape(x.shape) == y.shape
    assert CenteredConv3D.from_config(conv.get_config()).padding == "same"


@pytest.mark.parametrize("frames", [4, 32])
def test_a_graph_keeps_the_frames_of_a_centered_convolution(frames):
    """TensorFlow would fuse a plain padding, and lose frames in whatever slices them later."""
    inputs = keras.Input((frames, 8, 8, 3))
    x = CenteredConv3D(4, 3, strides=(1, 2, 2), use_bias=False)(inputs)
    model = keras.Model(inputs, DepthwiseConv3D(3)(x))
    x = clip(1, frames, 8, 8, 3)
    np.testing.assert_allclose(model.predict_on_batch(x), model(x), atol=1e-5)


@pytest.mark.parametrize("channels", [3, 5, 7, 15])
def test_strided_pixels_of_few_channels(channels):
    """oneDNN's gradients of the 2-D form are wrong there, so the 3-D form is kept."""
    rng = np.random.default_rng(0)
    x, up = rng.normal(size=(2, 4, 16, 16, channels)), rng.normal(size=(2, 4, 8, 8, 6))
    kernel, found = rng.normal(size=(1, 1, 1, channels, 6)), []
    for dtype in ("float32", "float64"):
        layer = CenteredConv3D(6, 1, strides=(1, 2, 2), use_bias=False, dtype=dtype)
        layer.build(x.shape)
        layer.kernel.assign(kernel)
        with tf.GradientTape() as tape:
            y = layer(tf.cast(x, dtype))
        found.append(tape.gradient(y, layer.kernel.value, tf.cast(up, dtype)))
    np.testing.assert_allclose(*found, rtol=0, atol=1e-5 * np.abs(found[1]).max())
