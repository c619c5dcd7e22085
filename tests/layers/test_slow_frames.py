"""The frames of the slow pathway, against the rounding that PySlowFast leaves to PyTorch."""

import keras
import numpy as np
import pytest

from keras_mtnet.layers.slow_frames import SlowFrames


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("frames, speed", [(32, 4), (32, 8), (64, 4), (7, 4), (3, 8), (1, 4)])
def test_frames(frames, speed, known):
    clip = np.arange(frames, dtype="float32").reshape(1, frames, 1, 1, 1)
    inputs = keras.Input((frames if known else None, None, None, 1))
    model = keras.Model(inputs, SlowFrames(speed)(inputs))
    taken = np.ravel(model.predict(clip, verbose=0)).astype(int)
    expected = np.linspace(0, frames - 1, -(-frames // speed)).astype(int)
    np.testing.assert_array_equal(taken, expected)
    if known:
        assert model.output_shape[1] == len(expected)
