"""A plain `fit` with ExactResume, killed and started again by the test beside this file.

    python killed_fit.py FOLDER POLICY DEVICES KILL_AT

With KILL_AT = 0 it continues to the end, then trains the same once more without interruption, and
writes what both came to.
"""

import json
import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_mtnet as mt

folder, policy, devices, kill_at = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
tf.config.experimental.enable_op_determinism()
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(22, 6)).astype("float32"), rng.integers(0, 3, 22)


class Kill(keras.callbacks.Callback):
    step = 0

    def on_train_batch_begin(self, batch, logs=None):
        if self.step == kill_at > 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.step += 1


def fit(output: Path) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    keras.utils.set_random_seed(1)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices)])
    with strategy.scope() if devices > 1 else tf.distribute.get_strategy().scope():
        model = keras.Sequential(
            [
                *(keras.Input((6,)), keras.layers.Dense(8), keras.layers.BatchNormalization()),
                *(keras.layers.ReLU(), keras.layers.Dropout(0.5, seed=3)),
                keras.layers.Dense(3, activation="softmax", dtype="float32"),
            ]
        )
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9, use_ema=True)
        if policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(
                optimizer, initial_scale=2.0**20, dynamic_growth_steps=4
            )
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    output.mkdir(exist_ok=True)
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)  # 6 steps, the last one smaller
    callbacks = [
        keras.callbacks.CSVLogger(str(output / "history.csv"), append=True),
        keras.callbacks.ReduceLROnPlateau(patience=1, min_delta=10),
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
    ]
    resume = mt.callbacks.ExactResume(
        output / "checkpoints", data, steps=4, callbacks=callbacks, keep=1
    )
    done = model.fit(
        data,
        validation_data=(X[:6], Y[:6]),
        epochs=4,
        verbose=0,
        callbacks=[*callbacks, resume, Kill()],
    )
    values = {f"model/{i}": v for i, v in enumerate(model.variables)}
    values |= {f"optimizer/{i}": v for i, v in enumerate(model.optimizer.variables)}
    return {k: keras.ops.convert_to_numpy(v) for k, v in values.items()}, done.history


keras.config.set_dtype_policy(policy)
resumed, history = fit(folder / "killed")
whole, whole_history = fit(folder / "whole")
np.savez(folder / "values.npz", **{f"resumed/{k}": v for k, v in resumed.items()})
np.savez(folder / "whole.npz", **{f"resumed/{k}": v for k, v in whole.items()})
(folder / "histories.json").write_text(json.dumps([history, whole_history]))
