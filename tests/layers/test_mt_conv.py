"""MTConv against its formulas in NumPy, and against plain Conv3D."""

import keras
import numpy as np
import numpy_layers as reference
import pytest
import tensorflow as tf

from keras_mtnet.layers import MTConv


def clip(*shape, seed=0):
    """Frames that differ, so that rounding cannot change which are selected."""
    rng = np.random.default_rng(seed)
    offset = rng.normal(size=(shape[0], shape[1], 1, 1, shape[-1]))
    return (offset + rng.normal(size=shape)).astype("float32")


def random_mt_conv(shape, **arguments):
    layer = MTConv(**arguments)
    layer.build(shape)
    reference.randomize(layer)
    return layer


@pytest.mark.parametrize(
    "shape, arguments",
    [
        ((2, 8, 8, 8, 8), {}),
        ((2, 8, 6, 6, 8), {"ratio": 1 / 2, "strides": 2}),
        ((2, 8, 8, 8, 8), {"ratio": 1 / 4, "strides": (1, 2, 2)}),
        ((2, 7, 9, 5, 6), {"ratio": 1 / 2}),  # odd sizes: the lateral term is resized
        ((2, 7, 9, 5, 6), {"ratio": 1 / 2, "strides": 2}),
        ((2, 5, 7, 6, 4), {"ratio": 3 / 4, "strides": (2, 1, 3)}),
        ((2, 6, 6, 6, 8), {"kernel_size": 1}),
        ((2, 6, 6, 6, 8), {"kernel_size": 1, "strides": 2}),
        ((2, 6, 6, 6, 4), {"kernel_size": (1, 3, 3), "ratio": 1 / 2}),
        ((2, 6, 6, 6, 4), {"kernel_size": (5, 1, 2), "ratio": 1 / 2}),
        ((1, 2, 3, 3, 8), {"kernel_size": 7, "ratio": 1 / 2}),  # kernels larger than the clip
        ((2, 1, 6, 6, 8), {}),  # one frame
        ((2, 1, 6, 6, 8), {"strides": 2}),
        ((2, 6, 1, 1, 8), {}),  # frames of one place
        ((2, 1, 1, 1, 8), {"strides": 2}),
        ((2, 2, 4, 4, 4), {"ratio": 1 / 2}),
        ((2, 3, 4, 4, 4), {"ratio": 1 / 2, "strides": 2}),
        ((2, 6, 7, 8, 8), {"padding": "centered", "ratio": 1 / 2, "strides": 2}),
        ((2, 6, 7, 8, 8), {"padding": "valid", "ratio": 1 / 2, "strides": (1, 2, 3)}),
        ((2, 4, 3, 3, 8), {"padding": "valid", "ratio": 1 / 2}),
        ((2, 4, 5, 6, 8), {"padding": "valid", "kernel_size": 1, "strides": (1, 2, 2)}),
        ((2, 8, 6, 6, 8), {"pooling": "avg"}),
        ((2, 8, 6, 6, 8), {"pooling": "max"}),
        ((2, 8, 6, 6, 8), {"pooling": "stochastic"}),
        ((2, 7, 6, 6, 8), {"frame_selection": False}),
        ((2, 7, 5, 6, 8), {"frame_selection": False, "pooling": "max", "strides": 2}),
    ],
)
def test_equals_the_formulas(shape, arguments):
    layer = random_mt_conv(shape, filters=8, **arguments)
    x = clip(*shape)
    y = layer(x)
    assert tuple(y.shape) == tuple(layer.compute_output_shape(shape))
    np.testing.assert_allclose(y, reference.mt_conv(x, layer), rtol=1e-4, atol=1e-5)


def test_without_activation_the_lateral_connection_still_reads_a_relu():
    shape = (2, 6, 6, 6, 8)
    layer = random_mt_conv(shape, filters=8, ratio=1 / 2, activation=None)
    x = clip(*shape)
    y = np.array(layer(x))
    expected = reference.mt_conv(x, layer, activation=lambda x: x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    assert (y[..., :4] < 0).any() and (y[..., 4:] < 0).any()


def test_other_activations_apply_to_both_parts():
    shape = (2, 6, 6, 6, 8)
    layer = random_mt_conv(shape, filters=8, ratio=1 / 2, activation="tanh")
    x = clip(*shape)
    expected = reference.mt_conv(x, layer, activation=np.tanh)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("activation", ["relu", None])
def test_ratio_1_is_conv3d_batch_norm_activation(activation, training):
    shape = (2, 5, 6, 7, 3)
    layer = random_mt_conv(shape, filters=4, ratio=1, strides=(1, 2, 2), activation=activation)
    plain = keras.Sequential(
        [
            keras.layers.Conv3D(4, 3, (1, 2, 2), "same", use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
            keras.layers.Activation(activation or "linear"),
        ]
    )
    plain.build(shape)
    plain.set_weights(layer.get_weights())  # the same weights in the same order, and no other
    x = clip(*shape)
    y, expected = layer(x, training=training), plain(x, training=training)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(layer.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_training_normalizes_by_the_batch_and_moves_the_statistics():
    shape = (3, 6, 6, 6, 8)
    layer = random_mt_conv(shape, filters=8, ratio=1 / 2)
    x = clip(*shape)
    expected = reference.mt_conv(x, layer, training=True)
    before = reference.values(layer.local_bn.moving_mean)
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-4, atol=1e-4)
    mean = reference.conv3d(x[..., :4], layer.local_conv.kernel).mean((0, 1, 2, 3))
    moved = 0.9 * before + 0.1 * mean
    np.testing.assert_allclose(layer.local_bn.moving_mean, moved, rtol=1e-4, atol=1e-5)
    for name in ("prolonged_bn", "lateral_bn"):
        assert getattr(layer, name).moving_mean.shape == (4,)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 8), (2, 4, 7, 12, 16), (3, 9, 32, 5, 24)])
@pytest.mark.parametrize("kernel_size", [1, 3, (1, 5, 2)])
@pytest.mark.parametrize("strides", [1, 2, (1, 2, 3), (5, 1, 1)])
def test_output_shape_is_that_of_conv3d(shape, kernel_size, strides):
    plain = keras.layers.Conv3D(10, kernel_size, strides, padding="same")
    for sizes in (shape[1:4], (None, None, None)):
        asked = (None, *sizes, shape[-1])
        expected = plain.compute_output_shape(asked)
        layer = MTConv(10, kernel_size, strides, ratio=1 / 2)
        assert tuple(layer.compute_output_shape(asked)) == tuple(expected)
        assert tuple(layer(keras.Input(asked[1:])).shape) == tuple(expected)


@pytest.mark.parametrize(
    "channels, filters, ratio, local_in, local_out",
    [
        (24, 54, 7 / 8, 21, 47),
        (100, 100, 0.29, 29, 29),  # 0.29 * 100 is 28.999999999999996
        (3, 5, 1 / 2, 1, 2),  # rounded down: odd channels go to the prolonged branch
        (8, 8, 1, 8, 8),
    ],
)
def test_channel_split(channels, filters, ratio, local_in, local_out):
    layer = MTConv(filters, 3, ratio=ratio)
    layer.build((None, None, None, None, channels))
    assert tuple(layer.local_conv.kernel.shape) == (3, 3, 3, local_in, local_out)
    params = 27 * local_in * local_out + 4 * local_out
    if ratio != 1:
        small_in, small_out = channels - local_in, filters - local_out
        params += 27 * small_in * small_out + local_out * small_out + 8 * small_out
    assert layer.count_params() == params


def test_he_normal_over_the_fan_out():
    layer = MTConv(512, 3, ratio=1 / 2)
    layer.build((None, None, None, None, 16))
    deviation = np.std(reference.values(layer.local_conv.kernel))
    np.testing.assert_allclose(deviation, np.sqrt(2 / (27 * 256)), rtol=0.02)


@pytest.mark.parametrize("arguments", [{}, {"strides": 2}, {"frame_selection": False}])
def test_gradient(arguments):
    """Slopes along random directions, of the clip and of all weights, by differences in float64.

    Without an activation and with 3 frames, of which selection can keep only the middle one, the
    function is smooth but for the lateral connection's ReLU.
    """
    shape = (1, 3, 4, 4, 4)
    layer = random_mt_conv(shape, filters=4, ratio=1 / 2, activation=None, **arguments)
    rng = np.random.default_rng(3)
    x = tf.Variable(clip(*shape))
    upstream = rng.normal(size=layer.compute_output_shape(shape))
    weights = layer.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) * upstream)
    gradients = tape.gradient(loss, [x, *(w.value for w in weights)])

    def forward(x):
        return np.sum(reference.mt_conv(x, layer, activation=lambda y: y) * upstream)

    direction = rng.normal(size=shape)
    expected = reference.directional_derivative(forward, x, direction, step=1e-6)
    np.testing.assert_allclose(np.sum(gradients[0].numpy() * direction), expected, rtol=1e-3)
    for weight, gradient in zip(weights, gradients[1:], strict=True):
        direction, value, step = rng.normal(size=weight.shape), reference.values(weight), 1e-3
        losses = []
        for sign in (1, -1):
            weight.assign(value + sign * step * direction)
            losses.append(forward(x.numpy()))
        weight.assign(value)
        slope = (losses[0] - losses[1]) / (2 * step)
        np.testing.assert_allclose(
            np.sum(gradient.numpy() * direction), slope, rtol=1e-2, atol=1e-2, err_msg=weight.path
        )


@pytest.mark.parametrize("ratio", [0, 1.5, -0.5])
def test_refuses_ratios_outside(ratio):
    with pytest.raises(ValueError, match=f"ratio={ratio}"):
        MTConv(8, ratio=ratio)


def test_refuses_a_branch_without_channels():
    """floor(0.875 * 1) is 0 local channels, floor(0.25 * 3) too."""
    with pytest.raises(ValueError, match=r"ratio=0.875 splits 1 input channels"):
        MTConv(8)(clip(1, 2, 2, 2, 1))
    with pytest.raises(ValueError, match=r"ratio=0.25 splits 3 filters into 0 local"):
        MTConv(3, ratio=0.25)


def test_two_channels_with_the_default_ratio():
    """floor(0.875 * 2) is 1: both branches have a channel, and the result is right."""
    layer = random_mt_conv((2, 4, 4, 4, 2), filters=2)
    x = clip(2, 4, 4, 4, 2)
    np.testing.assert_allclose(layer(x), reference.mt_conv(x, layer), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"pooling": "median"}, "median"),
        ({"kernel_size": 0}, "kernel_size.*0"),
        ({"strides": (1, 2)}, r"strides.*\(1, 2\)"),
        ({"filters": 0}, "filters.*0"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MTConv(**{"filters": 8, **arguments})


@pytest.mark.parametrize("shape", [(2, 4, 4, 8), (2, 4, 4, 4, 4, 8)])
def test_refuses_what_is_no_clip(shape):
    with pytest.raises(ValueError, match="MTConv takes clips"):
        MTConv(8)(np.zeros(shape, "float32"))


def test_refuses_channels_first():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="channels_first"):
            MTConv(8)
    finally:
        keras.config.set_image_data_format("channels_last")
