import keras
import numpy as np
import pytest

from keras_mtnet.callbacks import BestWeights


def model_of(value: float) -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="only")])
    model.set_weights([np.full((1, 1), value), np.zeros(1)])
    return model


def best_weights(path, model: keras.Model) -> BestWeights:
    callback = BestWeights(path)
    callback.set_model(model)
    return callback


def test_best_weights_are_those_of_the_highest_accuracy(tmp_path):
    path = tmp_path / "best.weights.h5"
    model = model_of(0)
    callback = best_weights(path, model)
    # accuracy, loss: epoch 2 ties in accuracy with a lower loss, epoch 3 with a higher one
    for epoch, (accuracy, loss) in enumerate([(0.5, 1.0), (0.7, 1.0), (0.7, 0.9), (0.7, 0.95)]):
        model.set_weights([np.full((1, 1), epoch), np.zeros(1)])
        callback.on_test_end({"accuracy": accuracy, "loss": loss})
    model.load_weights(path)
    assert model.get_weights()[0].item() == 2
    assert callback.best == [0.7, -0.9]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_failed_write_leaves_the_old_weights_and_training(tmp_path, monkeypatch, caplog):
    path = tmp_path / "best.weights.h5"
    model = model_of(1)
    callback = best_weights(path, model)
    callback.on_test_end({"accuracy": 0.5, "loss": 1.0})
    old = path.read_bytes()

    def half_written(target):
        target.write_bytes(b"part")
        raise OSError("No space left on device")

    monkeypatch.setattr(model, "save_weights", half_written)
    callback.on_test_end({"accuracy": 0.9, "loss": 0.5})
    assert "best.weights.h5 could not be written (No space left" in caplog.text
    assert path.read_bytes() == old and callback.best == [0.5, -1.0]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_metric_that_is_not_there_is_named(tmp_path):
    callback = BestWeights(tmp_path / "best.weights.h5", monitor="top5")
    with pytest.raises(ValueError, match=r"'top5' of the validation, which has .'loss'."):
        callback.on_test_end({"loss": 1.0})
