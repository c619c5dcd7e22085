"""Measures of a test that are functions of arrays."""

from collections.abc import Callable, Sequence

import numpy as np

from keras_mtnet.checks import check_counts, check_integer


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall curve of one class, by steps.

    `truth` is bool `(n,)`, at least one of them True, `scores` float `(n,)`; equal ones are found
    together.

    >>> average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7]))
    0.8333333333333333
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    ends = np.append(np.nonzero(np.diff(scores[order]))[0], len(scores) - 1)
    precision = hits[ends] / (ends + 1)
    return float((precision * np.diff(hits[ends], prepend=0)).sum() / hits[-1])


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error (Guo et al., On Calibration of Modern Neural Networks, 2017).

    How far the share of right answers is from the mean confidence, in bins of equal width over
    (0, 1], weighted by how many answers are in each. `confidence` is float `(n,)` in [0, 1],
    `right` bool `(n,)`.

    >>> round(calibration_error(np.array([0.9, 0.9, 0.6, 0.6]), np.array([1, 1, 1, 0])), 3)
    0.1
    """
    check_counts(bins=bins)
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    surplus = np.bincount(which, weights=confidence - right, minlength=bins)
    return float(np.abs(surplus).sum() / len(confidence))


def bootstrap_interval(
    measure: Callable[[np.ndarray], float],
    groups: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % interval of a measure, by drawing whole groups of videos with replacement.

    Videos of one group, cut from the same recording, say, are not independent of each other, and
    an interval over videos would be too narrow.

    Args:
        measure: from the numbers of the drawn videos, int `(m,)`, to a value.
        groups: the group of each video.
        resamples: how often groups are drawn.
        seed: decides the draws.

    Returns:
        The 2.5th and the 97.5th percentile.

    Raises:
        ValueError: if there are fewer than two groups.

    Example:

    >>> right = np.array([1, 1, 0, 1])
    >>> bootstrap_interval(lambda drawn: right[drawn].mean(), ["a", "a", "b", "b"])
    (0.5, 1.0)
    """
    check_counts(resamples=resamples)
    check_integer(seed=seed)
    _, numbers = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(numbers)
    if len(sizes) < 2:
        raise ValueError(f"An interval needs at least two groups. Received: {len(sizes)}")
    order, starts = np.argsort(numbers, kind="stable"), np.cumsum(sizes) - sizes
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        drawn = rng.integers(0, len(sizes), len(sizes))
        ends = np.cumsum(sizes[drawn])
        within = np.arange(ends[-1]) - np.repeat(ends - sizes[drawn], sizes[drawn])
        values.append(measure(order[np.repeat(starts[drawn], sizes[drawn]) + within]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
