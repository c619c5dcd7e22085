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


def cut(x: Any, starts: Sequence[int], lengths: Sequence[Any]) -> Any:
    """A part of `x`, `(N, T, H, W, C)`: so many frames, rows and columns from the starts on.

    TensorFlow's gradient of an index, as of `x[:, 1:9]`, takes ten times as long as this one.
    """
    n, *_, c = ops.shape(x)
    return ops.slice(x, (0, *starts, 0), (n, *lengths, c))


def every_frame(x: Any, step: int) -> Any:
    """`x[:, ::step]`, with a faster gradient."""
    if step == 1 or x.shape[1] == 1:
        return x
    n, t, h, w, c = ops.shape(x)
    kept = -(-t // step)
    if x.shape[1] is None or t % step:
        x = ops.pad(x, [[0, 0], [0, kept * step - t], [0, 0], [0, 0], [0, 0]])
    groups = ops.reshape(x, (n * kept, step, h, w, c))
    return ops.reshape(cut(groups, (0, 0, 0), (1, h, w)), (n, kept, h, w, c))


def sizes(x: Any) -> tuple[Any, ...]:
    """Frames, height and width of a clip; tensors where the graph does not know them."""
    known = tuple(x.shape[1:4])
    return ops.shape(x)[1:4] if None in known else known
