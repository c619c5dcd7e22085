"""SoftPool by one exponential and two average poolings, beside the form that the layer has.

    python benchmarks/soft_pool.py

Relative to one maximum of the whole clip, `y = mean(x exp(x - m)) / mean(exp(x - m))` in every
window. That is exact while the spread of the input (max - min) is small enough for float32, which
is shown first: errors are relative to float64. Then both forms take turns, forward alone and with
the gradient; a ratio is the median over the rounds of a form's time to that of the layer.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from keras_mtnet.layers import SoftPool

import numpy as np
import tensorflow as tf

SPREADS = (1, 10, 40, 80, 100, 200)
SHAPES = ((1, 16, 56, 56, 21), (1, 16, 28, 28, 42), (4, 8, 28, 28, 42))  # of MTNetM's branches
ROUNDS = 25


def one_maximum(x: Any) -> Any:
    _, t, h, w, c = x.shape
    shares = tf.exp(x - tf.stop_gradient(tf.reduce_max(x)))

    def mean(values: Any) -> Any:
        return tf.nn.avg_pool2d(tf.reshape(values, (-1, h, w, c)), 2, 2, "VALID")

    return tf.reshape(mean(shares * x) / mean(shares), (-1, t, h // 2, w // 2, c))


def exact(x: np.ndarray) -> np.ndarray:
    n, t, h, w, c = x.shape
    windows = x.astype("float64").reshape(n, t, h // 2, 2, w // 2, 2, c)
    shares = np.exp(windows - windows.max(axis=(3, 5), keepdims=True))
    return (shares * windows).sum(axis=(3, 5)) / shares.sum(axis=(3, 5))


def with_gradient(pool: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(pool(x)))
        return tape.gradient(loss, x)

    return run


def seconds(run: Callable[[Any], Any], x: Any) -> float:
    start = time.perf_counter()
    run(x)
    return time.perf_counter() - start


def main() -> None:
    forms = {"layer": SoftPool(), "one maximum": one_maximum}
    print("| spread | error, layer | error, one maximum |\n|---|---|---|")
    for spread in SPREADS:
        x = np.random.default_rng(0).uniform(-spread / 2, spread / 2, SHAPES[0]).astype("float32")
        errors = [np.abs(np.asarray(form(x)) - exact(x)).max() / spread for form in forms.values()]
        print(f"| {spread} | {errors[0]:.1e} | {errors[1]:.1e} |")
    print("\n| clips | forward, ratio | with gradient, ratio |\n|---|---|---|")
    for shape in SHAPES:
        x, ratios = tf.random.normal(shape, seed=0), []
        for wrap in (lambda form: form, with_gradient):
            layer, other = (tf.function(wrap(form)) for form in forms.values())
            times = [(seconds(other, x), seconds(layer, x)) for _ in range(ROUNDS + 3)][3:]
            ratios.append(statistics.median(a / b for a, b in times))
        print(f"| {' x '.join(map(str, shape))} | {ratios[0]:.2f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
