import csv
import types

import keras
import numpy as np
import pytest

from keras_mtnet.training.callbacks import BestWeights, RunHistory, Throughput


def model_of(value: float) -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="only")])
    model.set_weights([np.full((1, 1), value), np.zeros(1)])
    return model


def test_best_weights_are_those_of_the_highest_accuracy(tmp_path):
    path = tmp_path / "best.weights.h5"
    model, callback = model_of(0), BestWeights(path)
    callback.set_model(model)
    # accuracy, loss: epoch 2 ties in accuracy with a lower loss, epoch 3 with a higher one
    for epoch, (accuracy, loss) in enumerate([(0.5, 1.0), (0.7, 1.0), (0.7, 0.9), (0.7, 0.95)]):
        model.set_weights([np.full((1, 1), epoch), np.zeros(1)])
        callback.on_epoch_end(epoch, {"val_accuracy": accuracy, "val_loss": loss})
    model.load_weights(path)
    assert model.get_weights()[0].item() == 2
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_failed_write_leaves_the_old_weights(tmp_path, monkeypatch):
    path = tmp_path / "best.weights.h5"
    model, callback = model_of(1), BestWeights(path)
    callback.set_model(model)
    callback.on_epoch_end(0, {"val_accuracy": 0.5, "val_loss": 1.0})
    old = path.read_bytes()

    def half_written(target):
        target.write_bytes(b"part")
        raise OSError("No space left on device")

    monkeypatch.setattr(model, "save_weights", half_written)
    with pytest.raises(OSError, match="No space"):
        callback.on_epoch_end(1, {"val_accuracy": 0.9, "val_loss": 0.5})
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_history_has_a_row_an_epoch(tmp_path):
    callback = RunHistory(tmp_path, pictures=False)
    for epoch in range(3):
        callback.on_epoch_end(epoch, {"loss": 1.0 / (epoch + 1), "accuracy": np.float32(0.5)})
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["loss"]) for row in rows] == pytest.approx([1, 1 / 2, 1 / 3])


def test_throughput_counts_training_clips(monkeypatch):
    now = iter([10.0, 12.0, 14.0])
    monkeypatch.setattr("keras_mtnet.training.callbacks.time.perf_counter", lambda: next(now))
    callback, logs = Throughput(batch_size=6), {}
    callback.set_model(types.SimpleNamespace(optimizer=keras.optimizers.SGD(0.25)))
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(0)
    callback.on_train_batch_end(1)
    callback.on_epoch_end(0, logs)
    assert logs == {"clips_per_second": 3.0, "learning_rate": 0.25}
