"""CenteredMaxPooling3D against windows written out in NumPy."""

import keras
import numpy as np
import pytest

from keras_mtnet.layers.max_pooling import CenteredMaxPooling3D


def direct(x, size, strides):
    sides = [(n // 2, n // 2) for n in size]
    x = np.pad(x, [(0, 0), *sides, (0, 0)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, size, (1, 2, 3))
    return windows[:, :: strides[0], :: strides[1], :: strides[2]].max((-3, -2, -1))


@pytest.mark.parametrize("size", [(3, 3, 3), (1, 3, 3)])
@pytest.mark.parametrize("strides", [(1, 1, 1), (1, 2, 2), (2, 2, 2)])
@pytest.mark.parametrize("known", [True, False])
def test_equals_the_written_out_windows(size, strides, known):
    inputs = keras.Input((4, 7, 6, 3) if known else (None, None, None, 3))
    layer = CenteredMaxPooling3D(size, strides)
    model = keras.Model(inputs, layer(inputs))
    for shape in [(2, 4, 7, 6, 3)] if known else [(2, 4, 7, 6, 3), (1, 1, 1, 5, 3)]:
        x = np.random.default_rng(0).normal(size=shape).astype("float32") - 5  # all negative
        y = model.predict(x, verbose=0)
        assert y.shape == layer.compute_output_shape(shape)
        np.testing.assert_array_equal(y, direct(x, size, strides))


def test_refuses():
    with pytest.raises(ValueError, match=r"odd\. Received: pool_size=2"):
        CenteredMaxPooling3D(2)
