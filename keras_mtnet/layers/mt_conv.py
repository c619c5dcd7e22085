"""Multi-temporal convolution: a local and a prolonged branch in place of one Conv3D (eqs. 1-4)."""

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.batch_norm import Affine, conv_norm, fixed_affines
from keras_mtnet.layers.convolutions import CenteredConv3D, ClipConv3D, PointwiseConv3D
from keras_mtnet.layers.defaults import batch_norm, he_fan_out
from keras_mtnet.layers.shapes import (
    check_channels_last,
    check_clip_shape,
    check_not_empty,
    halved,
    sizes,
    strided,
    triple,
)
from keras_mtnet.layers.soft_pool import SoftPool
from keras_mtnet.layers.trilinear_resize import trilinear_resize
from keras_mtnet.layers.triplet_cosine_selection import TripletCosineSelection
from keras_mtnet.layers.window_pooling import AveragePool, MaxPool, StochasticPool

PADDINGS = ("same", "centered", "valid")
POOLINGS = {"soft": SoftPool, "avg": AveragePool, "max": MaxPool, "stochastic": StochasticPool}


@keras.saving.register_keras_serializable(package="keras_mtnet")
class MTConv(keras.layers.Layer):
    """Replaces Conv3D (without bias) + BatchNormalization + activation (eqs. 1-4).

    A share `ratio` of the channels goes through an ordinary 3-D convolution (local branch). The
    rest are pooled 2x2 and reduced to the frames least similar to their neighbors (prolonged
    branch), so their kernels cover twice the space and time. The prolonged branch also reads the
    result of the local one, and is interpolated back:

        a_L = ReLU(BN(conv_k(x_L)))
        z_P = BN(conv_k(down(x_P))) + BN(conv_1x1x1(down(a_L)))
        y   = activation(concat(BN(conv_k(x_L)), resize(z_P)))

    where `down` is pooling and frame selection.

    Args:
        filters: output channels.
        kernel_size: int or (frames, height, width).
        strides: int or three.
        ratio: share of the channels in the local branch, of the input and of the filters,
            0 < ratio <= 1 (7/8 in the paper). 1 leaves exactly Conv3D + BatchNormalization +
            activation.
        activation: applied to both branches; the connection from the local to the prolonged branch
            reads a ReLU in any case.
        pooling: `"soft"`, `"avg"`, `"max"` or `"stochastic"` (Table VI(c)).
        frame_selection: halve time by triplet cosine selection; False pools frames with the same
            operator (the symmetric variants of Table VI(c)).
        synchronized: compute batch statistics over all replicas of a `tf.distribute` strategy.
        padding: `"same"`; `"centered"`, which adds half the kernel on both sides whatever the
            stride, as PyTorch networks do; or `"valid"`, which pads the prolonged branch alone,
            since its result is interpolated in any case.
        fused: convolutions with biases in place of batch normalization, as `keras_mtnet.fuse`
            makes them.

    Input: `(N, T, H, W, C)`. Output: `(N, ceil(T / s), ceil(H / s), ceil(W / s), filters)`; with
    padding "valid", sizes are those of `keras.layers.Conv3D`.

    Raises:
        ValueError: for arguments outside these choices, or where a branch would have no channel.

    Example:

    >>> MTConv(32, strides=(1, 2, 2))(keras.ops.ones((1, 8, 16, 16, 24))).shape
    TensorShape([1, 8, 8, 8, 32])
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int] = 3,
        strides: int | Sequence[int] = 1,
        ratio: float = 7 / 8,
        activation: Any = "relu",
        pooling: str = "soft",
        frame_selection: bool = True,
        synchronized: bool = False,
        padding: str = "same",
        fused: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_channels_last()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {sorted(POOLINGS)}. Received: {pooling!r}")
        if padding not in PADDINGS:
            raise ValueError(f"padding must be one of {PADDINGS}. Received: padding={padding!r}")
        self.filters = filters
        self.kernel_size = triple(kernel_size, "kernel_size")
        self.strides = triple(strides, "strides")
        self.ratio = ratio
        self.activation = keras.activations.get(activation)
        self.pooling = pooling
        self.frame_selection = frame_selection
        self.synchronized = synchronized
        self.padding = padding
        self.fused = fused

        local, prolonged = split_channels(filters, ratio, "filters")
        steps = (self.kernel_size, self.strides)
        self.local_conv = self._conv(local, *steps, padding, "local_conv")
        self.local_bn = self._norm("local_bn")
        self.prolonged = prolonged > 0
        if self.prolonged:
            outside = "same" if padding == "valid" else padding
            self.prolonged_conv = self._conv(prolonged, *steps, outside, "prolonged_conv")
            self.prolonged_bn = self._norm("prolonged_bn")
            self.lateral_conv = self._conv(prolonged, (1, 1, 1), (1, 1, 1), "same", "lateral_conv")
            self.lateral_bn = self._norm("lateral_bn")
            window = (1, 2, 2) if frame_selection else (2, 2, 2)
            self.pool = POOLINGS[pooling](window, dtype=self.dtype_policy, name="pool")
            self.selection = None
            if frame_selection:
                self.selection = TripletCosineSelection(dtype=self.dtype_policy, name="selection")

    def _conv(
        self,
        filters: int,
        kernel_size: tuple[int, ...],
        strides: tuple[int, ...],
        padding: str,
        name: str,
    ) -> keras.layers.Conv3D:
        conv = CenteredConv3D if padding == "centered" else ClipConv3D
        if kernel_size == (1, 1, 1):
            conv = PointwiseConv3D
        return conv(
            filters,
            kernel_size=kernel_size,
            strides=strides,
            padding="valid" if padding == "valid" else "same",
            use_bias=self.fused,
            kernel_initializer=he_fan_out(),
            dtype=self.dtype_policy,
            name=name,
        )

    def _norm(self, name: str) -> keras.layers.BatchNormalization | None:
        return None if self.fused else batch_norm(name, self.synchronized, self.dtype_policy)

    def inner_layers(
        self, input_shape: Sequence[int | None]
    ) -> list[tuple[keras.layers.Layer, tuple]]:
        """Each convolution and normalization, with the shape of what it receives."""
        n, *spans, channels = input_shape
        split_channels(self.filters, self.ratio, "filters")
        local, prolonged = split_channels(channels, self.ratio, "input channels")
        local_shape = (n, *spans, local)
        local_output = self.local_conv.compute_output_shape(local_shape)
        layers = [(self.local_conv, local_shape), (self.local_bn, local_output)]
        if self.prolonged:
            small = (n, *map(halved, spans), prolonged)
            output = self.prolonged_conv.compute_output_shape(small)
            lateral = (n, *map(halved, local_output[1:4]), local_output[4])
            lateral_output = self.lateral_conv.compute_output_shape(lateral)
            layers += [
                (self.prolonged_conv, small),
                (self.prolonged_bn, output),
                (self.lateral_conv, lateral),
                (self.lateral_bn, lateral_output),
            ]
        return [(layer, shape) for layer, shape in layers if layer is not None]

    def build(self, input_shape: Sequence[int | None]) -> None:
        check_clip_shape(input_shape, "MTConv")
        self.local_channels, _ = split_channels(input_shape[-1], self.ratio, "input channels")
        for layer, shape in self.inner_layers(input_shape):
            layer.build(shape)
        self.built = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        if self.padding == "valid":
            return (*self.local_conv.compute_output_shape(input_shape)[:-1], self.filters)
        n, *spans, _ = input_shape
        return (n, *map(strided, spans, self.strides), self.filters)

    def conv_norms(
        self,
    ) -> list[tuple[keras.layers.Conv3D, keras.layers.BatchNormalization | None]]:
        """Each convolution with the normalization of its result, in the order of `inner_layers`."""
        pairs = [(self.local_conv, self.local_bn)]
        if self.prolonged:
            pairs.append((self.prolonged_conv, self.prolonged_bn))
            pairs.append((self.lateral_conv, self.lateral_bn))
        return pairs

    def call(self, x: Any, training: bool | None = None) -> Any:
        check_not_empty(x, "MTConv")
        affines = fixed_affines([norm for _, norm in self.conv_norms()], training)
        if not self.prolonged:
            return self._whole(x, affines)
        local, prolonged = ops.split(x, [self.local_channels], axis=-1)
        branches = self._branches(local, prolonged, affines, training)
        return ops.concatenate(branches, axis=-1)

    def _whole(self, x: Any, affines: Sequence[Affine | None]) -> Any:
        """The result where there is no prolonged branch."""
        return self.activation(conv_norm(self.local_conv, self.local_bn, x, *affines))

    def _branches(
        self,
        x_local: Any,
        x_prolonged: Any,
        affines: Sequence[Affine | None],
        training: bool | None,
    ) -> tuple[Any, Any]:
        """Channels of both branches from channels of both.

        A chain of these layers (`MTBlock`) hands them on as they are, since it splits and joins
        all clips at the same channel, and either copies the clip. For the same reason it computes
        the `fixed_affines` of all its layers together.
        """
        of_local, of_prolonged, of_lateral = affines
        local = conv_norm(self.local_conv, self.local_bn, x_local, of_local)
        a_local = ops.relu(local)
        z, lateral = self._down_both(x_prolonged, a_local, training)
        z = conv_norm(self.prolonged_conv, self.prolonged_bn, z, of_prolonged)
        lateral = conv_norm(self.lateral_conv, self.lateral_bn, lateral, of_lateral)
        # They differ in size where rounding does: ceil(floor(n/2) / s) and floor(ceil(n/s) / 2).
        z = z + trilinear_resize(lateral, sizes(z))
        a_prolonged = self.activation(trilinear_resize(z, sizes(local)))
        if self.activation is not keras.activations.relu:
            a_local = self.activation(local)
        return a_local, a_prolonged

    def _down_both(self, x: Any, a: Any, training: bool | None) -> list[Any]:
        """`_down` of both, at once where they have the same size and keep the same frames.

        The clips are then small, and the number of operations is what costs.
        """
        t = x.shape[1]
        chooses = self.selection is not None and t != 1 and self.selection._fixed_frames(t) is None
        if chooses or None in x.shape[1:4] or x.shape[1:4] != a.shape[1:4]:
            return [self._down(x, training), self._down(a, training)]
        both = self._down(ops.concatenate([x, a], axis=-1), training)
        return ops.split(both, [x.shape[-1]], axis=-1)

    def _down(self, x: Any, training: bool | None) -> Any:
        """Halves rows and columns by pooling and frames by selection."""
        if self.selection is None:
            return self.pool(x, training=training)
        # Frames that are dropped whatever they hold need no pooling.
        if self.selection._fixed_frames(x.shape[1]) is not None:
            return self.pool(self.selection(x), training=training)
        return self.selection(self.pool(x, training=training))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "ratio": self.ratio,
            "activation": keras.activations.serialize(self.activation),
            "pooling": self.pooling,
            "frame_selection": self.frame_selection,
            "synchronized": self.synchronized,
            "padding": self.padding,
            "fused": self.fused,
        }


def split_channels(channels: int, ratio: float, what: str) -> tuple[int, int]:
    """Numbers of local and prolonged channels: `floor(ratio * channels)` and the rest (eq. 1).

    Raises:
        ValueError: naming `what` is split, if ratio is outside 0 < ratio <= 1 or a branch would get
            no channel.
    """
    if not 0 < ratio <= 1:
        raise ValueError(
            f"ratio must be greater than 0 and at most 1 (1: plain 3-D convolution, no prolonged "
            f"branch). Received: ratio={ratio}"
        )
    if not isinstance(channels, Integral) or channels < 1:
        raise ValueError(f"{what} must be a positive int. Received: {channels!r}")
    channels = int(channels)
    if ratio == 1:
        return channels, 0
    local = math.floor(ratio * channels + 1e-9)  # 0.29 * 100 is 28.999999999999996
    if local == 0 or local == channels:
        raise ValueError(
            f"ratio={ratio} splits {channels} {what} into {local} local and {channels - local} "
            "prolonged: each branch needs at least one. Use more channels, a ratio nearer 1/2, or "
            "ratio=1."
        )
    return local, channels - local
