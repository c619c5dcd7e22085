import numpy as np
import pytest

from keras_mtnet.evaluation.metrics import average_precision, bootstrap_interval, calibration_error


def test_average_precision():
    """Against the area under all points of the curve, one per distinct score."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        truth, scores = rng.random(30) < 0.3, rng.random(30).round(1)
        truth[0] = True
        area, before = 0.0, 0.0
        for threshold in sorted(set(scores), reverse=True):
            found = scores >= threshold
            recall = (truth & found).sum() / truth.sum()
            area += (recall - before) * (truth & found).sum() / found.sum()
            before = recall
        assert average_precision(truth, scores) == pytest.approx(area, abs=1e-12)


def test_calibration_error():
    """Against bins written out; edges belong to the bin below, 0 to the first."""
    rng = np.random.default_rng(2)
    confidence, right = rng.random(500).round(2), rng.random(500) < 0.6
    confidence[:2] = 0, 1
    for bins in (1, 10, 15):
        expected = 0.0
        for i in range(bins):
            inside = (confidence > i / bins) & (confidence <= (i + 1) / bins)
            inside |= (i == 0) & (confidence == 0)
            if inside.any():
                gap = abs(confidence[inside].mean() - right[inside].mean())
                expected += inside.mean() * gap
        assert calibration_error(confidence, right, bins) == pytest.approx(expected, abs=1e-9)
    assert calibration_error(np.ones(4), np.ones(4)) == 0


def test_bootstrap_draws_whole_groups():
    """Against draws written out; and an interval over groups of equal videos is wider."""
    rng = np.random.default_rng(3)
    groups = [f"g{i % 12}" for i in range(60)]
    right = rng.random(60) < 0.7
    seen = []

    def measure(drawn):
        seen.append(drawn)
        return right[drawn].mean()

    low, high = bootstrap_interval(measure, groups, resamples=200, seed=5)
    assert low <= right.mean() <= high
    for drawn in seen[:20]:  # each group as often as drawn, with all of its five videos
        counts = np.bincount(drawn, minlength=60).reshape(5, 12)
        assert len(drawn) == 60 and (counts == counts[0]).all()
    means = [right[drawn].mean() for drawn in seen]
    assert (low, high) == tuple(np.percentile(means, [2.5, 97.5]))
    assert (low, high) == bootstrap_interval(measure, groups, resamples=200, seed=5)
    assert (low, high) != bootstrap_interval(measure, groups, resamples=200, seed=6)
    same = np.repeat(rng.random(12) < 0.5, 5)
    of_groups = bootstrap_interval(lambda d: same[d].mean(), np.repeat(np.arange(12), 5), 500)
    of_videos = bootstrap_interval(lambda d: same[d].mean(), np.arange(60), 500)
    assert of_groups[1] - of_groups[0] > 1.5 * (of_videos[1] - of_videos[0])


def test_groups_of_different_sizes():
    seen = set()
    bootstrap_interval(lambda d: seen.add(tuple(np.sort(d))) or 0.0, list("abbbcc"), 200)
    whole = {"a": (0,), "b": (1, 2, 3), "c": (4, 5)}
    allowed = {
        tuple(sorted(whole[x] + whole[y] + whole[z])) for x in "abc" for y in "abc" for z in "abc"
    }
    assert seen == allowed  # all ten of them


def test_bad_input():
    with pytest.raises(ValueError, match="at least two groups"):
        bootstrap_interval(np.mean, ["a", "a"])
    with pytest.raises(ValueError, match="resamples=0"):
        bootstrap_interval(np.mean, ["a", "b"], resamples=0)
    with pytest.raises(ValueError, match="seed=None"):
        bootstrap_interval(np.mean, ["a", "b"], seed=None)
