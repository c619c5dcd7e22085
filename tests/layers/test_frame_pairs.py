"""Pairs of frames: split, repeated, and added where one is smaller."""

import keras
import numpy as np
import pytest

from keras_mtnet.layers.frame_pairs import AddEnlarged, EvenFrames, FramePairs, RepeatFrames


@pytest.mark.parametrize("known", (True, False))
@pytest.mark.parametrize("frames", (1, 2, 5))
def test_pairs(frames, known):
    x = np.random.default_rng(0).normal(size=(2, frames, 3, 2, 4)).astype("float32")
    inputs = keras.Input((frames if known else None, 3, 2, 4))
    first, second = keras.Model(inputs, FramePairs()(EvenFrames()(inputs)))(x)
    even = x if frames % 2 == 0 else np.concatenate([x, x[:, -1:]], 1)
    np.testing.assert_array_equal(first, even[:, ::2])
    np.testing.assert_array_equal(second, even[:, 1::2])
    np.testing.assert_array_equal(RepeatFrames()(x), x.repeat(2, 1))


@pytest.mark.parametrize("known", (True, False))
@pytest.mark.parametrize("size", ((1, 1), (6, 7), (5, 4)))
def test_sum_of_sizes(size, known):
    rng = np.random.default_rng(0)
    large = rng.normal(size=(1, 2, *size, 3)).astype("float32")
    small = rng.normal(size=(1, 2, *(-(-length // 2) for length in size), 3)).astype("float32")
    shapes = [x.shape[1:] if known else (None, None, None, 3) for x in (large, small)]
    inputs = [keras.Input(shape) for shape in shapes]
    y = keras.Model(inputs, AddEnlarged()(inputs))([large, small])
    enlarged = small.repeat(2, 2).repeat(2, 3)[:, :, : size[0], : size[1]]
    np.testing.assert_allclose(y, large + enlarged, rtol=1e-6)
