"""Batches of small clips, and whether they are the same."""

import numpy as np

SMALL = {"frames": 4, "stride": 2, "size": 32, "batch_size": 6}


def take(dataset, batches):
    return [(x.numpy(), y.numpy()) for x, y in dataset.take(batches)]


def assert_same(one, other):
    assert len(one) == len(other)
    for (x, y), (other_x, other_y) in zip(one, other, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)
