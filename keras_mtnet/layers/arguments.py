"""Checks and defaults that several layers share."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import keras
from keras import ops

# The authors' framework defaults (torch momentum 0.1): Keras' own 0.99 and 1e-3 leave the
# statistics of short runs unusable.
BN_MOMENTUM = 0.9
BN_EPSILON = 1e-5


def triple(value: int | Sequence[int], name: str) -> tuple[int, int, int]:
    """Returns `value` as (frames, height, width), each a positive int."""
    values = tuple(value) if isinstance(value, Sequence) else (value,) * 3
    if len(values) != 3 or not all(isinstance(v, Integral) and v > 0 for v in values):
        raise ValueError(f"{name} must be a positive int or three of them. Received: {value!r}")
    return tuple(map(int, values))


def check_clip_shape(shape: Sequence[int | None], layer: str) -> None:
    """Refuses what is not `(N, T, H, W, C)` with a known number of channels."""
    if len(shape) != 5 or shape[-1] is None:
        raise ValueError(
            f"{layer} takes clips of shape (batch, frames, height, width, channels) with a fixed "
            f"number of channels. Received: input_shape={tuple(shape)}"
        )


def check_channels_last() -> None:
    """Refuses the global `channels_first` setting, with which clips would be read wrongly."""
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "keras_mtnet takes clips as (frames, height, width, channels). Call "
            "keras.config.set_image_data_format('channels_last'). Received: "
            f"image_data_format={keras.config.image_data_format()!r}"
        )


def he_fan_out() -> keras.initializers.Initializer:
    """He normal initialisation over the fan out, as a new object a layer."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def strided(size: int | None, stride: int) -> int | None:
    """Length of an axis after a convolution with padding "same": rounded up."""
    return None if size is None else -(-size // stride)


def halved(size: int | None, factor: int = 2) -> int | None:
    """Length of an axis after pooling or frame selection: rounded down, never below 1."""
    return None if size is None else max(1, size // factor)


def sizes(x: Any) -> tuple[Any, ...]:
    """Frames, rows and columns of a clip: ints, or tensors where the graph does not know them."""
    known = tuple(x.shape[1:4])
    return ops.shape(x)[1:4] if None in known else known
