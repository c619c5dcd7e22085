import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mtnet as mt
import keras_mtnet.data.clip_reader
from keras_mtnet.callbacks import BestWeights, ExactResume
from keras_mtnet.callbacks.checkpoint import find_checkpoints

SCRIPT = Path(__file__).with_name("killed_fit.py")


def start(folder: Path, policy: str, devices: int, kill_at: int) -> int:
    command = [sys.executable, str(SCRIPT), str(folder), policy, str(devices), str(kill_at)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode


@pytest.mark.parametrize(
    "policy, devices, kills, tolerance",
    [
        # In the middle of epoch 2, with its checkpoint; after the last step of epoch 3 (18 steps).
        ("float32", 1, (9, 8), 0),
        ("float32", 2, (9,), 1e-4),
        ("mixed_float16", 1, (9,), 0),
    ],
)
def test_a_killed_fit_equals_an_unbroken_one(tmp_path, policy, devices, kills, tolerance):
    """All variables, the loss scale among them, the history, and the log of each epoch."""
    for kill in kills:
        assert start(tmp_path, policy, devices, kill) == -signal.SIGKILL
    assert find_checkpoints(tmp_path / "killed" / "checkpoints")
    assert start(tmp_path, policy, devices, 0) == 0
    with np.load(tmp_path / "values.npz") as resumed, np.load(tmp_path / "whole.npz") as whole:
        assert resumed.files == whole.files and len(whole.files) > 15
        for name in whole.files:
            np.testing.assert_allclose(resumed[name], whole[name], rtol=0, atol=tolerance)
    history, expected = json.loads((tmp_path / "histories.json").read_text())
    assert history.keys() == expected.keys() and len(history["val_accuracy"]) == 4
    for name in expected:
        np.testing.assert_allclose(history[name], expected[name], rtol=0, atol=tolerance)
    if tolerance == 0:
        logs = [(tmp_path / run / "history.csv").read_text() for run in ("killed", "whole")]
        assert logs[0] == logs[1]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends(backend):
    pytest.importorskip(backend)
    command = [sys.executable, str(SCRIPT.with_name("resumed_on_backend.py"))]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.stdout == f"{backend} 0.0\n", done.stderr[-3000:]


# --- In one process ------------------------------------------------------------------------------

X, Y = np.arange(24, dtype="float32").reshape(12, 2) / 24, np.eye(2, dtype="float32")[[0, 1] * 6]


def model_of(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
    optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return model


def batches() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(3)


class Stop(keras.callbacks.Callback):
    """Does something before a step of the fit."""

    def __init__(self, step, action):
        super().__init__()
        self.left, self.action = step, action

    def on_train_batch_begin(self, batch, logs=None):
        if not self.left:
            self.action()
        self.left -= 1


class Broken(Exception):
    pass


def breaks() -> None:
    raise Broken


def fit(folder, data=None, seed=0, callbacks=(), epochs=3, **settings) -> keras.Model:
    model, data = model_of(seed), batches() if data is None else data
    if "callbacks_" in settings:
        settings["callbacks"] = settings.pop("callbacks_")
    resume = ExactResume(folder, data, **settings)
    model.fit(data, epochs=epochs, verbose=0, shuffle=False, callbacks=[*callbacks, resume])
    return model


def assert_equal(one: keras.Model, other: keras.Model) -> None:
    assert one.history.history == other.history.history
    assert one.history.epoch == other.history.epoch
    pairs = zip(
        one.variables + one.optimizer.variables,
        other.variables + other.optimizer.variables,
        strict=True,
    )
    for a, b in pairs:
        np.testing.assert_array_equal(np.array(a), np.array(b))


def names(folder: Path) -> list[str]:
    return [path.name for path in reversed(find_checkpoints(folder))]


def test_checkpoints_come_by_steps_and_at_the_end(tmp_path):
    fit(tmp_path, steps=5, keep=99)
    assert names(tmp_path) == [f"step-{n:09d}.npz" for n in (5, 10, 12)]


def test_checkpoints_come_by_time(tmp_path, monkeypatch):
    now = iter(range(0, 10**6, 50))
    clock = types.SimpleNamespace(monotonic=lambda: next(now))
    monkeypatch.setattr("keras_mtnet.callbacks.exact_resume.time", clock)
    fit(tmp_path, minutes=5, keep=99)
    assert 2 < len(names(tmp_path)) < 8


@pytest.mark.parametrize("step", [1, 4, 6])  # 4 steps an epoch
def test_a_fit_that_broke_continues(tmp_path, step):
    with pytest.raises(Broken):
        fit(tmp_path, callbacks=[Stop(step, breaks)], steps=1)
    assert_equal(fit(tmp_path, seed=1, steps=1), fit(tmp_path / "whole"))


def test_a_finished_fit_only_restores(tmp_path):
    first = fit(tmp_path)
    again = fit(tmp_path, seed=1, callbacks=[Stop(0, breaks)])
    assert_equal(first, again)


def test_a_finished_fit_goes_on_when_there_are_more_epochs(tmp_path):
    fit(tmp_path, epochs=2)
    assert_equal(fit(tmp_path, seed=1), fit(tmp_path / "whole"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_after_the_step_with_a_checkpoint(tmp_path, number):
    before = signal.getsignal(number)
    signals = Stop(5, lambda: os.kill(os.getpid(), number))
    with pytest.raises(KeyboardInterrupt, match=f"{number.name} after step 6"):
        fit(tmp_path, callbacks=[signals])
    assert signal.getsignal(number) is before
    assert names(tmp_path) == ["step-000000006.npz"]
    assert_equal(fit(tmp_path, seed=1), fit(tmp_path / "whole"))


def test_a_second_signal_does_not_wait(tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, callbacks=[Stop(5, twice)])
    assert not names(tmp_path)


@pytest.fixture
def interruptible():
    """SIGINT interrupts, as in a terminal: what a shell starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_signal_after_a_fit_that_broke_does_what_it_did_before(tmp_path):
    with pytest.raises(Broken):
        fit(tmp_path, callbacks=[Stop(2, breaks)])
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_one_before_a_damaged_checkpoint_is_used(tmp_path, caplog):
    with pytest.raises(Broken):
        fit(tmp_path, callbacks=[Stop(7, breaks)], steps=3)
    (tmp_path / names(tmp_path)[-1]).write_bytes(b"half of it")
    assert_equal(fit(tmp_path, seed=1), fit(tmp_path / "whole"))
    assert "step-000000006.npz is damaged" in caplog.text


def test_a_full_disk_does_not_end_training(tmp_path, monkeypatch, caplog):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        model = fit(tmp_path, steps=5)
    assert "The checkpoint of step 5 could not be written" in caplog.text
    assert len(model.history.epoch) == 3 and not names(tmp_path)


def test_data_with_a_position_skip_by_themselves(tmp_path):
    """And each of their epochs has its own order, by its number."""

    class Data(keras.utils.PyDataset):
        def __init__(self):
            super().__init__()
            self.position, self.seen = types.SimpleNamespace(epoch=0, skip=0), []

        def __len__(self):
            return 4

        def __getitem__(self, batch):
            self.seen.append((self.position.epoch, self.position.skip, batch))
            rows = np.random.default_rng(self.position.epoch).permutation(12)[3 * batch :][:3]
            return X[rows], Y[rows]

    with pytest.raises(Broken):
        fit(tmp_path, Data(), callbacks=[Stop(6, breaks)], steps=1)
    data = Data()
    assert_equal(fit(tmp_path, data, seed=1), fit(tmp_path / "whole", Data()))
    assert (1, 2, 3) in data.seen and all(epoch > 0 for epoch, *_ in data.seen[4:])


def test_clips_of_this_package_go_on_without_reading_those_before(drawn, tmp_path):
    """With an optimizer and a network of this package, which tells the callback its data."""
    videos = mt.data.read_split("folder", str(drawn))
    read = []

    def fit_clips(folder, seed=0, callbacks=()):
        keras.utils.set_random_seed(seed)
        data = mt.data.clips(videos, 4, size=16, batch_size=8, training=True, seed=3)
        model = mt.MTNet((8,), (1,), classes=8, input_shape=(4, 16, 16, 3), ratio=1)
        optimizer = mt.optimizers.LayerwiseSGD(0.01, weight_decay=1e-4)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(data, epochs=2, verbose=0, callbacks=[*callbacks, ExactResume(folder, steps=1)])
        return model

    steps = -(-len(videos) // 8)
    with pytest.raises(Broken):
        fit_clips(tmp_path, callbacks=[Stop(steps + 2, breaks)])
    reader = mt.data.clip_reader.ClipReader
    random_clip = reader.random_clip
    reader.random_clip = lambda self, *args: read.append(args) or random_clip(self, *args)
    try:
        resumed = fit_clips(tmp_path, seed=1)
    finally:
        reader.random_clip = random_clip
    assert len(read) == 8 * (steps - 2)
    whole = fit_clips(tmp_path / "whole")
    # Operations are not deterministic here.
    for one, other in zip(resumed.weights, whole.weights, strict=True):
        np.testing.assert_allclose(np.array(one), np.array(other), rtol=0, atol=1e-4)
    assert resumed.clip_spec.class_names == videos.class_names


def test_an_endless_stream_is_read_from_its_beginning(tmp_path):
    def stream() -> tf.data.Dataset:
        return batches().unbatch().batch(5, drop_remainder=True).repeat()

    def fit_stream(folder, seed=0, callbacks=()):
        model, data = model_of(seed), stream()
        callbacks = [*callbacks, ExactResume(folder, data, steps=1)]
        model.fit(data, steps_per_epoch=3, epochs=3, verbose=0, callbacks=callbacks)
        return model

    with pytest.raises(Broken):
        fit_stream(tmp_path, callbacks=[Stop(7, breaks)])
    assert_equal(fit_stream(tmp_path, seed=1), fit_stream(tmp_path / "whole"))


def test_counters_of_other_callbacks_continue(tmp_path):
    def others(folder):
        return [
            keras.callbacks.EarlyStopping("loss", patience=2, min_delta=10),
            keras.callbacks.CSVLogger(str(folder / "log.csv"), append=True),
        ]

    found = []
    for folder, step in ((tmp_path / "broken", 6), (tmp_path / "whole", 99)):
        folder.mkdir()
        callbacks = others(folder)
        kill = Stop(step, breaks)
        try:
            fit(folder, callbacks=[*callbacks, kill], epochs=9, steps=1, callbacks_=callbacks)
        except Broken:
            callbacks = others(folder)
            fit(folder, seed=1, callbacks=callbacks, epochs=9, steps=1, callbacks_=callbacks)
        found.append(((folder / "log.csv").read_text(), callbacks[0].stopped_epoch))
    assert found[0] == found[1] and found[1][1] == 2
    # A training that was stopped early is over.
    model = fit(tmp_path / "whole", seed=1, callbacks=[Stop(0, breaks)], epochs=9)
    assert model.history.epoch == [0, 1, 2]


def test_rows_of_epochs_that_are_trained_again_leave_the_log(tmp_path):
    """Killed between the row of an epoch and the next checkpoint."""
    log = tmp_path / "log.csv"
    logger = keras.callbacks.CSVLogger(str(log), append=True)
    with pytest.raises(Broken):
        fit(tmp_path, callbacks=[logger, Stop(6, breaks)], steps=3)
    rows = log.read_text().splitlines()
    log.write_text("\n".join([*rows, "1,0.5,0.5,NA,NA", "2,0."]))  # as if killed while writing
    logger = keras.callbacks.CSVLogger(str(log), append=True)
    fit(tmp_path, callbacks=[logger], seed=1, callbacks_=[logger])
    assert [row.split(",")[0] for row in log.read_text().splitlines()] == ["epoch", "0", "1", "2"]
    assert log.read_text().splitlines()[:2] == rows[:2]


# --- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["steps", "minutes", "keep"])
def test_settings_that_cannot_be(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}=0"):
        ExactResume(tmp_path, **{name: 0})


def test_the_data_must_be_known(tmp_path):
    with pytest.raises(ValueError, match=r"pass what `fit` is given, ExactResume\(folder, data=x"):
        model_of().fit(X, Y, verbose=0, callbacks=[ExactResume(tmp_path)])


def test_the_model_must_be_built(tmp_path):
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="needs a built model"):
        model.fit(X, Y, verbose=0, callbacks=[ExactResume(tmp_path, data=X)])


def test_an_epoch_must_be_a_pass_over_data_with_a_position(tmp_path):
    data = batches()
    data.position = types.SimpleNamespace(epoch=0, skip=0)
    with pytest.raises(ValueError, match=r"4 batches\. Received: steps_per_epoch=3"):
        model_of().fit(data, steps_per_epoch=3, callbacks=[ExactResume(tmp_path, data)])


def test_another_network_is_refused(tmp_path):
    fit(tmp_path)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="is of another network"):
        model.fit(X, Y, verbose=0, callbacks=[ExactResume(tmp_path, data=X)])


def test_best_weights_continue(tmp_path):
    best = BestWeights(tmp_path / "best.weights.h5")
    best.best = [0.75, -0.5]
    with pytest.raises(Broken):
        fit(tmp_path, callbacks=[best, Stop(3, breaks)], steps=1, callbacks_=[best])
    again = BestWeights(tmp_path / "best.weights.h5")
    fit(tmp_path, callbacks=[again], callbacks_=[again])
    assert again.best == [0.75, -0.5]
