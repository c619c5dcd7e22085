"""Windows and boxes, against values worked out by hand; the same in any process."""

import json
import os
import subprocess
import sys

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


@pytest.mark.parametrize(
    "count, step, starts",
    [
        (24, None, [0, 8, 16, 17]),  # the last one ends with the video
        (23, None, [0, 8, 16]),
        (7, None, [0]),
        (8, None, [0, 1]),
        (5, None, [0]),  # loops
        (12, 2, [0, 2, 4, 5]),
        (30, 20, [0, 20, 23]),
    ],
)
def test_dense_windows(count, step, starts):
    windows = sampling.dense_windows(count, 4, 2, step)
    assert windows.tolist() == [[(start + 2 * i) % count for i in range(4)] for start in starts]


@pytest.mark.parametrize("count", [4, 7, 16, 31, 100])
def test_dense_windows_see_everything(count):
    assert set(sampling.dense_windows(count, 4, 1).ravel()) == set(range(count))


@pytest.mark.parametrize(
    "count, frames, expected",
    [
        (12, 4, [1, 4, 7, 10]),
        (10, 4, [1, 3, 6, 8]),
        (4, 4, [0, 1, 2, 3]),
        (2, 4, [0, 0, 1, 1]),
        (1, 3, [0, 0, 0]),
        (9, 1, [4]),
    ],
)
def test_segments_in_the_middle(count, frames, expected):
    assert sampling.segment_frames(count, frames).tolist() == expected


@pytest.mark.parametrize("count, frames", [(97, 8), (8, 8), (5, 8), (1000, 3)])
def test_random_segments(count, frames):
    draws = np.random.default_rng(0).random((2000, frames))
    draws[:2] = [[0.0] * frames, [np.nextafter(1.0, 0.0)] * frames]
    chosen = np.stack([sampling.segment_frames(count, frames, each) for each in draws])
    assert chosen.min() == 0 and chosen.max() == count - 1
    parts = np.arange(frames) * count / frames
    assert (chosen >= np.floor(parts)).all()
    assert (chosen <= np.ceil(parts + count / frames) - 1).all()
    assert (np.diff(chosen, axis=1) >= 0).all()
    assert count > 100 or set(chosen.ravel()) == set(range(count))  # every frame has its turn


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


_SAMPLES = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("sampling", sys.argv[1])
sampling = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sampling)
first, step, end, count = map(int, sys.argv[2:])
for number in range(first, end, step):
    epoch, place = divmod(number, count)
    draws = sampling.sample_generator(7, number).random(8)
    print(json.dumps([
        number,
        int(sampling.epoch_order(7, epoch, count)[place]),
        sampling.random_window(90, 4, 3, draws[0]).tolist(),
        sampling.segment_frames(90, 4, draws[4:]).tolist(),
        draws[1:3].tolist(),
    ]))
"""


def _samples(shares, end=46, count=10):
    """Samples of 4.6 epochs of 10 videos, by a process for each share (first number, step)."""
    arguments = [sys.executable, "-c", _SAMPLES, sampling.__file__]
    jobs = [
        subprocess.Popen(
            [*arguments, str(first), str(step), str(end), str(count)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": str(place)},
        )
        for place, (first, step) in enumerate(shares)
    ]
    lines = [line for job in jobs for line in job.communicate()[0].splitlines()]
    assert not any(job.returncode for job in jobs)
    return sorted(json.loads(line) for line in lines)


def test_samples_are_the_same_in_any_process():
    """In one, in eight, and in one that begins in the middle, as after a restart."""
    one = _samples([(0, 1)])
    assert [sample[0] for sample in one] == list(range(46))
    assert sorted(sample[1] for sample in one[10:20]) == list(range(10))
    assert _samples([(share, 8) for share in range(8)]) == one
    assert _samples([(17, 1)]) == one[17:]
    assert len({tuple(sample[2]) for sample in one}) > 30  # they differ from each other
