"""Trilinear interpolation against np.interp an axis, and against PyTorch's."""

import numpy as np
import numpy_layers as reference
import pytest
import tensorflow as tf
from keras import ops

from keras_mtnet.layers.trilinear_resize import trilinear_resize

SIZES = [
    ((4, 5, 6), (8, 10, 12)),
    ((4, 5, 6), (9, 11, 13)),
    ((4, 5, 6), (4, 10, 6)),  # one axis alone
    ((8, 9, 10), (3, 4, 7)),  # smaller, without antialiasing
    ((2, 9, 3), (5, 4, 3)),
    ((1, 1, 1), (3, 4, 5)),
    ((3, 4, 5), (1, 1, 1)),
]


def clip(sizes):
    return np.random.default_rng(0).normal(size=(2, *sizes, 3)).astype("float32")


@pytest.mark.parametrize("old, new", SIZES)
def test_equals_interpolation_of_each_axis(old, new):
    x = clip(old)
    y = trilinear_resize(ops.convert_to_tensor(x), new)
    np.testing.assert_allclose(y, reference.resize(x, new), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("old, new", SIZES)
def test_equals_torch(old, new):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = clip(old)
    expected = torch.nn.functional.interpolate(
        torch.tensor(x.transpose(0, 4, 1, 2, 3)), size=new, mode="trilinear", align_corners=False
    )
    y = trilinear_resize(ops.convert_to_tensor(x), new)
    np.testing.assert_allclose(y, expected.numpy().transpose(0, 2, 3, 4, 1), rtol=1e-5, atol=1e-5)


def test_same_sizes_change_nothing():
    x = clip((3, 4, 5))
    np.testing.assert_array_equal(trilinear_resize(ops.convert_to_tensor(x), (3, 4, 5)), x)


@pytest.mark.parametrize("old, new", SIZES)
def test_sizes_known_only_when_the_graph_runs(old, new):
    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, None, 3)), tf.TensorSpec([3], "int32")]
    )
    def resize(x, sizes):
        return trilinear_resize(x, tf.unstack(sizes))

    x = clip(old)
    np.testing.assert_allclose(resize(x, new), reference.resize(x, new), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype, error", [("float16", 2e-3), ("bfloat16", 2e-2)])
def test_half_precision_keeps_its_type(dtype, error):
    x = clip((4, 5, 6))
    y = trilinear_resize(ops.cast(x, dtype), (8, 10, 12))
    assert y.dtype == dtype
    expected = reference.resize(x, (8, 10, 12))
    np.testing.assert_allclose(ops.cast(y, "float32"), expected, rtol=error, atol=4 * error)


def test_gradient():
    """Interpolation is linear, so its slope along a direction is the direction, interpolated."""
    rng = np.random.default_rng(1)
    x, direction = clip((3, 4, 5)), rng.normal(size=(2, 3, 4, 5, 3))
    upstream = rng.normal(size=(2, 6, 7, 5, 3))
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(trilinear_resize(variable, (6, 7, 5)) * upstream)
    slope = np.sum(tape.gradient(loss, variable).numpy() * direction)
    expected = np.sum(reference.resize(direction, (6, 7, 5)) * upstream)
    np.testing.assert_allclose(slope, expected, rtol=1e-4)
