import json

import numpy as np
import pytest

from keras_mtnet.evaluation import Evaluation, average_precision

NAMES = tuple("abcdefgh")


def result(scores, labels, **options) -> Evaluation:
    names = tuple(f"video{i}" for i in range(len(labels)))
    return Evaluation(NAMES[: scores.shape[1]], names, np.array(labels), scores, **options)


def test_against_ranks_written_out():
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(8), 200).round(2)  # with ties
    labels = rng.integers(0, 8, 200)
    found = result(scores, labels)
    order = [np.argsort(-row, kind="stable").tolist() for row in scores]
    assert found.top1 == np.mean([o[0] == y for o, y in zip(order, labels, strict=True)])
    assert found.top5 == np.mean([y in o[:5] for o, y in zip(order, labels, strict=True)])
    confusion = np.zeros((8, 8), int)
    for o, y in zip(order, labels, strict=True):
        confusion[y, o[0]] += 1
    np.testing.assert_array_equal(found.confusion, confusion)
    assert found.most_frequent == np.bincount(labels).max() / 200
    assert found.per_class["c"] == confusion[2, 2] / confusion[2].sum()


def test_a_perfect_and_a_blind_network():
    perfect = result(np.eye(8)[[0, 1, 2, 2]], [0, 1, 2, 2])
    assert perfect.top1 == perfect.top5 == perfect.mean_average_precision == 1.0
    assert perfect.per_class["a"] == 1.0 and perfect.per_class["h"] is None
    blind = result(np.eye(8)[[0] * 8], range(8))
    # All other scores are equal: classes 1 to 4 are ahead of 5 to 7.
    assert (blind.top1, blind.chance, blind.top5) == (1 / 8, 1 / 8, 5 / 8)
    assert blind.mean_average_precision == 1 / 8  # all videos are found together


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


def test_one_sigmoid_decides_at_its_threshold():
    scores = np.array([[0.6, 0.4], [0.45, 0.55], [0.2, 0.8], [0.9, 0.1]])
    labels = [1, 1, 1, 0]
    assert result(scores, labels, threshold=0.5).top1 == 0.75
    assert result(scores, labels, threshold=0.3).top1 == 1.0
    assert result(scores, labels, threshold=0.7).confusion.tolist() == [[1, 0], [2, 1]]


def test_several_sigmoids_have_precision_and_recall():
    scores = np.array([[0.9, 0.8, 0.1], [0.2, 0.4, 0.3], [0.1, 0.1, 0.7]])
    found = result(scores, [0, 1, 2], multi_label=True, threshold=0.5)
    assert (found.precision, found.recall) == (2 / 3, 2 / 3)
    assert "mAP 0.8333   precision 0.6667   recall 0.6667" in str(found)
    nothing = result(scores, [0, 1, 2], multi_label=True, threshold=1.0)
    assert (nothing.precision, nothing.recall) == (0, 0)


def test_every_listed_video_is_counted_once():
    found = result(
        np.eye(2),
        [0, 0],
        unreadable={"x.mp4": "no video"},
        damaged={"video0": "cut off"},
        missing=("y.mp4", "z.mp4"),
    )
    assert (found.listed, found.scored) == (5, 2)
    text = str(found)
    assert "2 of 5 videos scored, 1 unreadable, 2 missing\n  x.mp4: no video\n" in text
    assert "video0: scored in part, cut off" in text and text.endswith("z.mp4: missing")


def test_the_result_as_json():
    found = result(np.eye(3), [0, 1, 1], multi_label=True, threshold=0.5)
    values = json.loads(json.dumps(found.to_dict()))
    assert values["top1"] == found.top1 and values["chance"] == 1 / 3
    assert values["per_class"] == found.per_class
    assert values["confusion"] == found.confusion.tolist()
    assert values["precision"] == found.precision
