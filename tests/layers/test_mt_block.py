"""MTBlock against its parts in NumPy."""

import numpy as np
import numpy_layers as reference
import pytest
import tensorflow as tf

from keras_mtnet.layers import MTBlock


def clip(*shape, seed=0):
    rng = np.random.default_rng(seed)
    offset = rng.normal(size=(shape[0], shape[1], 1, 1, shape[-1]))
    return (offset + rng.normal(size=shape)).astype("float32")


def random_block(shape, *arguments, **options):
    block = MTBlock(*arguments, **options)
    block.build(shape)
    reference.randomize(block, scale=0.7)
    return block


@pytest.mark.parametrize(
    "shape, filters, options, has_shortcut",
    [
        ((2, 4, 6, 6, 8), 8, {}, False),
        ((2, 4, 6, 6, 8), 12, {}, True),  # another width
        ((2, 4, 6, 6, 8), 8, {"strides": (1, 2, 2)}, True),  # another size
        ((2, 8, 7, 5, 4), 6, {"strides": 2, "ratio": 1 / 2}, True),
        ((2, 4, 4, 4, 4), 4, {"ratio": 1}, False),
        ((2, 4, 4, 4, 8), 8, {"bottleneck": 1.5, "cell": "lstm"}, False),
        ((2, 5, 4, 4, 4), 4, {"ratio": 1 / 2, "cell": "peephole_lstm"}, False),
        ((2, 5, 4, 4, 4), 4, {"ratio": 1 / 2, "pooling": "avg", "cell": "rnn"}, False),
        ((2, 5, 4, 4, 4), 4, {"ratio": 1 / 2, "frame_selection": False}, False),
        ((2, 1, 1, 1, 4), 4, {"ratio": 1 / 2, "strides": 2}, True),  # one frame of one place
    ],
)
def test_equals_its_parts(shape, filters, options, has_shortcut):
    """In float64: which frames are kept may turn on the last bit of float32."""
    block = random_block(shape, filters, dtype="float64", **options)
    x = clip(*shape).astype("float64")
    assert (block.shortcut_conv is not None) == has_shortcut
    y = block(x)
    assert tuple(y.shape) == tuple(block.compute_output_shape(shape))
    np.testing.assert_allclose(y, reference.mt_block(x, block), rtol=1e-9, atol=1e-9)


def test_training():
    shape = (3, 4, 4, 4, 4)
    block, x = random_block(shape, 6, ratio=1 / 2), clip(*shape)
    before = [bn.moving_mean.numpy() for bn in (block.shortcut_bn, block.convs[2].lateral_bn)]
    expected = reference.mt_block(x, block, training=True)
    np.testing.assert_allclose(block(x, training=True), expected, rtol=1e-3, atol=1e-3)
    after = [bn.moving_mean.numpy() for bn in (block.shortcut_bn, block.convs[2].lateral_bn)]
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("channels, filters", [(24, 24), (24, 48)])
def test_widths_of_the_convolutions(channels, filters):
    """1x1x1 to mid, 1x1x1 back to the input's channels, 3x3x3 to mid, 1x1x1 to filters."""
    block = MTBlock(filters)
    block.build((None, None, None, None, channels))
    mid = int(filters * 2.25)
    assert [conv.filters for conv in block.convs] == [mid, channels, mid, filters]
    kernels = [tuple(conv.local_conv.kernel.shape[:4]) for conv in block.convs]
    inputs = [int(c * 7 / 8) for c in (channels, mid, channels, mid)]
    sizes = [1, 1, 3, 1]
    assert kernels == [(k, k, k, c) for k, c in zip(sizes, inputs, strict=True)]


def test_every_weight_learns():
    shape = (2, 4, 4, 4, 4)
    block = random_block(shape, 6, ratio=1 / 2, strides=(1, 2, 2))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(block(clip(*shape), training=True) ** 2)
    variables = block.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        assert gradient is not None and np.abs(gradient).max() > 0, variable.path


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"ratio": 1.5}, "ratio=1.5"),
        ({"ratio": 0}, "ratio=0"),
        ({"cell": "elman"}, "elman"),
        ({"pooling": "median"}, "median"),
        ({"strides": 0}, "strides.*0"),
        ({"filters": 0}, "0"),
        ({"bottleneck": 0.01}, "0"),  # no inner channel
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MTBlock(**{"filters": 8, **arguments})(clip(1, 2, 2, 2, 8))


def test_refuses_what_is_no_clip():
    with pytest.raises(ValueError, match="MTBlock takes clips"):
        MTBlock(8)(np.zeros((2, 4, 4, 8), "float32"))
