"""MTNet as its authors released it: two streams on the widths of a ResNet.

The paper describes one network and the authors' public PyTorch code builds another; the only
published weights belong to the second. `MTNetS(variant="released")` is that one. Its layers follow
the behavior of `network/MTnet.py` in alexandrosstergiou/Squeeze-and-Recursion-Temporal-Gates.
"""

import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.convolutions import CenteredConv3D, PointwiseConv3D
from keras_mtnet.layers.defaults import batch_norm, he_fan_out
from keras_mtnet.layers.mt_conv import split_channels
from keras_mtnet.layers.numerics import at_least_float32, reciprocal
from keras_mtnet.layers.shapes import halved, strided, triple
from keras_mtnet.layers.squeeze_and_recursion import SqueezeAndRecursion
from keras_mtnet.layers.stateless_block import StatelessBlock
from keras_mtnet.layers.trilinear_resize import trilinear_resize
from keras_mtnet.layers.triplet_cosine_selection import TripletCosineSelection
from keras_mtnet.layers.window_pooling import AveragePool
from keras_mtnet.models.builder import pool

Shape = tuple[Any, ...]  # None where a size is not known
Shapes = Sequence[Shape]
SHORTEST = 1e-4  # lower bound on the norm of a frame's mean
SMALLEST = 3  # rows and columns that the shortcut of the prolonged stream starts from

# How the authors' network/MTnet.py names the weights; see `keras_mtnet.weights.torch`.
TORCH_KEYS = (
    (r"^stem_conv/", "stem.0/"),
    (r"^stem_bn/", "stem.1/"),
    (r"^predictions/", "fc/"),
    (r"^stage(\d)_block(\d+)/", lambda match: f"layer{match[1]}.{int(match[2]) - 1}/"),
    (r"/conv([12])/", r"/conv1_\1/"),
    (r"/conv3/", "/conv2/"),
    (r"/conv4/", "/conv3/"),
    (r"/shortcut/", "/downsample/"),
    (r"/local_gate/", "/sr_short/op/"),
    (r"/prolonged_gate/", "/sr_long/op/"),
    (r"/local_conv/", "/conv_short/"),
    (r"/prolonged_conv/", "/conv_long/"),
    (r"/lateral_conv/", "/conv_short2long/"),
    (r"/local_bn/", "/norm_short/"),
    (r"/prolonged_bn/", "/norm_long/"),
)


def released_features(
    x: Any,
    stage_filters: Sequence[int],
    stage_depths: Sequence[int],
    stem_filters: int,
    pooling: str | None,
    dtype: Any,
    **options: Any,
) -> Any:
    """The released network without its classifier, from normalized clips `(N, T, H, W, 3)`.

    A 3x7x7 convolution and a `TwoStreamEntry` are followed by stages of `TwoStreamMTBlock`s. The
    local and the prolonged stream stay apart, at their own resolutions, and are joined at the end:
    pooled to `(N, C)`, or, where `pooling` is None, interpolated to a feature map `(N, T', H', W',
    C)`. Filters are those of both streams together, `options` those of the blocks.
    """
    x = _conv(stem_filters, "stem_conv", dtype, (3, 7, 7), (1, 2, 2))(x)
    x = batch_norm("stem_bn", options["synchronized"], dtype)(x)
    x = keras.layers.ReLU(name="stem_relu", dtype=dtype)(x)
    streams = TwoStreamEntry(options["ratio"], dtype=dtype, name="stem_streams")(x)
    for stage, (filters, depth) in enumerate(zip(stage_filters, stage_depths, strict=True), 1):
        for block in range(1, depth + 1):
            strides = 2 if block == 1 and stage > 1 else 1
            name = f"stage{stage}_block{block}"
            streams = TwoStreamMTBlock(filters, strides, dtype=dtype, name=name, **options)(streams)
    if pooling is None:
        return JoinStreams(dtype=dtype, name="head_join")(streams)
    names = ("head_local_pool", "head_prolonged_pool")
    pooled = [pool(x, pooling, dtype, name) for x, name in zip(streams, names, strict=True)]
    return keras.layers.Concatenate(dtype=dtype, name="head_join")(pooled)


def _conv(
    filters: int, name: str, dtype: Any, kernel_size: Shape = (1, 1, 1), strides: Shape = (1, 1, 1)
) -> keras.layers.Layer:
    kind = PointwiseConv3D if kernel_size == (1, 1, 1) else CenteredConv3D
    options = {"use_bias": False, "kernel_initializer": he_fan_out(), "dtype": dtype, "name": name}
    return kind(filters, kernel_size=kernel_size, strides=strides, padding="same", **options)


@keras.saving.register_keras_serializable(package="keras_mtnet")
class JoinStreams(keras.layers.Layer):
    """Interpolates the prolonged stream to the size of the local one and joins their channels."""

    def compute_output_shape(self, input_shape: Shapes) -> Shape:
        local, prolonged = input_shape
        return (*local[:-1], local[-1] + prolonged[-1])

    def call(self, inputs: Sequence[Any]) -> Any:
        local, prolonged = inputs
        resized = trilinear_resize(prolonged, ops.shape(local)[1:4])
        return ops.concatenate([local, resized], axis=-1)


@keras.saving.register_keras_serializable(package="keras_mtnet")
class SimilarFrameSelection(TripletCosineSelection):
    """Keeps the half of the frames that are most similar to their neighbors.

    The opposite choice of `TripletCosineSelection`. Frames are compared by the squared cosine of
    their spatial means; the first and last are never kept; one or two frames stay as they are.
    """

    def compute_output_shape(self, input_shape: Sequence[Any]) -> Shape:
        n, t, *rest = input_shape
        return (n, t if t is not None and t < 3 else halved(t, self.factor), *rest)

    def _fixed_frames(self, t: int | None) -> slice | None:
        return slice(0, t) if t is not None and t < 3 else super()._fixed_frames(t)

    def kept_frames(self, x: Any) -> Any:
        t = ops.shape(x)[1]
        known = isinstance(t, int) and self.compute_output_shape(x.shape)[1]
        count = known or ops.where(t < 3, t, ops.maximum(1, t // self.factor))
        means = ops.mean(at_least_float32(ops.stop_gradient(x)), axis=(2, 3))  # (N, T, C)
        norms = ops.sqrt(ops.sum(means * means, axis=-1, keepdims=True))
        means = means * reciprocal(ops.maximum(norms, SHORTEST))
        similarity = ops.square(ops.sum(means[:, :-1] * means[:, 1:], axis=-1))  # (N, T - 1)
        # The neighbor that the first and last frame lack ranks them behind all others.
        similarity = ops.pad(similarity, [[0, 0], [1, 1]], constant_values=-8.0)
        order = ops.argsort(-(similarity[:, :-1] + similarity[:, 1:]), axis=1)
        return ops.sort(ops.cast(order[:, :count], "int32"), axis=1)


@keras.saving.register_keras_serializable(package="keras_mtnet")
class TwoStreamEntry(keras.layers.Layer):
    """Splits what a stem gives, which is not negative, into a local and a prolonged stream.

    Each frame is max-pooled 3x3 with stride 2, and the frames most similar to their neighbors are
    kept. The local stream is the first `ratio` of the channels; the prolonged stream is the rest,
    average-pooled 2x2, with half its frames kept again.
    """

    def __init__(self, ratio: float = 7 / 8, **kwargs: Any):
        super().__init__(**kwargs)
        self.ratio = ratio
        self.pool = AveragePool((1, 2, 2), dtype=self.dtype_policy, name="pool")
        self.selection = SimilarFrameSelection(dtype=self.dtype_policy, name="selection")

    def compute_output_shape(self, input_shape: Shape) -> list[Shape]:
        n, t, h, w, c = input_shape
        odd = None if h is None or w is None else h % 2 or w % 2  # rounding looks at both
        h, w = (None, None) if odd is None else ((h + odd + 1) // 2, (w + odd + 1) // 2)
        local, prolonged = split_channels(c, self.ratio, "stem filters")
        pooled = self.selection.compute_output_shape((n, t, h, w, c))
        small = self.pool.compute_output_shape((*pooled[:-1], prolonged))
        return [(*pooled[:-1], local), self.selection.compute_output_shape(small)]

    def call(self, x: Any) -> list[Any]:
        channels, _ = split_channels(x.shape[-1], self.ratio, "stem filters")
        local, prolonged = ops.split(self.selection(_max_pool(x)), [channels], axis=-1)
        return [local, self.selection(self.pool(prolonged))]


def _max_pool(x: Any) -> Any:
    """Max pooling 3x3, stride 2, of each frame; windows start one row and column outside.

    Where rows or columns are odd in number, they start two outside, on both axes.
    """
    _, t, h, w, c = ops.shape(x)
    x = ops.reshape(x, (-1, h, w, c))
    even = (h + 1) % 2 * ((w + 1) % 2)  # 1 where both are, else 0
    before = 2 - even if isinstance(even, int) else 2
    x = ops.pad(x, [[0, 0], [before, 1], [before, 1], [0, 0]])
    x = x if isinstance(even, int) else x[:, even:, even:]
    x = ops.max_pool(x, 3, 2, padding="valid")
    return ops.reshape(x, (-1, t, *ops.shape(x)[1:]))


class _TwoStreams(keras.layers.Layer):
    """Input and output: local `(N, T, H, W, C)` and prolonged `(N, T', H', W', C')`.

    A size of the output is `ceil(size / stride)`; `floor(ratio * filters)` channels are local.
    """

    def build(self, input_shape: Shapes) -> None:
        for layer, shape in self.inner_layers(input_shape):
            layer.build(shape)
        self.built = True

    def compute_output_shape(self, input_shape: Shapes) -> list[Shape]:
        channels = split_channels(self.filters, self.ratio, "filters")
        return [
            (n, *map(strided, sizes, self.strides), count)
            for (n, *sizes, _), count in zip(input_shape, channels, strict=True)
        ]


@keras.saving.register_keras_serializable(package="keras_mtnet")
class TwoStreamMTConv(_TwoStreams):
    """Convolutions of a local and a prolonged stream, with a connection from the one to the other.

    Unlike in `MTConv`, the prolonged stream is small at both ends, and nothing is activated:

        u_L = conv_k(x_L)
        y_L = BN_L(u_L)
        y_P = BN_P(conv_k(x_P)) + BN_P(conv_1x1x1(resize(select(average_pool(u_L)))))

    Without `lateral`, y_P is its first term.
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
        self.filters, self.ratio, self.lateral = filters, ratio, lateral
        self.synchronized = synchronized
        self.kernel_size = triple(kernel_size, "kernel_size")
        self.strides = triple(strides, "strides")
        local, prolonged = split_channels(filters, ratio, "filters")
        if not prolonged:
            raise ValueError(f"Two streams need a ratio below 1. Received: ratio={ratio}")
        dtype, sizes = self.dtype_policy, (self.kernel_size, self.strides)
        self.local_conv = _conv(local, "local_conv", dtype, *sizes)
        self.local_bn = batch_norm("local_bn", synchronized, dtype)
        self.prolonged_conv = _conv(prolonged, "prolonged_conv", dtype, *sizes)
        self.prolonged_bn = batch_norm("prolonged_bn", synchronized, dtype)
        if lateral:
            self.lateral_conv = _conv(prolonged, "lateral_conv", dtype)
            self.pool = AveragePool((1, 2, 2), dtype=dtype, name="pool")
            self.selection = SimilarFrameSelection(dtype=dtype, name="selection")

    def inner_layers(self, input_shape: Shapes) -> list[tuple[keras.layers.Layer, Shape]]:
        """Each convolution and normalization, with the shape of what it receives."""
        local, prolonged = map(tuple, input_shape)
        local_output = self.local_conv.compute_output_shape(local)
        output = self.prolonged_conv.compute_output_shape(prolonged)
        layers = [(self.local_conv, local), (self.local_bn, local_output)]
        layers += [(self.prolonged_conv, prolonged), (self.prolonged_bn, output)]
        if self.lateral:
            small = self.pool.compute_output_shape(local_output)
            layers.append((self.lateral_conv, self.selection.compute_output_shape(small)))
        return layers

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


@keras.saving.register_keras_serializable(package="keras_mtnet")
class TwoStreamMTBlock(StatelessBlock, _TwoStreams):
    """Four convolutions of two streams, a gate on each stream, and a shortcut.

    The convolutions (`TwoStreamMTConv`) are 1x1x1 to `filters`, 1x1x1 back to the input's
    channels, 3x3x3 to `filters` with the strides, and a last one to `filters`, with a ReLU after
    each but the last. The last is 1x3x3. Where the block changes the shape it is 1x1x1, and a
    1x1x1 `TwoStreamMTConv` without lateral connection stands in the shortcut; a prolonged stream
    of fewer than 3 rows is enlarged to 3x3 before it.
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
        self.filters, self.ratio, self.cell, self.remat = filters, ratio, cell, remat
        self.strides, self.synchronized = triple(strides, "strides"), synchronized
        self.gates = [
            SqueezeAndRecursion(cell, dtype=self.dtype_policy, name=name)
            for name in ("local_gate", "prolonged_gate")
        ]

    def build(self, input_shape: Shapes) -> None:
        channels = sum(shape[-1] for shape in input_shape)
        shared: dict[str, Any] = {"ratio": self.ratio, "synchronized": self.synchronized}
        conv: Any = functools.partial(TwoStreamMTConv, dtype=self.dtype_policy, **shared)
        wide, strides = self.filters, self.strides
        self.shortcut = None
        if channels != wide or strides != (1, 1, 1):
            self.shortcut = conv(wide, strides=strides, lateral=False, name="shortcut")
        self.convs = [
            conv(wide, name="conv1"),
            conv(channels, name="conv2"),
            conv(wide, 3, strides, name="conv3"),
            conv(wide, 1 if self.shortcut else (1, 3, 3), name="conv4"),
        ]
        super().build(input_shape)

    def inner_layers(self, input_shape: Shapes) -> list[tuple[keras.layers.Layer, Any]]:
        """Each layer inside, with the shape, or both shapes, of what it receives."""
        layers: list[tuple[keras.layers.Layer, Any]] = []
        shapes = [tuple(shape) for shape in input_shape]
        for conv in self.convs:
            layers.append((conv, shapes))
            shapes = conv.compute_output_shape(shapes)
        layers += zip(self.gates, shapes, strict=True)
        if self.shortcut:
            local, (n, t, h, w, c) = map(tuple, input_shape)
            if h is not None and h < SMALLEST:
                h = w = SMALLEST
            layers.append((self.shortcut, [local, (n, t, h, w, c)]))
        return layers

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> list[Any]:
        if self._is_function(inputs, training):
            return self._call_function(inputs, training)
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


def _enlarge(x: Any) -> Any:
    """Interpolates frames of fewer than 3 rows to 3x3; others stay as they are."""
    t, h, w = ops.shape(x)[1:4]
    if isinstance(h, int):
        return trilinear_resize(x, (t, SMALLEST, SMALLEST)) if h < SMALLEST else x
    return trilinear_resize(x, (t, ops.maximum(h, SMALLEST), ops.where(h < SMALLEST, SMALLEST, w)))
