import os
import signal
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet.data import ReadReport
from keras_mtnet.data.sampling import epoch_order
from keras_mtnet.data.videos import Video, Videos
from keras_mtnet.optimizers import LayerwiseSGD
from keras_mtnet.training import Recipe
from keras_mtnet.training.checkpoint import RunState, checkpoints, restore_checkpoint
from keras_mtnet.training.keeping import KeepPlace, StopAtNaN
from keras_mtnet.training.plan import plan

EPOCHS = plan(Recipe(batch_size=4, epochs=3, stride=1, size=16), 18)  # 5 steps each


def model() -> keras.Model:
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    made.compile(LayerwiseSGD(0.1), "mse")
    made.optimizer.build(made.trainable_variables)
    return made


def place_of(folder, state, report=None, **settings) -> KeepPlace:
    place = KeepPlace(folder, state, EPOCHS, report or ReadReport(), **settings)
    place.set_model(model())
    return place


def test_the_place_after_every_step(tmp_path):
    state = RunState()
    place = place_of(tmp_path, state)
    seen = []
    for epoch in EPOCHS:
        place.on_epoch_begin(epoch.number)
        for step in range(epoch.steps):
            place.on_train_batch_end(step)
            seen.append((state.epoch, state.sample, state.step))
        place.on_epoch_end(epoch.number)
    assert seen[:6] == [(0, 4 * n, n) for n in range(1, 6)] + [(1, 24, 6)]
    assert (state.epoch, state.sample, state.step) == (3, 60, 15)
    assert not checkpoints(tmp_path)  # ten minutes have not passed


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_the_optimizer_counts_the_steps_that_were_taken(tmp_path):
    """Where batches are left out, an epoch ends before its last step."""
    place = place_of(tmp_path, RunState())
    batches = [(np.ones((4, 3), "float32"), np.ones((4, 2), "float32"))] * 3

    def three():
        yield from batches

    like = tf.TensorSpec((4, 3), tf.float32), tf.TensorSpec((4, 2), tf.float32)
    stream = tf.data.Dataset.from_generator(three, output_signature=like)
    place.model.fit(stream, steps_per_epoch=5, epochs=1, callbacks=[place], verbose=0)
    assert place.state.step == 3
    assert int(place.model.optimizer.iterations) == 3


def test_checkpoints_come_by_steps_but_not_between_an_epoch_and_its_test(tmp_path):
    state, saved = RunState(), []
    place = place_of(tmp_path, state, steps=2, keep=99)
    for epoch in EPOCHS[:2]:
        place.on_epoch_begin(epoch.number)
        for step in range(epoch.steps):
            place.on_train_batch_end(step)
        saved.append([int(p.stem[5:]) for p in reversed(checkpoints(tmp_path))])
        place.on_epoch_end(epoch.number)
    # Step 10 is the last one of epoch 2; its checkpoint waits for the end of the epoch.
    assert saved == [[2, 4], [2, 4, 6, 8]]
    assert [int(p.stem[5:]) for p in reversed(checkpoints(tmp_path))] == [2, 4, 6, 8, 10]


def test_checkpoints_come_by_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("keras_mtnet.training.keeping.time.monotonic", lambda: now[0])
    place = place_of(tmp_path, RunState(), minutes=2)
    place.on_epoch_begin(0)
    for step in range(4):
        now[0] += 50
        place.on_train_batch_end(step)
    assert [p.name for p in checkpoints(tmp_path)] == ["step-000000003.npz"]


def test_metrics_go_on_from_where_they_were(tmp_path):
    place = place_of(tmp_path, RunState(), metrics=[])
    variables = place.model.metrics_variables
    place.metrics = [np.full(v.shape, 3.0, v.dtype) for v in variables]
    for expected in (3.0, 0.0):  # only in the epoch that was broken off
        place.model.reset_metrics()
        place.on_epoch_begin(0)
        assert variables and all(float(v) == expected for v in variables)


def test_a_full_disk_does_not_end_a_run(tmp_path, monkeypatch, capsys):
    state = RunState()
    place = place_of(tmp_path, state, steps=1)
    place.on_epoch_begin(0)
    place.on_train_batch_end(0)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        place.on_train_batch_end(1)
    assert "the checkpoint of step 2 could not be written" in capsys.readouterr().out
    assert [p.name for p in checkpoints(tmp_path)] == ["step-000000001.npz"]
    place.on_train_batch_end(2)  # there is room again
    assert checkpoints(tmp_path)[0].name == "step-000000003.npz"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_after_the_step_with_a_checkpoint(tmp_path, number, capsys):
    before = signal.getsignal(number)
    state = RunState()
    place = place_of(tmp_path, state)
    place.on_epoch_begin(0)
    with place.stopping_at_signals():
        place.on_train_batch_end(0)
        os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt, match=f"{number.name} after step 2"):
            place.on_train_batch_end(1)
    assert signal.getsignal(number) is before
    (path,) = checkpoints(tmp_path)
    assert restore_checkpoint(path, place.model) == state


def test_a_second_signal_does_not_wait(tmp_path):
    place = place_of(tmp_path, RunState())
    with pytest.raises(KeyboardInterrupt), place.stopping_at_signals():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass
    assert not checkpoints(tmp_path)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run(tmp_path, loss):
    videos = Videos([Video(f"{n}.mp4", 0, f"video{n}") for n in range(18)])
    state = RunState(sample=4, step=1)
    guard = StopAtNaN(state, EPOCHS, videos, seed=3, folder=tmp_path)
    guard.set_model(types.SimpleNamespace())
    guard.on_epoch_begin(0)
    guard.on_train_batch_end(0, {"loss": 0.5})
    names = [f"video{n}" for n in epoch_order(3, 0, 18)[4:8]]
    with pytest.raises(FloatingPointError, match="step 2, in epoch 1") as error:
        guard.on_train_batch_end(0, {"loss": loss})
    assert ", ".join(names) in str(error.value) and "no checkpoint yet" in str(error.value)
    (tmp_path / "step-000000001.npz").touch()
    with pytest.raises(FloatingPointError, match=r"last good checkpoint is .*step-000000001\.npz"):
        guard.on_train_batch_end(0, {"loss": loss})
