"""MTNet as its authors released it: two streams on the widths of a ResNet.

The paper describes one network and the authors' public PyTorch code builds another; the only
published weights belong to the second. `MTNetS(variant="released")` is that one.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.convolutions import CenteredConv3D
from keras_mtnet.layers.defaults import batch_norm, he_fan_out
from keras_mtnet.layers.trilinear_resize import trilinear_resize
from keras_mtnet.layers.two_stream_entry import TwoStreamEntry
from keras_mtnet.layers.two_stream_mt_block import TwoStreamMTBlock
from keras_mtnet.models.builder import Weights, begin, builder, check_stages, classifier, pool
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import RELEASED_MTNET

CLASSES = 200  # HACS
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


@builder
def ReleasedMTNet(
    stage_filters: Sequence[int],
    stage_depths: Sequence[int],
    include_top: bool = True,
    weights: Weights = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: Any = "softmax",
    name: str = "released_mtnet",
    *,
    include_preprocessing: bool = True,
    stem_filters: int | None = None,
    ratio: float = 7 / 8,
    cell: str = "gru",
    dropout_rate: float = 0.0,
    synchronized: bool = False,
    remat: bool = False,
    dtype: Any = None,
) -> VideoModel:
    """Builds a network as the paper's authors released it.

    A 3x7x7 convolution and a `TwoStreamEntry` are followed by stages of `TwoStreamMTBlock`s. The
    local and the prolonged stream stay apart, at their own resolutions, until each is averaged
    over the clip and both are joined for one dense classifier.

    Args:
        stage_filters: output channels of each stage, both streams together.
        stage_depths: blocks of each stage.
        include_top: whether to end in the classifier.
        weights, input_tensor, input_shape, classes, classifier_activation, name,
            include_preprocessing: as in `MTNet`.
        pooling: without the top: None for the feature map `(N, T', H', W', C)`, in which the
            prolonged stream is interpolated to the size of the local one; `"avg"` (what the
            classifier reads) or `"max"` for `(N, C)`.
        stem_filters: channels of the stem; those of the first stage when None.
        ratio: share of the channels in the local stream, 0 < ratio < 1.
        cell: `"rnn"`, `"gru"`, `"lstm"` or `"peephole_lstm"`; gru in the released networks.
        dropout_rate: in front of the classifier; none in the released networks.
        synchronized: batch statistics over all replicas of a `tf.distribute` strategy.
        remat: as in `MTNet`.
        dtype: policy of all layers; the global one when None. The classifier is float32.

    Returns:
        A `VideoModel` from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to float32 scores
        `(N, classes)`. The network was trained on BGR; its normalization reverses the channels.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.

    Source: the behavior of `network/MTnet.py` in the authors' repository
    alexandrosstergiou/Squeeze-and-Recursion-Temporal-Gates.

    Example:

    >>> import keras_mtnet as mt
    >>> model = mt.models.ReleasedMTNet((8, 16), (1, 1), classes=4)
    >>> model.output_shape
    (None, 4)
    """
    check_stages(stage_filters, stage_depths)
    draft = begin(
        *("ReleasedMTNet", include_top, weights, input_tensor, input_shape, pooling, classes),
        *(include_preprocessing, dtype),
        normalization=RELEASED_MTNET,
        default_classes=CLASSES,
    )
    x = _stem(draft.clips, stem_filters or stage_filters[0], synchronized, dtype)
    streams = TwoStreamEntry(ratio, dtype=dtype, name="stem_streams")(x)
    for stage, (filters, depth) in enumerate(zip(stage_filters, stage_depths, strict=True), 1):
        for block in range(1, depth + 1):
            streams = TwoStreamMTBlock(
                filters,
                strides=2 if block == 1 and stage > 1 else 1,
                ratio=ratio,
                cell=cell,
                synchronized=synchronized,
                remat=remat,
                dtype=dtype,
                name=f"stage{stage}_block{block}",
            )(streams)
    x = _join(streams, "avg" if include_top else pooling, dtype)
    if include_top:
        x = classifier(x, draft.classes, classifier_activation, dropout_rate, dtype)
    return draft.finish(x, name, {"authors": TORCH_KEYS})


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
    x = batch_norm("stem_bn", synchronized, dtype)(x)
    return keras.layers.ReLU(name="stem_relu", dtype=dtype)(x)


def _join(streams: Sequence[Any], pooling: str | None, dtype: Any) -> Any:
    """Both streams as one: (N, C) pooled, or a feature map (N, T, H, W, C)."""
    if pooling is None:
        return JoinStreams(dtype=dtype, name="head_join")(streams)
    names = ("head_local_pool", "head_prolonged_pool")
    pooled = [pool(x, pooling, dtype, name) for x, name in zip(streams, names, strict=True)]
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
