"""GroupedConv3D against the sum written out in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet.layers.grouped_conv3d import GroupedConv3D


def direct(x: np.ndarray, kernel: np.ndarray, strides: tuple[int, int, int]) -> np.ndarray:
    """Convolution of groups with zeros of half the kernel around the clip, in float64."""
    sides = [(size // 2, size // 2) for size in kernel.shape[:3]]
    x = np.pad(x.astype("float64"), [(0, 0), *sides, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:3], (1, 2, 3))
    windows = windows[:, :: strides[0], :: strides[1], :: strides[2]]
    groups = x.shape[-1] // kernel.shape[3]
    parts = zip(np.split(windows, groups, 4), np.split(kernel, groups, -1), strict=True)
    return np.concatenate([np.einsum("nthwcijk,ijkcf->nthwf", *part) for part in parts], -1)


# Channels, filters, groups: one dense convolution; two of three groups; one of each group.
@pytest.mark.parametrize("sizes", ((8, 16, 4), (72, 36, 6), (96, 48, 3)))
@pytest.mark.parametrize("strides", ((1, 1, 1), (1, 2, 2), (2, 1, 1)))
def test_equals_the_written_out_sum(sizes, strides):
    channels, filters, groups = sizes
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 6, channels)).astype("float32")
    layer = GroupedConv3D(filters, 3, groups, strides=strides, use_bias=False)
    y = keras.ops.convert_to_numpy(layer(x))
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    expected = direct(x, kernel.astype("float64"), strides)
    assert kernel.shape == (3, 3, 3, channels // groups, filters)
    assert y.shape == expected.shape == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_gradient_of_the_kernel():
    """Against the sum written out: it is linear in the kernel."""
    rng = np.random.default_rng(0)
    x, layer = rng.normal(size=(2, 3, 5, 6, 72)).astype("float32"), GroupedConv3D(36, 3, groups=6)
    layer.build(x.shape)
    upstream = rng.normal(size=layer.compute_output_shape(x.shape))
    direction = rng.normal(size=layer.kernel.shape)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) * tf.cast(upstream, "float32"))
    slope = np.sum(tape.gradient(loss, layer.kernel.value) * direction)
    assert slope == pytest.approx(np.sum(direct(x, direction, (1, 1, 1)) * upstream), rel=1e-4)


def test_how_many_groups_are_put_together():
    members = [GroupedConv3D(96, 3, 16)._members(channels) for channels in (1, 6, 12, 24, 48)]
    assert members == [16, 4, 2, 1, 1]


def test_groups_must_divide_the_channels():
    with pytest.raises(ValueError, match="groups"):
        GroupedConv3D(8, 3, groups=4)(np.zeros((1, 2, 4, 4, 6)))
