"""Batch normalisation by the batch's own statistics, with a gradient of its own."""

import math
from typing import Any

import keras
from keras import ops

AXES = (0, 1, 2, 3)


def normalise_by_batch(norm: keras.layers.BatchNormalization, x: Any) -> Any:
    """Returns `norm(x, training=True)` and updates the moving statistics of `norm`.

    The gradient derived from Keras' own formula passes over the clip about twice as often as is
    needed. Statistics are float32 in every policy.

    Args:
        norm: trainable normalisation over the last axis, with scale and centre.
        x: tensor `(N, T, H, W, C)`.
    """
    if norm.synchronized:  # its statistics come from all replicas
        return norm(x, training=True)
    gamma, beta = (ops.cast(weight, "float32") for weight in (norm.gamma, norm.beta))
    x = ops.cast(x, "float32")
    mean = ops.mean(x, AXES)
    variance = ops.mean(ops.square(x - mean), AXES)
    mean, variance = ops.stop_gradient(mean), ops.stop_gradient(variance)
    y = _normalise(x, mean, ops.rsqrt(variance + norm.epsilon), gamma, beta)
    for moving, batch in ((norm.moving_mean, mean), (norm.moving_variance, variance)):
        moving.assign(moving * norm.momentum + batch * (1.0 - norm.momentum))
    return ops.cast(y, norm.compute_dtype)


@ops.custom_gradient
def _normalise(x: Any, mean: Any, inverse: Any, gamma: Any, beta: Any) -> Any:
    """`(x - mean) * inverse * gamma + beta`; x takes the gradient of its mean and deviation too."""
    centred = x - mean
    scale = inverse * gamma

    def gradient(*args: Any, upstream: Any = None) -> tuple[Any, ...]:
        upstream = args[0] if upstream is None else upstream  # PyTorch names it
        of_beta = ops.sum(upstream, AXES)
        of_gamma = ops.sum(upstream * centred, AXES) * inverse
        share = scale / _positions(x)
        of_x = scale * upstream - (centred * (share * of_gamma * inverse) + share * of_beta)
        return of_x, ops.zeros_like(mean), ops.zeros_like(inverse), of_gamma, of_beta

    return centred * scale + beta, gradient


def _positions(x: Any) -> Any:
    """How many values of a channel there are."""
    if None not in x.shape[:4]:
        return float(math.prod(x.shape[:4]))
    return ops.cast(ops.prod(ops.stack(ops.shape(x)[:4])), "float32")
