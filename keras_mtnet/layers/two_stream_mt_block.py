"""The residual block of the released networks."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.remat import Remat
from keras_mtnet.layers.shapes import triple
from keras_mtnet.layers.squeeze_and_recursion import SqueezeAndRecursion
from keras_mtnet.layers.trilinear_resize import trilinear_resize
from keras_mtnet.layers.two_stream_mt_conv import (
    Shape,
    Shapes,
    TwoStreamMTConv,
    strided_streams,
)

SMALLEST = 3  # rows and columns that the shortcut of the prolonged stream starts from


@keras.saving.register_keras_serializable(package="keras_mtnet")
class TwoStreamMTBlock(Remat, keras.layers.Layer):
    """Four convolutions of two streams, a gate on each stream, and a shortcut.

    The convolutions (`TwoStreamMTConv`) are 1x1x1 to `filters`, 1x1x1 back to the input's
    channels, 3x3x3 to `filters` with the strides, and a last one to `filters`, with a ReLU after
    each but the last. The last is 1x3x3; where the block changes the shape it is 1x1x1, and a
    1x1x1 `TwoStreamMTConv` without lateral connection stands in the shortcut. Each stream has its
    own squeeze and recursion. There, a prolonged stream of fewer than 3 rows is enlarged to 3x3
    before the shortcut.

    Args:
        filters: output channels of both streams together.
        strides: int or (frames, height, width), of the 3x3x3 convolution.
        ratio, synchronized: as in `TwoStreamMTConv`.
        cell: as in `SqueezeAndRecursion`.
        remat: as in `MTBlock`.

    Input and output as in `TwoStreamMTConv`.

    Raises:
        ValueError: as `TwoStreamMTConv` and `SqueezeAndRecursion` do.
    """

    def __init__(
        self,
        filters: int,
        strides: int | Sequence[int] = 1,
        ratio: float = 7 / 8,
        cell: str = "gru",
        synchronized: bool = False,
        remat: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = triple(strides, "strides")
        self.ratio = ratio
        self.cell = cell
        self.synchronized = synchronized
        self.remat = remat
        self.gates = [
            SqueezeAndRecursion(cell, dtype=self.dtype_policy, name=name)
            for name in ("local_gate", "prolonged_gate")
        ]

    def _conv(self, filters: int, name: str, **kwargs: Any) -> TwoStreamMTConv:
        return TwoStreamMTConv(
            filters,
            ratio=self.ratio,
            synchronized=self.synchronized,
            dtype=self.dtype_policy,
            name=name,
            **kwargs,
        )

    def build(self, input_shape: Shapes) -> None:
        channels = sum(shape[-1] for shape in input_shape)
        self.shortcut = None
        if channels != self.filters or self.strides != (1, 1, 1):
            self.shortcut = self._conv(
                self.filters, "shortcut", strides=self.strides, lateral=False
            )
        self.convs = [
            self._conv(self.filters, "conv1"),
            self._conv(channels, "conv2"),
            self._conv(self.filters, "conv3", kernel_size=3, strides=self.strides),
            self._conv(self.filters, "conv4", kernel_size=1 if self.shortcut else (1, 3, 3)),
        ]
        for layer, shape in self.inner_layers(input_shape):
            layer.build(shape)
        self.built = True

    def inner_layers(self, input_shape: Shapes) -> list[tuple[keras.layers.Layer, Any]]:
        """Lists the layers inside with the shape, or both shapes, of what each receives."""
        parts, shapes = [], [tuple(shape) for shape in input_shape]
        for conv in self.convs:
            parts.append((conv, shapes))
            shapes = conv.compute_output_shape(shapes)
        parts += zip(self.gates, shapes, strict=True)
        if self.shortcut:
            local, (n, t, h, w, c) = map(tuple, input_shape)
            if h is not None and h < SMALLEST:
                h = w = SMALLEST
            parts.append((self.shortcut, [local, (n, t, h, w, c)]))
        return parts

    def compute_output_shape(self, input_shape: Shapes) -> list[Shape]:
        return strided_streams(input_shape, self.filters, self.ratio, self.strides)

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> list[Any]:
        if self._rematerializes(training):
            return self._call_again(inputs)
        x = inputs
        for conv in self.convs[:-1]:
            x = [ops.relu(stream) for stream in conv(x, training=training)]
        x = self.convs[-1](x, training=training)
        x = [gate(stream) for gate, stream in zip(self.gates, x, strict=True)]
        local, prolonged = inputs
        if self.shortcut:
            prolonged = _enlarge(prolonged)
            local, prolonged = self.shortcut([local, prolonged], training=training)
            prolonged = trilinear_resize(prolonged, ops.shape(x[1])[1:4])
        return [ops.relu(x[0] + local), ops.relu(x[1] + prolonged)]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "ratio": self.ratio,
            "cell": self.cell,
            "synchronized": self.synchronized,
            "remat": self.remat,
        }


def _enlarge(x: Any) -> Any:
    """Interpolates frames of fewer than 3 rows to 3x3, others stay as they are."""
    t, h, w = ops.shape(x)[1:4]
    if isinstance(h, int):
        return trilinear_resize(x, (t, SMALLEST, SMALLEST)) if h < SMALLEST else x
    return trilinear_resize(x, (t, ops.maximum(h, SMALLEST), ops.where(h < SMALLEST, SMALLEST, w)))
