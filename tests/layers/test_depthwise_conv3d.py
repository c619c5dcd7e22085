"""DepthwiseConv3D against the sum written out in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet.layers.depthwise_conv3d import DepthwiseConv3D


def direct(x: np.ndarray, kernel: np.ndarray, strides: tuple[int, int, int]) -> np.ndarray:
    """Convolution with zeros of half the kernel around the clip, in float64."""
    sides = [(size // 2, size // 2) for size in kernel.shape[:3]]
    x = np.pad(x.astype("float64"), [(0, 0), *sides, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:3], (1, 2, 3))
    windows = windows[:, :: strides[0], :: strides[1], :: strides[2]]
    return np.einsum("nthwcijk,ijkc->nthwc", windows, kernel[..., 0].astype("float64"))


@pytest.mark.parametrize("frames", (1, 2, 5, 8))
@pytest.mark.parametrize("kernel", ((3, 3, 3), (5, 1, 1), (1, 3, 3)))
@pytest.mark.parametrize("strides", ((1, 1, 1), (1, 2, 2), (2, 2, 2)))
def test_equals_the_written_out_sum(kernel, strides, frames):
    x = np.random.default_rng(0).normal(size=(2, frames, 7, 6, 4)).astype("float32")
    layer = DepthwiseConv3D(kernel, strides)
    y = keras.ops.convert_to_numpy(layer(x))
    expected = direct(x, keras.ops.convert_to_numpy(layer.kernel), strides)
    assert y.shape == expected.shape == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("kernel", ((3, 3, 3), (5, 1, 1)))
def test_bias(kernel):
    x = np.random.default_rng(0).normal(size=(1, 4, 5, 6, 3)).astype("float32")
    layer = DepthwiseConv3D(kernel, use_bias=True)
    layer.build(x.shape)
    layer.bias.assign([1.0, -2.0, 3.0])
    y = keras.ops.convert_to_numpy(layer(x)) - np.array([1, -2, 3])
    expected = direct(x, keras.ops.convert_to_numpy(layer.kernel), (1, 1, 1))
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_any_number_of_frames_and_pixels():
    inputs = keras.Input((None, None, None, 3))
    model = keras.Model(inputs, DepthwiseConv3D(3, 2, name="conv")(inputs))
    kernel = keras.ops.convert_to_numpy(model.get_layer("conv").kernel)
    for shape in ((1, 4, 6, 8, 3), (2, 3, 5, 5, 3)):
        x = np.random.default_rng(1).normal(size=shape).astype("float32")
        np.testing.assert_allclose(
            model.predict(x, verbose=0), direct(x, kernel, (2, 2, 2)), atol=1e-5
        )


@pytest.mark.parametrize(("kernel", "strides"), [((5, 1, 1), 1), ((3, 3, 3), (2, 2, 2))])
def test_gradients(kernel, strides):
    """Slopes along random directions: the layer is linear in its clip and in its kernel."""
    rng = np.random.default_rng(0)
    layer = DepthwiseConv3D(kernel, strides)
    x = rng.normal(size=(2, 5, 4, 3, 4)).astype("float32")
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        y = layer(variable)
        upstream = rng.normal(size=y.shape).astype("float32")
        loss = tf.reduce_sum(y * upstream)
    by_clip, by_kernel = tape.gradient(loss, [variable, layer.kernel.value])
    weights = keras.ops.convert_to_numpy(layer.kernel)
    for gradient, along, change in (
        (by_clip, rng.normal(size=x.shape), lambda d: direct(d, weights, layer.strides)),
        (by_kernel, rng.normal(size=weights.shape), lambda d: direct(x, d, layer.strides)),
    ):
        slope = np.sum(change(along) * upstream)
        np.testing.assert_allclose(np.sum(gradient.numpy() * along), slope, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"kernel_size": 2}, "odd"), ({"strides": (1, 2, 1)}, "alike")],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        DepthwiseConv3D(**arguments)


def test_comes_back_from_its_config():
    layer = DepthwiseConv3D((3, 1, 1), 2, use_bias=True, name="d")
    assert DepthwiseConv3D.from_config(layer.get_config()).get_config() == layer.get_config()
