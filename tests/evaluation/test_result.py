import csv
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


def test_videos_with_several_classes():
    """Against sets written out."""
    truth = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1]], bool)
    scores = np.array([[0.9, 0.6, 0.7], [0.8, 0.4, 0.1], [0.2, 0.3, 0.6], [0.5, 0.1, 0.5]])
    found = result(scores, truth, multi_label=True, threshold=0.5)
    present = [{0, 1, 2}, {0}, {2}, {0, 2}]
    own = [{0, 1}, {1}, {0, 2}, {2}]
    hits = sum(len(a & b) for a, b in zip(present, own, strict=True))
    assert found.top1 == 2 / 4 and found.top5 == 1.0
    assert found.precision == hits / sum(map(len, present))
    assert found.recall == hits / sum(map(len, own))
    assert found.per_class == {"a": 1 / 2, "b": 1 / 2, "c": 2 / 2}
    assert found.most_frequent == 2 / 4 and found.chance == pytest.approx(6 / 4 / 3)
    each = [average_precision(truth[:, c], scores[:, c]) for c in range(3)]
    assert found.mean_average_precision == pytest.approx(np.mean(each))
    assert "confusion" not in found.to_dict() and "mAP" in str(found)
    with pytest.raises(ValueError, match="one label per video"):
        found.confusion  # noqa: B018


def test_intervals_over_groups():
    rng = np.random.default_rng(4)
    scores, labels = rng.dirichlet(np.ones(8), 40), rng.integers(0, 8, 40)
    groups = tuple(f"g{i // 4}" for i in range(40))
    found = result(scores, labels, groups=groups)
    for measure in ("top1", "top5", "mean_average_precision"):
        low, high = found.interval(measure, resamples=200)
        assert low < getattr(found, measure) < high
    low, high = found.interval()
    assert f"95 % interval of top-1 [{low:.4f}, {high:.4f}]" in str(found)
    assert "over 10 groups" in str(found)
    assert found.to_dict()["top1_interval"] == (low, high) and found.to_dict()["groups"] == 10
    assert result(scores, labels).interval() is None
    assert result(scores, labels, groups=("g",) * 40).interval() is None
    with pytest.raises(ValueError, match="measure='accuracy'"):
        found.interval("accuracy")


def test_calibration_of_the_named_class():
    scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]])
    expected = (0.1 + 0.4 + 0.7) / 3  # three bins; the third video is wrong
    assert result(scores, [0, 1, 1]).calibration_error == pytest.approx(expected)
    assert "calibration error 0.4000" in str(result(scores, [0, 1, 1]))
    assert result(scores, [0, 1, 1], multi_label=True, threshold=0.5).calibration_error is None


def test_confusion_as_csv(tmp_path):
    found = result(np.eye(3)[[0, 1, 1, 2]], [0, 0, 1, 2])
    found.write_confusion(tmp_path / "confusion.csv")
    with open(tmp_path / "confusion.csv", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["true \\ predicted", "a", "b", "c"]
    assert [row[0] for row in rows] == ["a", "b", "c"]
    assert np.array([row[1:] for row in rows], int).tolist() == found.confusion.tolist()


def test_arrays_that_do_not_fit():
    with pytest.raises(ValueError, match=r"shape \(2, 3\).*Received: scores of \(2, 3\), labels"):
        result(np.eye(3)[:2], np.ones((2, 2)))
    with pytest.raises(ValueError, match="groups must name one for each of the 2 videos"):
        result(np.eye(3)[:2], [0, 1], groups=("a",))
