import sys
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet.training import Recipe
from keras_mtnet.training.checkpoint import RunState
from keras_mtnet.training.plan import plan
from keras_mtnet.training.progress import InputClock, Progress, Throughput

EPOCHS = plan(Recipe(batch_size=6, epochs=2, stride=1, size=16), 18)


def test_throughput_counts_training_clips(monkeypatch):
    """The first step, in which the graph is traced, is left out; waiting is counted."""
    clock = InputClock()
    callback, logs = Throughput(EPOCHS, clock), {}
    callback.set_model(types.SimpleNamespace(optimizer=keras.optimizers.SGD(0.25)))
    now = [0.0]
    monkeypatch.setattr("keras_mtnet.training.progress.time.perf_counter", lambda: now[0])

    def step(number, wait, seconds):
        callback.on_train_batch_begin(number)
        clock.arrived = now[0] + wait
        now[0] += seconds
        callback.on_train_batch_end(number)

    callback.on_epoch_begin(0)
    step(0, wait=90, seconds=100)
    step(1, wait=1, seconds=2)
    step(2, wait=0, seconds=2)
    callback.on_epoch_end(0, logs)
    assert logs == {"clips_per_second": 3.0, "input_wait": 0.25, "learning_rate": 0.25}
    callback.on_epoch_begin(1)  # of the same shape: nothing is traced
    step(0, wait=0, seconds=3)
    assert callback.now() == {"clips_per_second": 2.0, "input_wait": 0.0}


def test_the_clock_sees_a_slow_input():
    """Batches that take 50 ms each, for steps that take next to none."""

    def slow():
        for _ in range(8):
            time.sleep(0.05)
            yield np.zeros((6, 3), "float32"), np.zeros(6, "int32")

    signature = (tf.TensorSpec((6, 3)), tf.TensorSpec((6,), tf.int32))
    clock = InputClock()
    stream = clock.watch(tf.data.Dataset.from_generator(slow, output_signature=signature))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    throughput = Throughput(EPOCHS, clock)
    model.fit(stream, shuffle=False, verbose=0, callbacks=[throughput])
    assert throughput.now()["input_wait"] > 0.5
    fast = tf.data.Dataset.from_tensors((tf.zeros((6, 3)), tf.zeros(6, tf.int32))).repeat(50)
    model.fit(clock.watch(fast), shuffle=False, verbose=0, callbacks=[throughput])
    assert throughput.now()["input_wait"] < 0.5


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_a_bar_or_a_line(terminal, monkeypatch, capsys):
    throughput = Throughput(EPOCHS)
    throughput.set_model(types.SimpleNamespace(optimizer=keras.optimizers.SGD(0.25)))
    progress = Progress(EPOCHS, throughput, RunState(epoch=1, sample=18 + 6))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    for callback in (throughput, progress):
        callback.on_epoch_begin(1)
    for number in range(2):  # it began after the first of three steps
        throughput.on_train_batch_begin(number)
        throughput.on_train_batch_end(number)
        progress.on_train_batch_end(number, {"loss": 0.5})
    progress.on_epoch_end(1, {"loss": 0.5, "val_loss": 0.25})
    out = capsys.readouterr().out
    if terminal:
        assert "Epoch 2/2" in out and "3/3" in out and "2/3" in out and "1/3" not in out
        assert "clips_per_second" in out and "val_loss: 0.2500" in out
    else:
        assert out == "Epoch 2/2: loss 0.5  val_loss 0.25\n"
