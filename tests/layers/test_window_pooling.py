"""The pooling operators that SoftPool is compared with."""

import numpy as np
import numpy_layers as reference
import pytest

from keras_mtnet.layers.window_pooling import AveragePool, MaxPool, StochasticPool

OPERATORS = {"avg": AveragePool, "max": MaxPool, "stochastic": StochasticPool}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "shape, pool_size, strides, padding",
    [
        ((2, 4, 6, 6, 3), (1, 2, 2), None, "valid"),
        ((2, 5, 7, 6, 3), (2, 2, 2), None, "valid"),
        ((2, 5, 7, 6, 3), (2, 2, 2), None, "same"),
        ((2, 5, 7, 6, 3), (3, 3, 3), (1, 2, 2), "same"),
        ((1, 1, 1, 5, 4), (2, 2, 2), None, "valid"),
    ],
)
def test_inference(name, shape, pool_size, strides, padding):
    x = np.random.default_rng(0).normal(-0.5, 1, shape).astype("float32")
    y = OPERATORS[name](pool_size, strides, padding)(x)
    expected = reference.pool(x, reference.POOLINGS[name], pool_size, strides, padding)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_negative_edges_are_not_pooled_with_zeros():
    x = np.full((1, 3, 3, 3, 2), -5.0, "float32")
    for operator in OPERATORS.values():
        np.testing.assert_allclose(operator((2, 2, 2), padding="same")(x), -5.0, rtol=1e-6)


def test_stochastic_draws_in_proportion():
    """4000 equal windows of 1, 3, 0 and -2: never 0 or -2, and 3 three times as often as 1."""
    x = np.tile(np.array([[1, 3], [0, -2]], "float32"), (20, 100)).reshape(1, 1, 40, 200, 1)
    drawn = np.array(StochasticPool(seed=1)(x, training=True))
    assert set(np.unique(drawn)) == {1.0, 3.0}
    share = (drawn == 3).mean()  # 2000 draws: standard deviation 0.0097
    assert abs(share - 0.75) < 0.05


def test_stochastic_draws_evenly_where_nothing_is_positive():
    x = np.tile(np.array([[-1, -2], [-3, -4]], "float32"), (20, 100)).reshape(1, 1, 40, 200, 1)
    drawn = np.array(StochasticPool(seed=1)(x, training=True))
    for value in (-1, -2, -3, -4):
        assert abs((drawn == value).mean() - 0.25) < 0.05


def test_stochastic_draws_come_from_the_seed():
    x = np.random.default_rng(0).normal(size=(1, 4, 8, 8, 3)).astype("float32")
    first, again, other = (np.array(StochasticPool(seed=s)(x, training=True)) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    layer = StochasticPool(seed=3)
    assert (np.array(layer(x, training=True)) != np.array(layer(x, training=True))).any()


def test_stochastic_draws_only_inside_the_clip():
    x = np.random.default_rng(0).normal(size=(1, 3, 3, 3, 1)).astype("float32")
    for seed in range(20):
        y = StochasticPool((2, 2, 2), padding="same", seed=seed)(x, training=True)
        assert np.array(y)[0, 1, 1, 1, 0] == x[0, 2, 2, 2, 0]  # the corner window holds one place
        assert np.isin(np.array(y), x).all()
