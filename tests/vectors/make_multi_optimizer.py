"""Writes multi_optimizer.npz: what MultiOptimizer of TensorFlow Addons makes of a small network.

Run once, apart from this package, which cannot share an environment with TensorFlow Addons:

    pip install "tensorflow==2.15.*" "tensorflow-addons==0.23.0" "numpy<2"
    python tests/vectors/make_multi_optimizer.py

Two layers, the first at a tenth of the rate of the second, Nesterov momentum, a rate that falls
along a cosine; the weights after each step.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

RATE, FACTOR, MOMENTUM, STEPS, TOTAL = 0.2, 0.1, 0.9, 6, 10


def main() -> None:
    rng = np.random.default_rng(20261122)
    keras = tf.keras
    layers = [
        keras.layers.Dense(5, activation="tanh", name="features"),
        keras.layers.Dense(3, name="predictions"),
    ]
    model = keras.Sequential([keras.Input((4,)), *layers])
    weights = [rng.normal(0, 0.7, weight.shape).astype("float32") for weight in model.weights]
    model.set_weights(weights)
    x = rng.normal(0, 1, (STEPS, 8, 4)).astype("float32")
    y = rng.integers(0, 3, (STEPS, 8))

    def sgd(factor: float) -> keras.optimizers.Optimizer:
        rate = keras.optimizers.schedules.CosineDecay(RATE * factor, TOTAL)
        return keras.optimizers.SGD(rate, momentum=MOMENTUM, nesterov=True)

    optimizer = tfa.optimizers.MultiOptimizer([(sgd(FACTOR), layers[0]), (sgd(1.0), layers[1])])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    after = []
    for step in range(STEPS):
        model.train_on_batch(x[step], y[step])
        after.append([weight.numpy() for weight in model.weights])
    arrays = {"x": x, "y": y, "rate": RATE, "factor": FACTOR, "momentum": MOMENTUM, "total": TOTAL}
    for place, weight in enumerate(model.weights):
        name = weight.name.split(":")[0]
        arrays[f"before/{name}"] = weights[place]
        arrays[f"after/{name}"] = np.stack([step[place] for step in after])
    versions = {"tensorflow": tf.__version__, "addons": tfa.__version__}
    np.savez(Path(__file__).with_name("multi_optimizer.npz"), **arrays, **versions)


if __name__ == "__main__":
    main()
