"""Convolutions followed by batch normalization, with fewer passes over the clip."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtnet.layers.numerics import at_least_float32, own_gradient

AXES = (0, 1, 2, 3)
Affine = tuple[Any, Any]


def fixed_affines(
    norms: Sequence[keras.layers.BatchNormalization | None], training: bool | None
) -> list[Affine | None]:
    """What normalizations of one epsilon do by their moving statistics: scales and shifts `(C,)`.

    None where one normalizes by the batch's own statistics, or is None. They are computed for all
    layers together: one by one, this would be a third of the graph.
    """
    fixed = [norm for norm in norms if norm is not None and not (training and norm.trainable)]
    if not fixed:
        return [None] * len(norms)

    def joined(name: str) -> Any:
        weights = [ops.convert_to_tensor(getattr(norm, name)) for norm in fixed]
        return ops.concatenate([at_least_float32(weight) for weight in weights])

    scale = joined("gamma") * ops.rsqrt(joined("moving_variance") + fixed[0].epsilon)
    shift = joined("beta") - joined("moving_mean") * scale
    if len(fixed) == 1:
        pairs = iter([(scale, shift)])
    else:
        ends = np.cumsum([norm.gamma.shape[0] for norm in fixed])[:-1].tolist()
        pairs = iter(zip(ops.split(scale, ends), ops.split(shift, ends), strict=True))
    return [next(pairs) if norm in fixed else None for norm in norms]


def conv_norm(
    conv: keras.layers.Conv3D,
    norm: keras.layers.BatchNormalization | None,
    x: Any,
    affine: Affine | None,
) -> Any:
    """`norm(conv(x))`, or `conv(x)` where there is no normalization; without activation.

    `affine` is of `fixed_affines`; None normalizes by the batch's own statistics. A fixed
    normalization is a scale and a shift per channel: the scale goes into the kernel or onto the
    result, whichever is smaller, which saves a pass over the clip. The convolution has no bias
    where there is a normalization.
    """
    if norm is None:
        return conv(x)
    if affine is None:
        return normalize_by_batch(norm, conv.convolution_op(x, conv.kernel))
    scale, shift = (ops.cast(part, x.dtype) for part in affine)
    positions = conv.compute_output_shape(x.shape)[1:4]
    if None not in positions and math.prod(positions) > math.prod(conv.kernel.shape[:4]):
        return conv.convolution_op(x, conv.kernel * scale) + shift
    return conv.convolution_op(x, conv.kernel) * scale + shift


def normalize_by_batch(norm: keras.layers.BatchNormalization, x: Any) -> Any:
    """`norm(x, training=True)`, moving statistics included, of a trainable normalization.

    The gradient derived from Keras' own formula passes over the clip about twice as often as is
    needed. Statistics are computed in float32, or float64, in every policy.
    """
    if norm.synchronized:  # its statistics come from all replicas
        return norm(x, training=True)
    x = at_least_float32(x)
    gamma, beta = (ops.cast(weight, x.dtype) for weight in (norm.gamma, norm.beta))
    y, mean, variance = _normalizer(norm.epsilon)(x, gamma, beta)
    for moving, batch in ((norm.moving_mean, mean), (norm.moving_variance, variance)):
        kept = ops.cast(moving, x.dtype) * norm.momentum
        moving.assign(kept + ops.stop_gradient(batch) * (1.0 - norm.momentum))
    return ops.cast(y, norm.compute_dtype)


def _normalizer(epsilon: float) -> Callable[..., tuple[Any, Any, Any]]:
    """From a clip, scales and shifts to the normalized clip and its means and variances.

    No gradient flows back through the means and variances that are returned.
    """

    @own_gradient
    def normalize(x: Any, gamma: Any, beta: Any) -> tuple[Any, Callable[[Any], Any]]:
        mean = ops.mean(x, AXES)
        centered = x - mean
        variance = ops.mean(ops.square(centered), AXES)
        inverse = ops.rsqrt(variance + epsilon)
        scale = inverse * gamma

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            of_beta = ops.sum(upstream, AXES)
            of_gamma = ops.sum(upstream * centered, AXES) * inverse
            share = scale / _positions(x)
            of_x = scale * upstream - (centered * (share * of_gamma * inverse) + share * of_beta)
            return of_x, of_gamma, of_beta

        return (centered * scale + beta, mean, variance), gradient

    return normalize


def _positions(x: Any) -> Any:
    """Number of values per channel."""
    if None not in x.shape[:4]:
        return float(math.prod(x.shape[:4]))
    return ops.cast(ops.prod(ops.stack(ops.shape(x)[:4])), x.dtype)
