"""Convolution followed by batch normalisation, as one step where nothing is learnt."""

import math
from typing import Any

import keras
from keras import ops


def conv_norm(
    conv: keras.layers.Conv3D,
    norm: keras.layers.BatchNormalization,
    x: Any,
    training: bool | None = None,
) -> Any:
    """Returns `norm(conv(x))`.

    In inference the normalisation is a scale and a shift a channel. The scale goes into the kernel
    or onto the result, whichever is smaller, so that the clip is passed over once less.

    Args:
        conv: convolution without bias and activation.
        norm: normalisation of its channels.
        x: tensor `(N, T, H, W, C)`.
        training: whether to normalise by the batch's own statistics.
    """
    if training and norm.trainable:
        return norm(conv.convolution_op(x, conv.kernel), training=True)
    # Statistics are float32 in every policy; so is what is made of them.
    scale = ops.cast(norm.gamma, "float32") * ops.rsqrt(norm.moving_variance + norm.epsilon)
    shift = ops.cast(norm.beta, "float32") - norm.moving_mean * scale
    scale, shift = ops.cast(scale, x.dtype), ops.cast(shift, x.dtype)
    positions = conv.compute_output_shape(x.shape)[1:4]
    if None not in positions and math.prod(positions) > math.prod(conv.kernel.shape[:4]):
        return conv.convolution_op(x, conv.kernel * scale) + shift
    return conv.convolution_op(x, conv.kernel) * scale + shift
