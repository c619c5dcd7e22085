"""A `fit` that broke and was started again against an unbroken one; prints the largest difference.

KERAS_BACKEND says on which backend.
"""

import tempfile
import types

import keras
import numpy as np

import keras_mtnet as mt

X, Y = np.arange(24, dtype="float32").reshape(12, 2) / 24, np.eye(2, dtype="float32")[[0, 1] * 6]


class Data(keras.utils.PyDataset):
    def __init__(self):
        super().__init__()
        self.position = types.SimpleNamespace(epoch=0, skip=0)

    def __len__(self):
        return 4

    def __getitem__(self, batch):
        rows = np.random.default_rng(self.position.epoch).permutation(12)[3 * batch :][:3]
        return X[rows], Y[rows]


class Stop(keras.callbacks.Callback):
    def __init__(self, left):
        super().__init__()
        self.left = left

    def on_train_batch_begin(self, batch, logs=None):
        if self.left == 0:
            raise InterruptedError
        self.left -= 1


def fit(folder: str, seed: int, stop: int = 99) -> list[np.ndarray]:
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dropout(0.3, seed=1), keras.layers.Dense(2, activation="softmax")]
    model = keras.Sequential([keras.Input((2,)), *layers])
    optimizer = mt.optimizers.LayerwiseSGD(
        0.5, weight_decay=0.01, lr_multipliers=[("bias", 0.5)], trainable_from=[("kernel", 2)]
    )
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    data = Data()
    callbacks = [Stop(stop), mt.callbacks.ExactResume(folder, data, steps=1)]
    history = model.fit(
        data, validation_data=(X, Y), epochs=3, shuffle=False, verbose=0, callbacks=callbacks
    ).history
    variables = model.variables + model.optimizer.variables
    return [*map(keras.ops.convert_to_numpy, variables), *map(np.array, history.values())]


with tempfile.TemporaryDirectory() as folder:
    try:
        fit(folder + "/broken", seed=0, stop=6)
    except InterruptedError:
        pairs = zip(fit(folder + "/broken", seed=1), fit(folder + "/whole", seed=0), strict=True)
        print(keras.backend.backend(), max(float(np.abs(a - b).max()) for a, b in pairs))
