"""Arrays for TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet.data.arrays import empty_aligned


@pytest.mark.parametrize("shape", [(3, 5), (0, 4), (700, 1000, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_they_are_as_asked_for(shape, dtype):
    found = empty_aligned(shape, dtype)
    assert found.shape == shape and found.dtype == dtype
    assert found.flags.c_contiguous and found.flags.writeable
    assert not found.size or found.ctypes.data % 64 == 0


def test_tensorflow_takes_them_over_without_a_copy():
    made = []

    def make():
        made.append(empty_aligned((100, 1000), "float32"))
        made[0][:] = 7
        return made[0]

    dataset = tf.data.Dataset.range(1).map(lambda _: tf.numpy_function(make, [], tf.float32))
    tensor = next(iter(dataset))
    address = np.from_dlpack(tensor).ctypes.data if hasattr(tensor, "__dlpack__") else None
    assert (tensor.numpy() == 7).all()
    if address is not None:
        assert address == made[0].ctypes.data
