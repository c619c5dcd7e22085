import time
import types

import keras
import numpy as np
import tensorflow as tf

from keras_mtnet.callbacks import Throughput


def test_training_clips_are_counted(monkeypatch):
    """The first step, in which the graph is traced, is left out; waiting is counted."""
    callback, logs, now = Throughput(batch_size=6), {}, [0.0]
    callback.watch(tf.data.Dataset.range(1))
    callback.set_model(
        types.SimpleNamespace(optimizer=keras.optimizers.SGD(0.25), train_function=None)
    )
    clock = types.SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr("keras_mtnet.callbacks.throughput.time", clock)

    def step(number, wait, seconds):
        callback.on_train_batch_begin(number)
        callback._arrived = now[0] + wait
        now[0] += seconds
        callback.on_train_batch_end(number)

    callback.on_epoch_begin(0)
    step(0, wait=90, seconds=100)
    step(1, wait=1, seconds=2)
    step(2, wait=0, seconds=2)
    now[0] += 50  # a validation
    callback.on_epoch_end(0, logs)
    assert logs == {"clips_per_second": 3.0, "input_wait": 0.25, "learning_rate": 0.25}
    callback.on_epoch_begin(1)  # nothing is traced any more
    step(0, wait=0, seconds=3)
    callback.on_epoch_end(1, logs)
    assert logs["clips_per_second"] == 2.0 and logs["input_wait"] == 0.0
    callback.on_epoch_begin(2)  # resumed behind its last step
    callback.on_epoch_end(2, logs)
    assert np.isnan(logs["clips_per_second"]) and np.isnan(logs["input_wait"])


def test_a_slow_input_is_seen():
    """Batches that take 50 ms each, for steps that take next to none."""

    def slow():
        for _ in range(8):
            time.sleep(0.05)
            yield np.zeros((6, 3), "float32"), np.zeros(6, "int32")

    signature = (tf.TensorSpec((6, 3)), tf.TensorSpec((6,), tf.int32))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    throughput = Throughput(batch_size=6)
    data = tf.data.Dataset.from_generator(slow, output_signature=signature)
    data = data.apply(tf.data.experimental.assert_cardinality(8))
    data.class_names = ("a", "b")
    watched = throughput.watch(data)
    assert watched.class_names == ("a", "b") and len(watched) == 8
    history = model.fit(watched, verbose=0, callbacks=[throughput]).history
    assert history["input_wait"][0] > 0.5
