"""Multi-temporal convolution of two streams that stay apart, as in the released networks."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.convolutions import CenteredConv3D, PointwiseConv3D
from keras_mtnet.layers.defaults import BN_EPSILON, BN_MOMENTUM, he_fan_out
from keras_mtnet.layers.mt_conv import split_channels
from keras_mtnet.layers.shapes import check_channels_last, check_clip_shape, strided, triple
from keras_mtnet.layers.similar_frame_selection import SimilarFrameSelection
from keras_mtnet.layers.trilinear_resize import trilinear_resize
from keras_mtnet.layers.window_pooling import AveragePool

Shape = tuple[int | None, ...]
Shapes = Sequence[Sequence[int | None]]


@keras.saving.register_keras_serializable(package="keras_mtnet")
class TwoStreamMTConv(keras.layers.Layer):
    """Convolutions of a local and a prolonged stream, with a connection from the one to the other.

    Unlike `MTConv`, the prolonged stream comes in small and stays small, both of its terms share
    one batch normalisation, the lateral connection reads the local convolution as it is, and
    nothing is activated:

        u_L = conv_k(x_L)
        y_L = BN_L(u_L)
        y_P = BN_P(conv_k(x_P)) + BN_P(conv_1x1x1(resize(select(average_pool(u_L)))))

    Args:
        filters: output channels of both streams together.
        kernel_size: int or (frames, height, width), odd.
        strides: int or three.
        ratio: share of the filters in the local stream, 0 < ratio < 1.
        lateral: whether there is a connection; without it y_P is its first term.
        synchronized: compute batch statistics over all replicas of a `tf.distribute` strategy.

    Input and output: local `(N, T, H, W, C)` and prolonged `(N, T', H', W', C')`; each size of the
    output is `ceil(size / stride)`.

    Raises:
        ValueError: for arguments outside these choices, or where a stream would have no channel.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int] = 1,
        strides: int | Sequence[int] = 1,
        ratio: float = 7 / 8,
        lateral: bool = True,
        synchronized: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_channels_last()
        self.filters = filters
        self.kernel_size = triple(kernel_size, "kernel_size")
        self.strides = triple(strides, "strides")
        self.ratio = ratio
        self.lateral = lateral
        self.synchronized = synchronized

        local, prolonged = split_channels(filters, ratio, "filters")
        if not prolonged:
            raise ValueError(f"Two streams need a ratio below 1. Received: ratio={ratio}")
        self.local_conv = self._conv(local, self.kernel_size, self.strides, "local_conv")
        self.local_bn = self._batch_norm("local_bn")
        self.prolonged_conv = self._conv(
            prolonged, self.kernel_size, self.strides, "prolonged_conv"
        )
        self.prolonged_bn = self._batch_norm("prolonged_bn")
        if lateral:
            self.lateral_conv = self._conv(prolonged, (1, 1, 1), (1, 1, 1), "lateral_conv")
            self.pool = AveragePool((1, 2, 2), dtype=self.dtype_policy, name="pool")
            self.selection = SimilarFrameSelection(dtype=self.dtype_policy, name="selection")

    def _conv(
        self, filters: int, kernel_size: tuple[int, ...], strides: tuple[int, ...], name: str
    ) -> keras.layers.Layer:
        conv = PointwiseConv3D if kernel_size == (1, 1, 1) else CenteredConv3D
        return conv(
            filters,
            kernel_size=kernel_size,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer=he_fan_out(),
            dtype=self.dtype_policy,
            name=name,
        )

    def _batch_norm(self, name: str) -> keras.layers.BatchNormalization:
        return keras.layers.BatchNormalization(
            momentum=BN_MOMENTUM,
            epsilon=BN_EPSILON,
            synchronized=self.synchronized,
            dtype=self.dtype_policy,
            name=name,
        )

    def inner_layers(self, input_shape: Shapes) -> list[tuple[keras.layers.Layer, Shape]]:
        """Lists each convolution and normalisation with the shape of what it receives."""
        local, prolonged = map(tuple, input_shape)
        local_output = self.local_conv.compute_output_shape(local)
        output = self.prolonged_conv.compute_output_shape(prolonged)
        parts = [
            (self.local_conv, local),
            (self.local_bn, local_output),
            (self.prolonged_conv, prolonged),
            (self.prolonged_bn, output),
        ]
        if self.lateral:
            small = self.selection.compute_output_shape(
                self.pool.compute_output_shape(local_output)
            )
            parts.append((self.lateral_conv, small))
        return parts

    def build(self, input_shape: Shapes) -> None:
        for shape in input_shape:
            check_clip_shape(shape, "TwoStreamMTConv")
        for layer, shape in self.inner_layers(input_shape):
            layer.build(shape)
        self.built = True

    def compute_output_shape(self, input_shape: Shapes) -> list[Shape]:
        return strided_streams(input_shape, self.filters, self.ratio, self.strides)

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> list[Any]:
        x_local, x_prolonged = inputs
        u_local = self.local_conv(x_local)
        y_local = self.local_bn(u_local, training=training)
        y_prolonged = self.prolonged_bn(self.prolonged_conv(x_prolonged), training=training)
        if not self.lateral:
            return [y_local, y_prolonged]
        # Convolved before it is resized, which is the same with an eighth of the channels.
        lateral = self.lateral_conv(self.selection(self.pool(u_local)))
        lateral = trilinear_resize(lateral, ops.shape(y_prolonged)[1:4])
        return [y_local, y_prolonged + self.prolonged_bn(lateral, training=training)]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "ratio": self.ratio,
            "lateral": self.lateral,
            "synchronized": self.synchronized,
        }


def strided_streams(
    input_shape: Shapes, filters: int, ratio: float, strides: Sequence[int]
) -> list[Shape]:
    """Shapes of both streams after convolutions with these strides to `filters` channels."""
    channels = split_channels(filters, ratio, "filters")
    return [
        (n, *map(strided, sizes, strides), count)
        for (n, *sizes, _), count in zip(input_shape, channels, strict=True)
    ]
