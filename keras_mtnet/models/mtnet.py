"""MTNet: MTBlocks on an X3D stem and head, for classifying what people do in a clip."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtnet.checks import check_above_0, check_counts, given
from keras_mtnet.layers.convolutions import PointwiseConv3D
from keras_mtnet.layers.defaults import batch_norm, he_fan_out
from keras_mtnet.layers.depthwise_conv3d import DepthwiseConv3D
from keras_mtnet.layers.mt_block import MTBlock
from keras_mtnet.layers.triplet_cosine_selection import TripletCosineSelection
from keras_mtnet.models.builder import (
    Weights,
    begin,
    builder,
    check_preset,
    check_stages,
    classifier,
    pool,
    sized,
)
from keras_mtnet.models.released_mtnet import TORCH_KEYS, released_features
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import MTNET, RELEASED_MTNET, lookup

CLASSES = 200  # HACS
STEM_FRAMES = 5  # length of the stem's temporal kernels


@dataclasses.dataclass(frozen=True)
class Size:
    """A network of the paper: names, blocks of each stage, frames and pixels of its clips."""

    model: str
    name: str
    clip: tuple[int, int]
    depths: tuple[int, ...]
    released_depths: tuple[int, ...]


FILTERS = (24, 48, 96, 192)
RELEASED_FILTERS = (64, 128, 256, 512)


@builder
def MTNet(
    stage_filters: Sequence[int],
    stage_depths: Sequence[int],
    include_top: bool = True,
    weights: Weights = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: Any = "softmax",
    name: str = "mtnet",
    *,
    variant: str = "paper",
    include_preprocessing: bool = True,
    stem_filters: int | None = None,
    head_filters: int = 432,
    head_units: int = 2048,
    bottleneck: float = 2.25,
    ratio: float = 7 / 8,
    cell: str = "gru",
    branch_pooling: str = "soft",
    frame_selection: bool = True,
    dropout_rate: float | None = None,
    synchronized: bool = False,
    remat: bool = False,
    dtype: Any = None,
) -> VideoModel:
    """Builds a Multi-Temporal Network of any width and depth.

    Args:
        stage_filters: output channels of each stage.
        stage_depths: MTBlocks of each stage.
        include_top: whether to end in the classifier. Without it the network ends in the head's
            1x1x1 convolution, with `head_filters` channels.
        weights: None for random weights, the path of a `.weights.h5` or `.keras` file or of a
            run's folder, `"hf://user/repo/file"`, an http(s) address, or a `Preset`. If the file
            was trained on another number of classes, the classifier is re-initialized and a
            warning is logged.
        input_tensor: Keras tensor to use as the input.
        input_shape: `(frames, height, width, 3)`; any of the first three may be None and then
            change from batch to batch. All three are None by default.
        pooling: without the top: None for the feature map `(N, T', H', W', head_filters)`, `"avg"`
            or `"max"` for `(N, head_filters)`.
        classes: number of classes; 200 when None.
        classifier_activation: of the last layer, `"softmax"` or None for logits.
        name: of the model.
        variant: `"paper"`, or `"released"` for the network in the authors' code, whose streams
            stay apart to the end (`keras_mtnet/models/released_mtnet.py`). It has no use for
            `head_filters`, `head_units`, `bottleneck`, `branch_pooling` and `frame_selection`, and
            features of `stage_filters[-1]` channels.
        include_preprocessing: whether to normalize clips inside the network.
        stem_filters: channels of the stem; 24, or those of the first stage of the released
            variant, when None.
        head_filters, head_units: channels of the head's convolution and of its hidden layer.
        bottleneck: inner width of the blocks relative to their output (`MTBlock`).
        ratio: share of the channels in the local branches; 1 gives plain 3-D convolutions.
        cell: `"rnn"`, `"gru"`, `"lstm"` or `"peephole_lstm"`.
        branch_pooling: `"soft"`, `"avg"`, `"max"` or `"stochastic"`, in front of the prolonged
            branches (`pooling` of `MTConv`).
        frame_selection: halve time by triplet cosine selection there; False pools it.
        dropout_rate: in front of the classifier; 0.5, or 0 in the released variant, when None.
        synchronized: batch statistics over all replicas of a `tf.distribute` strategy.
        remat: in training, keep only what goes from block to block and compute the rest again
            for the gradient: less memory, more time.
        dtype: policy of all layers; the global one when None. The classifier is float32.

    Returns:
        A `VideoModel` from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to float32 scores
        `(N, classes)`.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.

    Source: Section III-C and Table I; stem and head of X3D.

    Example:

    >>> import keras_mtnet as mt
    >>> model = mt.MTNet((8, 16), (1, 1), classes=4, input_shape=(8, 32, 32, 3))
    >>> model.output_shape
    (None, 4)
    """
    check_stages(stage_filters, stage_depths)
    check_counts(
        head_filters=head_filters, head_units=head_units, **given(stem_filters=stem_filters)
    )
    check_above_0(bottleneck=bottleneck, ratio=ratio)
    if variant not in ("paper", "released"):
        raise ValueError(f"variant must be 'paper' or 'released'. Received: variant={variant!r}")
    released = variant == "released"
    draft = begin(
        *("MTNet", include_top, weights, input_tensor, input_shape, pooling, classes),
        *(include_preprocessing, dtype),
        normalization=RELEASED_MTNET if released else MTNET,
        default_classes=CLASSES,
        options={"variant": variant},
    )
    pooling = "avg" if include_top else pooling
    options: dict[str, Any] = {
        "ratio": ratio,
        "cell": cell,
        "synchronized": synchronized,
        "remat": remat,
    }
    if released:
        stem_filters = stem_filters or stage_filters[0]
        sizes = (stage_filters, stage_depths, stem_filters, pooling, dtype)
        x = released_features(draft.clips, *sizes, **options)
    else:
        options |= {"bottleneck": bottleneck, "pooling": branch_pooling}
        options |= {"frame_selection": frame_selection}
        x = _stem(draft.clips, stem_filters or 24, synchronized, dtype)
        x = _stages(x, stage_filters, stage_depths, dtype, options)
        x = _head(x, head_filters, synchronized, dtype)
        x = pool(x, pooling, dtype)
        if include_top:
            x = _hidden(x, head_units, dtype)
    if include_top:
        dropout_rate = (0.0 if released else 0.5) if dropout_rate is None else dropout_rate
        x = classifier(x, draft.classes, classifier_activation, dropout_rate, dtype)
    return draft.finish(x, name, {"authors": TORCH_KEYS} if released else None)


def _stem(x: Any, filters: int, synchronized: bool, dtype: Any) -> Any:
    """X3D's stem, then half the frames: (N, T, H, W, 3) to (N, T/2, H/2, W/2, filters)."""
    x = keras.layers.Conv3D(
        filters, (1, 3, 3), (1, 2, 2), name="stem_conv", **_conv_arguments(dtype)
    )(x)
    x = DepthwiseConv3D(
        (STEM_FRAMES, 1, 1), kernel_initializer=he_fan_out(), dtype=dtype, name="stem_temporal"
    )(x)
    x = batch_norm("stem_bn", synchronized, dtype)(x)
    x = keras.layers.ReLU(name="stem_relu", dtype=dtype)(x)
    return TripletCosineSelection(name="stem_selection", dtype=dtype)(x)


def _stages(
    x: Any,
    stage_filters: Sequence[int],
    stage_depths: Sequence[int],
    dtype: Any,
    options: dict[str, Any],
) -> Any:
    """(N, T, H, W, C) to (N, T/8, H/16, W/16, stage_filters[-1]), with four stages."""
    for stage, (filters, depth) in enumerate(zip(stage_filters, stage_depths, strict=True), 1):
        for block in range(1, depth + 1):
            strides = 1 if block > 1 else (1, 2, 2) if stage == 1 else 2
            name = f"stage{stage}_block{block}"
            x = MTBlock(filters, strides, dtype=dtype, name=name, **options)(x)
    return x


def _head(x: Any, filters: int, synchronized: bool, dtype: Any) -> Any:
    """X3D's last convolution: (N, T, H, W, C) to (N, T, H, W, filters)."""
    x = PointwiseConv3D(filters, name="head_conv", **_conv_arguments(dtype))(x)
    x = batch_norm("head_bn", synchronized, dtype)(x)
    return keras.layers.ReLU(name="head_relu", dtype=dtype)(x)


def _hidden(x: Any, units: int, dtype: Any) -> Any:
    """(N, C) to (N, units)."""
    arguments = {"use_bias": False, "kernel_initializer": he_fan_out(), "dtype": dtype}
    return keras.layers.Dense(units, "relu", name="head_fc", **arguments)(x)


def _conv_arguments(dtype: Any) -> dict[str, Any]:
    return {
        "use_bias": False,
        "kernel_initializer": he_fan_out(),
        "padding": "same",
        "dtype": dtype,
    }


def _mtnet(
    size: Size,
    include_top: bool = True,
    weights: Weights = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: Any = "softmax",
    name: str | None = None,
    *,
    variant: str | None = None,
    include_preprocessing: bool = True,
    ratio: float = 7 / 8,
    cell: str = "gru",
    branch_pooling: str = "soft",
    frame_selection: bool = True,
    dropout_rate: float | None = None,
    synchronized: bool = False,
    remat: bool = False,
    dtype: Any = None,
) -> VideoModel:
    """Arguments that are not named here are those of `MTNet`.

    Args:
        weights: also the name of a preset, as `"hacs"` (`list_presets("MODEL")`). The network then
            becomes the variant they were trained for.
        classes: number of classes; those of the preset, else 200, when None.
        variant: `"paper"`, or `"released"` for the network that the authors published weights of
            (see `MTNet`). None is what a preset was trained for, else the paper's.
        branch_pooling, frame_selection: of the paper's variant only.
        dropout_rate: in front of the classifier; 0.5, or 0 in the released variant, when None.

    Returns:
        A `VideoModel` from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to float32 scores
        `(N, classes)`.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.
        FileNotFoundError: if the weights are not there; it says how to get them.

    Example:

    >>> import keras_mtnet as mt
    >>> mt.MTNetM(include_top=False, pooling="avg", variant="released").output_shape
    (None, 512)
    """
    preset = lookup(size.model, weights)
    if preset is not None:
        check_preset(preset, include_top, classes, {"variant": variant})
        variant = preset.options["variant"]
    released = variant == "released"
    if released and (branch_pooling != "soft" or not frame_selection):
        raise ValueError(
            "The released variant has no choice of branch_pooling and frame_selection. Received: "
            f"branch_pooling={branch_pooling!r}, frame_selection={frame_selection}"
        )
    return MTNet(
        RELEASED_FILTERS if released else FILTERS,
        size.released_depths if released else size.depths,
        *(include_top, preset or weights, input_tensor, input_shape, pooling, classes),
        *(classifier_activation, name or size.name),
        variant=variant or "paper",
        include_preprocessing=include_preprocessing,
        ratio=ratio,
        cell=cell,
        branch_pooling=branch_pooling,
        frame_selection=frame_selection,
        dropout_rate=dropout_rate,
        synchronized=synchronized,
        remat=remat,
        dtype=dtype,
    )


# Table I gives the filters; depths and clips are those that its costs fit. XS is not in the paper:
# a block per stage, so that weights fit into the package and two cores can train it.
SIZES = {
    size.model: size
    for size in (
        Size("MTNetXS", "mtnet_xs", (8, 96), (1, 1, 1, 1), (1, 1, 1, 1)),
        Size("MTNetS", "mtnet_s", (16, 200), (3, 5, 11, 7), (2, 2, 5, 3)),
        Size("MTNetM", "mtnet_m", (16, 256), (3, 5, 11, 7), (3, 4, 6, 3)),
        Size("MTNetL", "mtnet_l", (16, 256), (5, 10, 25, 15), (3, 4, 23, 3)),
    )
}
MTNetXS = sized(
    _mtnet, SIZES["MTNetXS"], "Builds MTNet-XS (not in the paper), for clips of 8 x 96 x 96."
)
MTNetS = sized(_mtnet, SIZES["MTNetS"], "Builds MTNet-S, made for clips of 16 x 200 x 200.")
MTNetM = sized(_mtnet, SIZES["MTNetM"], "Builds MTNet-M, made for clips of 16 x 256 x 256.")
MTNetL = sized(_mtnet, SIZES["MTNetL"], "Builds MTNet-L, made for clips of 16 x 256 x 256.")
