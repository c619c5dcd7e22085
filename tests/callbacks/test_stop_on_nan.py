import types

import keras
import numpy as np
import pytest

from keras_mtnet.callbacks import StopOnNaN


def test_the_step_its_videos_and_the_way_back_are_named(tmp_path):
    data = types.SimpleNamespace(batch_names=lambda e, b: [f"v{e}.mp4", f"w{b}.mp4"])
    stop = StopOnNaN(tmp_path, data)
    stop.on_epoch_begin(2)
    stop.on_train_batch_end(0, {"loss": 0.5})
    with pytest.raises(FloatingPointError) as error:
        stop.on_train_batch_end(4, {"loss": float("inf")})
    assert "loss is inf at batch 5 of epoch 3; its clips are of v2.mp4, w4.mp4" in str(error.value)
    assert "There is no checkpoint" in str(error.value)
    (tmp_path / "step-000000001.npz").touch()
    with pytest.raises(FloatingPointError, match=r"last good checkpoint is .*step-000000001\.npz"):
        stop.on_train_batch_end(4, {"loss": float("nan")})


def test_a_fit_ends_at_once(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    x = np.ones((12, 3), "float32")
    x[5] = np.nan
    with pytest.raises(FloatingPointError, match="loss is nan at batch 2 of epoch 1"):
        model.fit(x, x[:, :2], batch_size=4, shuffle=False, verbose=0, callbacks=[StopOnNaN()])
