"""Squares and boxes of frames."""

import numpy as np
import pytest

from keras_mtnet.data import geometry


def test_random_square_stays_inside_and_reaches_the_edges():
    assert geometry.random_square(20, 30, 0.0, 0.0) == (0, 0, 16, 16)
    assert geometry.random_square(20, 30, 0.999, 0.999) == (4, 14, 16, 16)
    assert geometry.random_square(1, 1, 0.999, 0.999) == (0, 0, 1, 1)


@pytest.mark.parametrize(
    "height, width, crops, expected",
    [
        (20, 30, 1, [(2, 7)]),
        (20, 30, 3, [(2, 0), (2, 7), (2, 14)]),
        (30, 20, 3, [(0, 2), (7, 2), (14, 2)]),
        (20, 20, 3, [(2, 0), (2, 2), (2, 4)]),
        (20, 30, 2, [(2, 0), (2, 14)]),
    ],
)
def test_uniform_squares(height, width, crops, expected):
    squares = [(*place, 16, 16) for place in expected]
    assert geometry.uniform_squares(height, width, crops) == squares


def test_random_box_is_uniform_in_area_and_log_aspect():
    rng = np.random.default_rng(0)
    boxes = [
        geometry.random_box(300, 400, (0.1, 0.3), (0.5, 2.0), rng.random(22)) for _ in range(3000)
    ]
    top, left, height, width = np.array(boxes).T
    assert (top >= 0).all() and (top + height <= 300).all()
    assert (left >= 0).all() and (left + width <= 400).all()
    area, aspect = height * width / (300 * 400), np.log2(width / height)
    np.testing.assert_allclose(np.quantile(area, [0.01, 0.5, 0.99]), [0.102, 0.2, 0.298], atol=0.01)
    np.testing.assert_allclose(np.quantile(aspect, [0.01, 0.5, 0.99]), [-1, 0, 1], atol=0.06)
    assert top.min() == 0 and (top + height).max() == 300


def test_random_box_that_never_fits_is_cut_to_the_frame():
    box = geometry.random_box(10, 100, (1.0, 1.0), (1.0, 1.0), np.full(22, 0.5))
    assert box == (0, 34, 10, 32)  # 32 x 32 pixels, in the middle
