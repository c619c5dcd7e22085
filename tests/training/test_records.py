import csv

import keras
import numpy as np
import pytest

from keras_mtnet.training.checkpoint import RunState
from keras_mtnet.training.records import BestWeights, RunHistory, TensorBoardLogs, clip_grid


def model_of(value: float) -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="only")])
    model.set_weights([np.full((1, 1), value), np.zeros(1)])
    return model


def test_best_weights_are_those_of_the_highest_accuracy(tmp_path):
    path = tmp_path / "best.weights.h5"
    model, state = model_of(0), RunState()
    # accuracy, loss: epoch 2 ties in accuracy with a lower loss, epoch 3 with a higher one
    for epoch, (accuracy, loss) in enumerate([(0.5, 1.0), (0.7, 1.0), (0.7, 0.9), (0.7, 0.95)]):
        callback = BestWeights(path, state)  # as after a restart: the state knows the best
        callback.set_model(model)
        model.set_weights([np.full((1, 1), epoch), np.zeros(1)])
        callback.on_test_end({"accuracy": accuracy, "loss": loss})
    model.load_weights(path)
    assert model.get_weights()[0].item() == 2
    assert state.best == [0.7, -0.9]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_failed_write_leaves_the_old_weights_and_the_run(tmp_path, monkeypatch, capsys):
    path = tmp_path / "best.weights.h5"
    model, callback = model_of(1), BestWeights(path, RunState())
    callback.set_model(model)
    callback.on_test_end({"accuracy": 0.5, "loss": 1.0})
    old = path.read_bytes()

    def half_written(target):
        target.write_bytes(b"part")
        raise OSError("No space left on device")

    monkeypatch.setattr(model, "save_weights", half_written)
    callback.on_test_end({"accuracy": 0.9, "loss": 0.5})
    assert "best.weights.h5 could not be written (No space left" in capsys.readouterr().out
    assert path.read_bytes() == old and callback.state.best == [0.5, -1.0]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_history_has_a_row_an_epoch(tmp_path):
    state = RunState()
    for epoch in range(3):
        callback = RunHistory(tmp_path, state, pictures=False)
        callback.on_epoch_end(epoch, {"loss": 1.0 / (epoch + 1), "accuracy": np.float32(0.5)})
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["loss"]) for row in rows] == pytest.approx([1, 1 / 2, 1 / 3])


def test_a_picture_of_clips():
    """Clip k at time t is a square of brightness 10 k + t."""
    clips = (10 * np.arange(3)[:, None] + np.arange(5)).astype("float32")
    clips = np.broadcast_to(clips[:, :, None, None, None], (3, 5, 2, 2, 3))
    grid = clip_grid(clips, rows=2, columns=3)
    assert grid.shape == (4, 6, 3) and grid.dtype == "uint8"
    shown = grid[::2, ::2, 0].astype(float)  # clips down, frames 0, 2 and 4 across
    np.testing.assert_allclose(shown, [[0, 36, 72], [182, 218, 255]], atol=1)


def test_tensorboard_gets_values_and_clips(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logs = TensorBoardLogs(tmp_path, lambda: np.random.default_rng(0).random((2, 4, 8, 8, 3)))
    for epoch in range(2):
        logs.on_epoch_end(epoch, {"loss": 2.0 - epoch, "learning_rate": 0.1, "val_loss": 3.0})
    train, test = (EventAccumulator(str(tmp_path / name)) for name in ("train", "validation"))
    train.Reload(), test.Reload()
    assert set(train.Tags()["tensors"]) == {"loss", "learning_rate", "clips"}
    assert set(test.Tags()["tensors"]) == {"loss"}
    assert [event.step for event in train.Tensors("loss")] == [1, 2]
    assert len(list((tmp_path / "train").iterdir())) == 1  # one file, however many epochs
