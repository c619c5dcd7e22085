"""Convolution followed by batch normalisation, as one step where nothing is learnt."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtnet.layers.batch_statistics import normalise_by_batch

Affine = tuple[Any, Any]


def fixed_affines(
    norms: Sequence[keras.layers.BatchNormalization], training: bool | None
) -> list[Affine | None]:
    """What normalisations do where they go by their moving statistics: a scale and a shift.

    They are computed for all of them together: one by one, this would be a third of the graph.

    Returns:
        For each normalisation its scale and shift, float32 `(C,)`; None where it normalises by
        the batch's own statistics.
    """
    fixed = [norm for norm in norms if not (training and norm.trainable)]
    if not fixed:
        return [None] * len(norms)

    def joined(name: str) -> Any:
        # Statistics are float32 in every policy; so is what is made of them.
        return ops.concatenate([ops.cast(getattr(norm, name), "float32") for norm in fixed])

    scale = joined("gamma") * ops.rsqrt(joined("moving_variance") + fixed[0].epsilon)
    shift = joined("beta") - joined("moving_mean") * scale
    if len(fixed) > 1:
        ends = np.cumsum([norm.gamma.shape[0] for norm in fixed])[:-1].tolist()
        scale, shift = ops.split(scale, ends), ops.split(shift, ends)
    else:
        scale, shift = [scale], [shift]
    affines = iter(zip(scale, shift, strict=True))
    return [next(affines) if norm in fixed else None for norm in norms]


def conv_norm(
    conv: keras.layers.Conv3D,
    norm: keras.layers.BatchNormalization,
    x: Any,
    affine: Affine | None,
) -> Any:
    """Returns `norm(conv(x))`.

    A fixed normalisation is a scale and a shift a channel. The scale goes into the kernel or onto
    the result, whichever is smaller, so that the clip is passed over once less.

    Args:
        conv: convolution without bias and activation.
        norm: normalisation of its channels.
        x: tensor `(N, T, H, W, C)`.
        affine: of `fixed_affines`; None to normalise by the batch's own statistics.
    """
    if affine is None:
        return normalise_by_batch(norm, conv.convolution_op(x, conv.kernel))
    scale, shift = (ops.cast(part, x.dtype) for part in affine)
    positions = conv.compute_output_shape(x.shape)[1:4]
    if None not in positions and math.prod(positions) > math.prod(conv.kernel.shape[:4]):
        return conv.convolution_op(x, conv.kernel * scale) + shift
    return conv.convolution_op(x, conv.kernel) * scale + shift
