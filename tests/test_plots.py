import doctest
import importlib.util
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from keras_mtnet import plots

pytest.importorskip("matplotlib")

ROWS = [
    {"epoch": e, "loss": 1 / e, "accuracy": 0.1 * e, "val_loss": 2 / e, "val_accuracy": 0.05 * e}
    for e in range(1, 6)
]
ODD = [
    *("$5_bills$", "a\nb", "caf\udce9", "日本", "\N{GRINNING FACE}", "[x] {y}", "%d\\frac", " "),
    "long " * 60,
]


def read(path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(path)[..., :3]


def share_of(picture: np.ndarray, color: str) -> float:
    """Share of the pixels that have exactly this color."""
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return float((np.abs(np.round(picture * 255) - rgb).max(axis=-1) <= 1).mean())


def test_examples():
    assert doctest.testmod(plots).failed == 0


def test_curves_of_training_and_validation(tmp_path):
    plots.learning_curves(ROWS, tmp_path / "both.png")
    both = read(tmp_path / "both.png")
    assert share_of(both, plots._TRAIN) > 1e-4 and share_of(both, plots._TEST) > 1e-4
    alone = [{k: v for k, v in row.items() if not k.startswith("val_")} for row in ROWS]
    plots.learning_curves(alone, tmp_path / "alone.png")
    assert share_of(read(tmp_path / "alone.png"), plots._TEST) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alone.png", "both.png"]


def test_schedule_is_as_high_as_the_batches(tmp_path):
    shares = []
    for batch_size in (8, 4):
        epochs = [
            SimpleNamespace(first_step=10 * k, steps=10, batch_size=size, frames=8, size=64)
            for k, size in enumerate((8, batch_size))
        ]
        plots.schedule([0.1] * 20, epochs, tmp_path / "schedule.png")
        shares.append(share_of(read(tmp_path / "schedule.png"), plots._TRAIN))
    assert shares[1] == pytest.approx(0.75 * shares[0], rel=0.05)


def test_confusion_is_dark_on_the_diagonal(tmp_path):
    plots.confusion_matrix(np.diag([5, 5, 5]), ["a", "b", "c"], tmp_path / "right.png")
    plots.confusion_matrix(np.zeros((3, 3), int), ["a", "b", "c"], tmp_path / "empty.png")
    right, empty = read(tmp_path / "right.png"), read(tmp_path / "empty.png")
    dark = (right.mean(axis=-1) < 0.4).mean() - (empty.mean(axis=-1) < 0.4).mean()
    assert 0.1 < dark < 0.4  # a third of the matrix, less the margins


def test_kept_frames_are_marked(tmp_path):
    frames = np.full((4, 20, 30, 3), 128, "uint8")
    shares = []
    for kept in ([], [1], [1, 2]):
        plots.clip_strip(frames, kept, tmp_path / "strip.png")
        shares.append(share_of(read(tmp_path / "strip.png"), plots._TEST))
    assert shares[0] == 0 < shares[1]
    assert shares[2] == pytest.approx(2 * shares[1], rel=0.2)


def test_bars_are_as_long_as_scores(tmp_path):
    frames = np.zeros((16, 20, 30, 3), "uint8")
    lengths = []
    for score in (0.8, 0.4):
        plots.prediction(frames, [("a", score), ("b", 0.1)], tmp_path / "p.png", title="clip.avi")
        lengths.append(share_of(read(tmp_path / "p.png"), plots._TEST))
    assert lengths[0] == pytest.approx(2 * lengths[1], rel=0.1)


def test_more_frames_than_a_line_holds(tmp_path):
    frames = np.zeros((11, 20, 30, 3), "uint8")
    plots.clip_strip(frames, [10], tmp_path / "strip.png", title="eleven")
    assert share_of(read(tmp_path / "strip.png"), plots._TEST) > 0


@pytest.mark.parametrize("name", ODD)
def test_names_are_drawn_as_they_are(name, tmp_path):
    """No name is taken for a formula, breaks a line or ends the drawing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.confusion_matrix(np.eye(2, dtype=int), [name, "b"], tmp_path / "c.png", title=name)
        frames = np.zeros((2, 20, 30, 3), "uint8")
        plots.prediction(frames, [(name, 0.7), ("b", 0.3)], tmp_path / "p.png", title=name)
        plots.clip_strip(frames, [0], tmp_path / "s.png", title=name)
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())
    assert plots._shown("$5_bills$") == "$5_bills$" and "\n" not in plots._shown("a\nb")


def test_a_path_without_ending_is_a_png(tmp_path):
    plots.learning_curves(ROWS, tmp_path / "curves")
    assert (tmp_path / "curves").read_bytes()[1:4] == b"PNG"
    assert [path.name for path in tmp_path.iterdir()] == ["curves"]
    with pytest.raises(ValueError, match="xyz"):
        plots.learning_curves(ROWS, tmp_path / "curves.xyz")
    assert [path.name for path in tmp_path.iterdir()] == ["curves"]


def test_without_matplotlib_the_error_tells_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not plots.available()
    with pytest.raises(ImportError, match=r'pip install "keras-mtnet\[plots\]"'):
        plots.learning_curves(ROWS, tmp_path / "x.png")
