"""What most networks are made of: convolutions, each with its normalization and ReLU."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_mtnet.layers.convolutions import CenteredConv3D, PointwiseConv3D
from keras_mtnet.layers.defaults import batch_norm, he_fan_out
from keras_mtnet.layers.shapes import triple


def conv(
    x: Any,
    filters: int,
    kernel: int | Sequence[int],
    strides: int | Sequence[int],
    name: str,
    dtype: Any,
) -> Any:
    """Convolution without bias, padded as in PyTorch."""
    kernel = triple(kernel, "kernel")
    return (PointwiseConv3D if kernel == (1, 1, 1) else CenteredConv3D)(
        filters,
        kernel_size=kernel,
        strides=strides,
        use_bias=False,
        kernel_initializer=he_fan_out(),
        dtype=dtype,
        name=name,
    )(x)


def conv_norm(
    x: Any,
    filters: int,
    kernel: Any,
    strides: Any,
    name: str,
    norm: Mapping[str, Any],
    **kwargs: Any,
) -> Any:
    """Convolution and batch normalization.

    Args:
        x: clip `(N, T, H, W, C)`.
        filters, kernel, strides: of the convolution.
        name: of the layers, with a place for `"conv"` or `"bn"`.
        norm, **kwargs: arguments of `batch_norm`.
    """
    x = conv(x, filters, kernel, strides, name.format("conv"), norm["dtype"])
    return batch_norm(name.format("bn"), **norm, **kwargs)(x)


def conv_norm_relu(
    x: Any, filters: int, kernel: Any, strides: Any, name: str, norm: Mapping[str, Any]
) -> Any:
    """Convolution, batch normalization and ReLU; `name` has a place for each."""
    return relu(conv_norm(x, filters, kernel, strides, name, norm), name.format("relu"), norm)


def relu(x: Any, name: str, norm: Mapping[str, Any]) -> Any:
    """ReLU in the type of the batch normalizations."""
    return keras.layers.ReLU(dtype=norm["dtype"], name=name)(x)
