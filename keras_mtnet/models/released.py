"""MTNet as its authors released it: two streams on the widths of a ResNet.

The paper describes one network and the authors' public PyTorch code builds another; the only
published weights belong to the second. `MTNetS(variant="released")` is that one.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.convolutions import CenteredConv3D
from keras_mtnet.layers.defaults import BN_EPSILON, BN_MOMENTUM, he_fan_out
from keras_mtnet.layers.trilinear_resize import trilinear_resize
from keras_mtnet.layers.two_stream_entry import TwoStreamEntry
from keras_mtnet.layers.two_stream_mt_block import TwoStreamMTBlock
from keras_mtnet.models.arguments import check_arguments, clip_input, finish
from keras_mtnet.models.configs import CLASSES


def ReleasedMTNet(
    stage_filters: Sequence[int],
    stage_depths: Sequence[int],
    include_top: bool = True,
    weights: str | None = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: Any = "softmax",
    name: str = "released_mtnet",
    *,
    stem_filters: int | None = None,
    ratio: float = 7 / 8,
    cell: str = "gru",
    dropout_rate: float = 0.0,
    synchronized: bool = False,
    recompute: bool = False,
    dtype: Any = None,
) -> keras.Model:
    """Builds a network as the paper's authors released it.

    A 3x7x7 convolution and a `TwoStreamEntry` are followed by stages of `TwoStreamMTBlock`s. The
    local and the prolonged stream stay apart, at their own resolutions, until each is averaged
    over the clip and both are joined for one dense classifier.

    Args:
        stage_filters: output channels of each stage, both streams together.
        stage_depths: blocks of each stage.
        include_top: whether to end in the classifier.
        weights, input_tensor, input_shape, classes, classifier_activation, name: as in `MTNet`.
        pooling: without the top: None for the feature map `(N, T', H', W', C)`, in which the
            prolonged stream is interpolated to the size of the local one; `"avg"` (what the
            classifier reads) or `"max"` for `(N, C)`.
        stem_filters: channels of the stem; those of the first stage when None.
        ratio: share of the channels in the local stream, 0 < ratio < 1.
        cell: `"rnn"`, `"gru"`, `"lstm"` or `"peephole_lstm"`; gru in the released networks.
        dropout_rate: in front of the classifier; none in the released networks.
        synchronized: batch statistics over all replicas of a `tf.distribute` strategy.
        recompute: as in `MTNet`.
        dtype: policy of all layers; the global one when None. The classifier is float32.

    Returns:
        A functional `keras.Model` from clips `(N, T, H, W, 3)` to float32 scores `(N, classes)`.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.

    Source: the behaviour of `network/MTnet.py` in the authors' repository
    alexandrosstergiou/Squeeze-and-Recursion-Temporal-Gates.
    """
    check_arguments(stage_filters, stage_depths, include_top, pooling, classes, dropout_rate)
    inputs = clip_input(input_shape, input_tensor)
    x = _stem(inputs, stem_filters or stage_filters[0], synchronized, dtype)
    streams = TwoStreamEntry(ratio, dtype=dtype, name="stem_streams")(x)
    for stage, (filters, depth) in enumerate(zip(stage_filters, stage_depths, strict=True), 1):
        for block in range(1, depth + 1):
            streams = TwoStreamMTBlock(
                filters,
                strides=2 if block == 1 and stage > 1 else 1,
                ratio=ratio,
                cell=cell,
                synchronized=synchronized,
                remat=recompute,
                dtype=dtype,
                name=f"stage{stage}_block{block}",
            )(streams)
    x = _join(streams, "avg" if include_top else pooling, dtype)
    if include_top:
        x = keras.layers.Dropout(dropout_rate, name="head_dropout", dtype=dtype)(x)
        x = keras.layers.Dense(
            classes,
            classifier_activation,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            dtype="float32",  # a softmax in half precision loses small scores
            name="predictions",
        )(x)
    return finish(inputs, x, name, weights)


def _stem(x: Any, filters: int, synchronized: bool, dtype: Any) -> Any:
    """A strided convolution: (N, T, H, W, 3) to (N, T, H/2, W/2, filters)."""
    x = CenteredConv3D(
        filters,
        (3, 7, 7),
        strides=(1, 2, 2),
        use_bias=False,
        kernel_initializer=he_fan_out(),
        dtype=dtype,
        name="stem_conv",
    )(x)
    x = keras.layers.BatchNormalization(
        momentum=BN_MOMENTUM,
        epsilon=BN_EPSILON,
        synchronized=synchronized,
        dtype=dtype,
        name="stem_bn",
    )(x)
    return keras.layers.ReLU(name="stem_relu", dtype=dtype)(x)


def _join(streams: Sequence[Any], pooling: str | None, dtype: Any) -> Any:
    """Both streams as one: (N, C) pooled, or a feature map (N, T, H, W, C)."""
    if pooling is None:
        return JoinStreams(dtype=dtype, name="head_join")(streams)
    kinds = {"avg": keras.layers.GlobalAveragePooling3D, "max": keras.layers.GlobalMaxPooling3D}
    names = ("head_local_pool", "head_prolonged_pool")
    pooled = [
        kinds[pooling](dtype=dtype, name=name)(x) for x, name in zip(streams, names, strict=True)
    ]
    return keras.layers.Concatenate(dtype=dtype, name="head_join")(pooled)


@keras.saving.register_keras_serializable(package="keras_mtnet")
class JoinStreams(keras.layers.Layer):
    """Interpolates the prolonged stream to the local one's size and joins their channels.

    Input: local `(N, T, H, W, C)` and prolonged `(N, T', H', W', C')`. Output
    `(N, T, H, W, C + C')`.
    """

    def compute_output_shape(
        self, input_shape: Sequence[Sequence[int | None]]
    ) -> tuple[int | None, ...]:
        local, prolonged = input_shape
        return (*local[:-1], local[-1] + prolonged[-1])

    def call(self, inputs: Sequence[Any]) -> Any:
        local, prolonged = inputs
        resized = trilinear_resize(prolonged, ops.shape(local)[1:4])
        return ops.concatenate([local, resized], axis=-1)
