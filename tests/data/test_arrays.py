"""Arrays for TensorFlow."""

import gc

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


def test_memory_is_used_again_once_nobody_holds_it():
    shape = (1000, 1000)
    found = empty_aligned(shape, "float32")
    found[:] = 1
    part, address = found[10:20, 5], found.ctypes.data
    del found
    gc.collect()
    other = empty_aligned(shape, "float32")  # the first one is still looked at
    assert other.ctypes.data != address
    other[:] = 2
    assert (part == 1).all()
    del part
    gc.collect()
    assert empty_aligned((*shape, 4), "uint8").ctypes.data == address  # of the same size


def test_memory_of_a_batch_is_not_used_again_while_tensorflow_has_it():
    def make(number):
        found = empty_aligned((1000, 1000), "float32")
        found[:] = number
        return found

    numbers = tf.data.Dataset.range(20)
    dataset = numbers.map(lambda n: tf.numpy_function(make, [n], tf.float32), 2).prefetch(2)
    held = []
    for number, tensor in enumerate(dataset):
        held = [*held[-2:], (number, tensor, tensor.numpy())]
        for expected, batch, array in held:
            assert (array == expected).all() and (batch.numpy() == expected).all()
