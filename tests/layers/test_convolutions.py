"""The pointwise and the temporal depthwise convolution."""

import keras
import numpy as np
import numpy_layers as reference
import pytest
import tensorflow as tf

from keras_mtnet.layers.convolutions import CenteredConv3D, PointwiseConv3D, TemporalDepthwiseConv3D


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


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("frames", [1, 2, 5, 8])
def test_temporal_depthwise_is_a_convolution_of_each_channel(frames, kernel_size):
    x = clip(2, frames, 3, 4, 6)
    layer = TemporalDepthwiseConv3D(kernel_size)
    layer.build(x.shape)
    reference.randomize(layer)
    kernel = reference.values(layer.kernel)
    assert kernel.size == kernel_size * 6  # one kernel a channel and no bias
    kernel = kernel.reshape(kernel_size, 6)
    expected = np.empty(x.shape)
    for n, h, w, c in np.ndindex(2, 3, 4, 6):
        # np.convolve flips its kernel, a convolution layer does not
        line = np.convolve(x[n, :, h, w, c].astype("float64"), kernel[::-1, c], "full")
        expected[n, :, h, w, c] = line[kernel_size // 2 :][:frames]
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_temporal_depthwise_gradient():
    """Slopes along random directions, of the clip and of the kernel, by differences in float64."""
    x, layer = clip(2, 5, 3, 3, 4), TemporalDepthwiseConv3D(5)
    layer.build(x.shape)
    reference.randomize(layer)
    upstream, variable = clip(*x.shape, seed=1), tf.Variable(x)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(variable) * upstream)
    by_clip, by_kernel = tape.gradient(loss, [variable, layer.kernel.value])

    def forward(x, kernel):
        kernel = np.stack([np.diag(row) for row in kernel.reshape(5, 4)])[:, None, None]
        return np.sum(reference.conv3d(x, kernel) * upstream)

    kernel = reference.values(layer.kernel)
    along_x, along_kernel = clip(*x.shape, seed=2), clip(*kernel.shape, seed=3)
    slope = reference.directional_derivative(lambda x: forward(x, kernel), x, along_x)
    np.testing.assert_allclose(np.sum(by_clip.numpy() * along_x), slope, rtol=1e-4)
    slope = reference.directional_derivative(lambda k: forward(x, k), kernel, along_kernel)
    np.testing.assert_allclose(np.sum(by_kernel.numpy() * along_kernel), slope, rtol=1e-4)


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
