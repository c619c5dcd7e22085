"""TemporalShift against the assignments of its paper's code, in NumPy."""

import numpy as np
import pytest

from keras_mtnet.layers.temporal_shift import TemporalShift


@pytest.mark.parametrize("frames", (1, 2, 5))
@pytest.mark.parametrize(("channels", "divisor"), ((16, 8), (9, 4), (3, 8)))
def test_frames_move(frames, channels, divisor):
    x = np.random.default_rng(0).normal(size=(2, frames, 3, 2, channels)).astype("float32")
    share = channels // divisor
    expected = np.zeros_like(x)
    expected[:, :-1, ..., :share] = x[:, 1:, ..., :share]
    expected[:, 1:, ..., share : 2 * share] = x[:, :-1, ..., share : 2 * share]
    expected[..., 2 * share :] = x[..., 2 * share :]
    np.testing.assert_array_equal(TemporalShift(divisor)(x), expected)


def test_refuses():
    with pytest.raises(ValueError, match="divisor=1"):
        TemporalShift(1)
