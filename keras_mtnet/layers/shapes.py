"""Shapes of clips: checks, and the lengths of axes after a layer."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import keras
from keras import ops

Shape = tuple[int | None, ...]


def triple(value: int | Sequence[int], name: str) -> tuple[int, int, int]:
    """`value`, a positive int or three of them, as (frames, height, width); `name` is in errors."""
    values = tuple(value) if isinstance(value, Sequence) else (value,) * 3
    if len(values) != 3 or not all(isinstance(v, Integral) and v > 0 for v in values):
        raise ValueError(f"{name} must be a positive int or three of them. Received: {value!r}")
    frames, height, width = map(int, values)
    return frames, height, width


def check_clip_shape(shape: Sequence[int | None], layer: str) -> None:
    """Refuses what is not `(N, T, H, W, C)` with a known number of channels."""
    if len(shape) != 5 or shape[-1] is None:
        raise ValueError(
            f"{layer} takes clips of shape (batch, frames, height, width, channels) with a fixed "
            f"number of channels. Received: input_shape={tuple(shape)}"
        )


def check_not_empty(x: Any, layer: str) -> None:
    """Refuses a batch of 0 clips, where TensorFlow's convolutions give results of a wrong shape."""
    if x.shape[0] == 0:
        raise ValueError(f"{layer} needs at least one clip. Received: shape={tuple(x.shape)}")


def check_channels_last() -> None:
    """Refuses the global setting `channels_first`, with which clips would be read wrongly."""
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "keras_mtnet takes clips as (frames, height, width, channels). Call "
            "keras.config.set_image_data_format('channels_last'). Received: "
            f"image_data_format={keras.config.image_data_format()!r}"
        )


def strided(size: int | None, stride: int) -> int | None:
    """Length of an axis after a convolution with padding "same", rounded up."""
    return None if size is None else -(-size // stride)


def halved(size: int | None, factor: int = 2) -> int | None:
    """Length of an axis after pooling or frame selection, rounded down and never below 1."""
    return None if size is None else max(1, size // factor)


def sizes(x: Any) -> tuple[Any, ...]:
    """Frames, height and width of a clip; tensors where the graph does not know them."""
    known = tuple(x.shape[1:4])
    return ops.shape(x)[1:4] if None in known else known
