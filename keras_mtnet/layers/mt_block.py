"""The residual block of MTNets."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.batch_norm import Affine, conv_norm, fixed_affines
from keras_mtnet.layers.convolutions import PointwiseConv3D
from keras_mtnet.layers.defaults import batch_norm, he_fan_out
from keras_mtnet.layers.mt_conv import MTConv
from keras_mtnet.layers.shapes import check_clip_shape, check_not_empty, strided, triple
from keras_mtnet.layers.squeeze_and_recursion import SqueezeAndRecursion
from keras_mtnet.layers.stateless_block import StatelessBlock


@keras.saving.register_keras_serializable(package="keras_mtnet")
class MTBlock(StatelessBlock, keras.layers.Layer):
    """Four multi-temporal convolutions, squeeze and recursion, and a shortcut (Section III-B).

    With `mid = int(filters * bottleneck)`, the convolutions are 1x1x1 to mid, 1x1x1 back to the
    input's channels, 3x3x3 to mid with the strides, and 1x1x1 to `filters` without activation. The
    gated result is added to the input, or to its 1x1x1 convolution with batch normalization where
    the shape changes, and passed through a ReLU.

    Args:
        filters: output channels.
        strides: int or (frames, height, width), of the 3x3x3 convolution.
        bottleneck: width of the inner convolutions relative to `filters`.
        ratio, pooling, frame_selection, synchronized: as in `MTConv`.
        cell: as in `SqueezeAndRecursion`.
        remat: in training, keep only the input and compute the rest again for the gradient, which
            takes less memory and more time.
        fused: as in `MTConv`.

    Input: `(N, T, H, W, C)`. Output: `(N, ceil(T / s), ceil(H / s), ceil(W / s), filters)`.

    Raises:
        ValueError: as `MTConv` and `SqueezeAndRecursion` do.

    Example:

    >>> MTBlock(48, strides=2)(keras.ops.ones((1, 4, 8, 8, 24))).shape
    TensorShape([1, 2, 4, 4, 48])
    """

    def __init__(
        self,
        filters: int,
        strides: int | Sequence[int] = 1,
        bottleneck: float = 2.25,
        ratio: float = 7 / 8,
        cell: str = "gru",
        pooling: str = "soft",
        frame_selection: bool = True,
        synchronized: bool = False,
        remat: bool = False,
        fused: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = triple(strides, "strides")
        self.bottleneck = bottleneck
        self.ratio = ratio
        self.cell = cell
        self.pooling = pooling
        self.frame_selection = frame_selection
        self.synchronized = synchronized
        self.remat = remat
        self.fused = fused
        self.gate = SqueezeAndRecursion(cell, dtype=self.dtype_policy, name="gate")

    def _mt_conv(self, filters: int, name: str, **kwargs: Any) -> MTConv:
        return MTConv(
            filters,
            ratio=self.ratio,
            pooling=self.pooling,
            frame_selection=self.frame_selection,
            synchronized=self.synchronized,
            fused=self.fused,
            dtype=self.dtype_policy,
            name=name,
            **{"kernel_size": 1, **kwargs},
        )

    def build(self, input_shape: Sequence[int | None]) -> None:
        check_clip_shape(input_shape, "MTBlock")
        channels, mid = input_shape[-1], int(self.filters * self.bottleneck)
        self.convs = [
            self._mt_conv(mid, "conv1"),
            self._mt_conv(channels, "conv2"),
            self._mt_conv(mid, "conv3", kernel_size=3, strides=self.strides),
            self._mt_conv(self.filters, "conv4", activation=None),
        ]
        self.shortcut_conv = None
        if channels != self.filters or self.strides != (1, 1, 1):
            self.shortcut_conv = PointwiseConv3D(
                self.filters,
                strides=self.strides,
                padding="same",
                use_bias=self.fused,
                kernel_initializer=he_fan_out(),
                dtype=self.dtype_policy,
                name="shortcut_conv",
            )
            self.shortcut_bn = None
            if not self.fused:
                self.shortcut_bn = batch_norm("shortcut_bn", self.synchronized, self.dtype_policy)
        for layer, shape in self.inner_layers(input_shape):
            layer.build(shape)
        self.built = True

    def inner_layers(
        self, input_shape: Sequence[int | None]
    ) -> list[tuple[keras.layers.Layer, tuple]]:
        """The layers inside, with the shape of what each receives."""
        layers, shape = [], tuple(input_shape)
        for conv in self.convs:
            layers.append((conv, shape))
            shape = conv.compute_output_shape(shape)
        layers.append((self.gate, shape))
        if self.shortcut_conv is not None:
            layers.append((self.shortcut_conv, tuple(input_shape)))
            if self.shortcut_bn is not None:
                layers.append((self.shortcut_bn, shape))
        return layers

    def conv_norms(
        self,
    ) -> list[tuple[keras.layers.Conv3D, keras.layers.BatchNormalization | None]]:
        """Each convolution with the normalization of its result, the shortcut's last."""
        pairs = [pair for conv in self.convs for pair in conv.conv_norms()]
        if self.shortcut_conv is not None:
            pairs.append((self.shortcut_conv, self.shortcut_bn))
        return pairs

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        n, *sizes, _ = input_shape
        return (n, *map(strided, sizes, self.strides), self.filters)

    def call(self, x: Any, training: bool | None = None) -> Any:
        check_not_empty(x, "MTBlock")
        if self._is_function(x, training):
            return self._call_function(x, training)
        affines = fixed_affines([norm for _, norm in self.conv_norms()], training)
        y = self.gate(self._convolve(x, affines, training))
        if self.shortcut_conv is not None:
            x = conv_norm(self.shortcut_conv, self.shortcut_bn, x, affines[-1])
        return ops.relu(x + y)

    def _convolve(self, x: Any, affines: Sequence[Affine | None], training: bool | None) -> Any:
        following = iter(affines)
        first = self.convs[0]
        if not first.prolonged:
            for conv in self.convs:
                x = conv._whole(x, [next(following)])
            return x
        local, prolonged = ops.split(x, [first.local_channels], axis=-1)
        for conv in self.convs:
            own = [next(following) for _ in conv.conv_norms()]
            local, prolonged = conv._branches(local, prolonged, own, training)
        return ops.concatenate([local, prolonged], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "bottleneck": self.bottleneck,
            "ratio": self.ratio,
            "cell": self.cell,
            "pooling": self.pooling,
            "frame_selection": self.frame_selection,
            "synchronized": self.synchronized,
            "remat": self.remat,
            "fused": self.fused,
        }
