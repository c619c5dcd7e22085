"""The product of non-local blocks, against a matrix of positions by positions."""

import keras
import numpy as np
import pytest

from keras_mtnet.layers.non_local import NonLocalProduct

SHAPES = ((2, 3, 4, 6, 8), (2, 3, 2, 3, 8), (2, 3, 2, 3, 5))


@pytest.mark.parametrize("known", [True, False])
def test_product(known):
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=shape).astype("float32") for shape in SHAPES)
    affinity = np.einsum("nthwc,nijkc->nthwijk", query, key) / key[0, ..., 0].size
    expected = np.einsum("nthwijk,nijkd->nthwd", affinity, value)
    inputs = [keras.Input(s[1:] if known else (None, None, None, s[-1])) for s in SHAPES]
    model = keras.Model(inputs, NonLocalProduct()(inputs))
    assert model.output_shape[-1] == 5
    np.testing.assert_allclose(
        model.predict([query, key, value], verbose=0), expected, rtol=1e-5, atol=1e-5
    )


def test_sums_over_many_positions_fit_into_half_precision():
    clip = np.full((1, 16, 32, 32, 4), 10.0)  # 16,384 products of 100 are beyond float16
    y = NonLocalProduct(dtype="float16")([clip[:, :, :2, :2] / 100, clip, clip])
    np.testing.assert_allclose(y, np.full((1, 16, 2, 2, 4), 40.0), rtol=1e-2)


def test_count():
    assert NonLocalProduct().count_products([(1, *shape[1:]) for shape in SHAPES]) == 90 * 8 * 5
