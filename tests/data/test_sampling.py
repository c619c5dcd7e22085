"""Windows and boxes, against values worked out by hand."""

import numpy as np
import pytest

from keras_mtnet.data import sampling


@pytest.mark.parametrize(
    "count, u, expected",
    [
        (10, 0.0, [0, 2, 4, 6]),
        (10, 0.999, [3, 5, 7, 9]),  # 4 places to begin: 0 to 3
        (10, 0.5, [2, 4, 6, 8]),
        (7, 0.999, [0, 2, 4, 6]),  # fits in one place only
        (5, 0.0, [0, 2, 4, 1]),  # loops
        (5, 0.999, [4, 1, 3, 0]),
        (1, 0.7, [0, 0, 0, 0]),
    ],
)
def test_random_window(count, u, expected):
    assert sampling.random_window(count, 4, 2, u).tolist() == expected


def test_random_windows_begin_everywhere_equally_often():
    draws = (np.arange(4000) + 0.5) / 4000
    starts = [sampling.random_window(26, 4, 2, u)[0] for u in draws]
    assert np.bincount(starts).tolist() == [200] * 20


@pytest.mark.parametrize(
    "count, windows, starts",
    [(37, 4, [0, 10, 20, 30]), (37, 1, [15]), (7, 3, [0, 0, 0]), (5, 3, [0, 2, 4]), (5, 1, [0])],
)
def test_uniform_windows(count, windows, starts):
    expected = [[(start + 2 * i) % count for i in range(4)] for start in starts]
    assert sampling.uniform_windows(count, 4, 2, windows).tolist() == expected


def test_random_box_stays_inside_and_reaches_the_edges():
    assert sampling.random_box(20, 30, 16, 0.0, 0.0) == (0, 0)
    assert sampling.random_box(20, 30, 16, 0.999, 0.999) == (4, 14)
    assert sampling.random_box(16, 16, 16, 0.999, 0.999) == (0, 0)


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
def test_uniform_boxes(height, width, crops, expected):
    assert sampling.uniform_boxes(height, width, 16, crops) == expected


def test_epoch_order_is_a_permutation_of_its_seed_and_epoch():
    orders = [sampling.epoch_order(seed, epoch, 50) for seed in (0, 1) for epoch in (0, 1)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    sampling.epoch_order.cache_clear()
    np.testing.assert_array_equal(sampling.epoch_order(1, 1, 50), orders[3])


def test_samples_draw_independent_numbers():
    draws = np.array([sampling.sample_generator(3, k).random(4) for k in range(500)])
    np.testing.assert_array_equal(draws[7], sampling.sample_generator(3, 7).random(4))
    assert abs(draws.mean() - 0.5) < 0.03
    correlation = np.corrcoef(np.concatenate([draws[:-1], draws[1:]], axis=1).T)
    assert np.abs(correlation - np.eye(8)).max() < 0.2
    # The numbers of a sample are not those that order the epoch of the same number.
    assert sampling._generator(1, 3, 7).random() != draws[7, 0]


def test_random_area_is_uniform_in_area_and_log_aspect():
    rng = np.random.default_rng(0)
    boxes = [
        sampling.random_area(300, 400, (0.1, 0.3), (0.5, 2.0), rng.random(22)) for _ in range(3000)
    ]
    top, left, height, width = np.array(boxes).T
    assert (top >= 0).all() and (top + height <= 300).all()
    assert (left >= 0).all() and (left + width <= 400).all()
    area, aspect = height * width / (300 * 400), np.log2(width / height)
    np.testing.assert_allclose(np.quantile(area, [0.01, 0.5, 0.99]), [0.102, 0.2, 0.298], atol=0.01)
    np.testing.assert_allclose(np.quantile(aspect, [0.01, 0.5, 0.99]), [-1, 0, 1], atol=0.06)
    assert top.min() == 0 and (top + height).max() == 300


def test_random_area_that_never_fits_is_cut_to_the_frame():
    box = sampling.random_area(10, 100, (1.0, 1.0), (1.0, 1.0), np.full(22, 0.5))
    assert box == (0, 34, 10, 32)  # 32 x 32 pixels, in the middle
