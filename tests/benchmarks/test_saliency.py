import numpy as np
import pytest
import saliency


def test_shares_are_of_squares():
    found = np.zeros((2, 4, 4))
    found[1, 0, 3], found[0, 3, 3] = 1.0, 3.0
    expected = {"left": 0.0, "right": 1.0, "upper": 0.1, "lower": 0.9}
    assert saliency.halves(found) == pytest.approx(expected)


def test_rank_correlation():
    a = np.array([0.0, 1.0, 2.0, 30.0])
    assert saliency.rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert saliency.rank_correlation(a, -a) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: equal values share their mean rank.
    tied = np.array([0.0, 1.0, 1.0, 30.0])
    expected = np.corrcoef([1, 2.5, 2.5, 4], [1, 2, 3, 4])[0, 1]
    assert saliency.rank_correlation(tied, a) == pytest.approx(expected)
    assert saliency.rank_correlation(np.ones(4), a) == 0
