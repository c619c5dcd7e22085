"""MTNet: MTBlocks on an X3D stem and head, for classifying what people do in a clip."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_mtnet.layers import MTBlock, TripletCosineSelection
from keras_mtnet.layers.convolutions import PointwiseConv3D, TemporalDepthwiseConv3D
from keras_mtnet.layers.defaults import BN_EPSILON, BN_MOMENTUM, he_fan_out
from keras_mtnet.models.arguments import check_arguments, clip_input, finish
from keras_mtnet.models.configs import (
    CLASSES,
    HEAD_FILTERS,
    HEAD_UNITS,
    STEM_FILTERS,
    STEM_FRAMES,
    VARIANTS,
)
from keras_mtnet.models.released import ReleasedMTNet


def MTNet(
    stage_filters: Sequence[int],
    stage_depths: Sequence[int],
    include_top: bool = True,
    weights: str | None = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: Any = "softmax",
    name: str = "mtnet",
    *,
    stem_filters: int = STEM_FILTERS,
    head_filters: int = HEAD_FILTERS,
    head_units: int = HEAD_UNITS,
    bottleneck: float = 2.25,
    ratio: float = 7 / 8,
    cell: str = "gru",
    branch_pooling: str = "soft",
    frame_selection: bool = True,
    dropout_rate: float = 0.5,
    synchronized: bool = False,
    recompute: bool = False,
    dtype: Any = None,
) -> keras.Model:
    """Builds a Multi-Temporal Network.

    Args:
        stage_filters: output channels of each stage.
        stage_depths: MTBlocks of each stage.
        include_top: whether to end in the classifier. Without it the network ends in the head's
            1x1x1 convolution, with `head_filters` channels.
        weights: None for random weights; the path of a `.weights.h5` or `.keras` file or of a
            run's folder; `"hf://user/repo/file"`, an http(s) address, or a name of the registry as
            `"hacs"`. With another number of classes than the file's, the classifier stays random
            and a warning says so; a name of the registry is then refused.
        input_tensor: Keras tensor to use as the input.
        input_shape: `(frames, height, width, 3)`; any of the first three may be None and then
            change from batch to batch. All three are None by default.
        pooling: without the top: None for the feature map `(N, T', H', W', head_filters)`, `"avg"`
            or `"max"` for `(N, head_filters)`.
        classes: number of classes.
        classifier_activation: of the last layer, `"softmax"` or None for logits.
        name: of the model.
        stem_filters, head_filters, head_units: channels of the stem, of the head's convolution
            and of its hidden layer.
        bottleneck: inner width of the blocks relative to their output (`MTBlock`).
        ratio: share of the channels in the local branches; 1 gives plain 3-D convolutions.
        cell: `"rnn"`, `"gru"`, `"lstm"` or `"peephole_lstm"`.
        branch_pooling: `"soft"`, `"avg"`, `"max"` or `"stochastic"`, in front of the prolonged
            branches (`pooling` of `MTConv`).
        frame_selection: halve time by triplet cosine selection there; False pools it.
        dropout_rate: in front of the classifier.
        synchronized: batch statistics over all replicas of a `tf.distribute` strategy.
        recompute: in training, keep only what goes from block to block and compute the rest again
            for the gradient: less memory, more time.
        dtype: policy of all layers; the global one when None. The classifier is float32.

    Returns:
        A functional `keras.Model` from clips `(N, T, H, W, 3)`, prepared as `preprocess_input`
        does, to float32 scores `(N, classes)`.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.

    Source: Section III-C and Table I; stem and head of X3D.
    """
    check_arguments(stage_filters, stage_depths, include_top, pooling, classes, dropout_rate)
    inputs = clip_input(input_shape, input_tensor)
    norm = {
        "momentum": BN_MOMENTUM,
        "epsilon": BN_EPSILON,
        "synchronized": synchronized,
        "dtype": dtype,
    }
    x = _stem(inputs, stem_filters, norm)
    for stage, (filters, depth) in enumerate(zip(stage_filters, stage_depths, strict=True), 1):
        for block in range(1, depth + 1):
            strides = 1 if block > 1 else (1, 2, 2) if stage == 1 else 2
            x = MTBlock(
                filters,
                strides=strides,
                bottleneck=bottleneck,
                ratio=ratio,
                cell=cell,
                pooling=branch_pooling,
                frame_selection=frame_selection,
                synchronized=synchronized,
                remat=recompute,
                dtype=dtype,
                name=f"stage{stage}_block{block}",
            )(x)
    x = _head(x, head_filters, "avg" if include_top else pooling, norm)
    if include_top:
        x = _classifier(x, head_units, dropout_rate, classes, classifier_activation, dtype)
    return finish(inputs, x, name, weights)


def _stem(x: Any, filters: int, norm: dict[str, Any]) -> Any:
    """X3D's stem, then half the frames: (N, T, H, W, 3) to (N, T/2, H/2, W/2, filters)."""
    dtype = norm["dtype"]
    x = keras.layers.Conv3D(
        filters, (1, 3, 3), (1, 2, 2), name="stem_conv", **_conv_arguments(dtype)
    )(x)
    x = TemporalDepthwiseConv3D(
        STEM_FRAMES, kernel_initializer=he_fan_out(), dtype=dtype, name="stem_temporal"
    )(x)
    x = keras.layers.BatchNormalization(name="stem_bn", **norm)(x)
    x = keras.layers.ReLU(name="stem_relu", dtype=dtype)(x)
    return TripletCosineSelection(name="stem_selection", dtype=dtype)(x)


def _head(x: Any, filters: int, pooling: str | None, norm: dict[str, Any]) -> Any:
    """X3D's last convolution: (N, T, H, W, C) to (N, T, H, W, filters), or (N, filters) pooled."""
    dtype = norm["dtype"]
    x = PointwiseConv3D(filters, name="head_conv", **_conv_arguments(dtype))(x)
    x = keras.layers.BatchNormalization(name="head_bn", **norm)(x)
    x = keras.layers.ReLU(name="head_relu", dtype=dtype)(x)
    if pooling == "avg":
        return keras.layers.GlobalAveragePooling3D(name="head_pool", dtype=dtype)(x)
    if pooling == "max":
        return keras.layers.GlobalMaxPooling3D(name="head_pool", dtype=dtype)(x)
    return x


def _classifier(
    x: Any, units: int, dropout_rate: float, classes: int, activation: Any, dtype: Any
) -> Any:
    """(N, C) to scores (N, classes)."""
    x = keras.layers.Dense(
        units, "relu", use_bias=False, kernel_initializer=he_fan_out(), dtype=dtype, name="head_fc"
    )(x)
    x = keras.layers.Dropout(dropout_rate, name="head_dropout", dtype=dtype)(x)
    return keras.layers.Dense(
        classes,
        activation,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        dtype="float32",  # a softmax in half precision loses small scores
        name="predictions",
    )(x)


def _conv_arguments(dtype: Any) -> dict[str, Any]:
    return {
        "use_bias": False,
        "kernel_initializer": he_fan_out(),
        "padding": "same",
        "dtype": dtype,
    }


def MTNetS(
    include_top: bool = True,
    weights: str | None = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: Any = "softmax",
    name: str = "mtnet_s",
    variant: str | None = None,
    **options: Any,
) -> keras.Model:
    """Builds MTNet-S, made for clips of 16 x 200 x 200.

    Arguments, result and errors are those of `MTNet`; `options` are the ones behind `name` there.
    `variant` is `"paper"`, or `"released"` for the network that the authors published weights of
    (`ReleasedMTNet`, with its options). None is what `weights` were trained for, or the paper's.
    """
    return _build_size("MTNetS", **locals())


def MTNetM(
    include_top: bool = True,
    weights: str | None = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: Any = "softmax",
    name: str = "mtnet_m",
    variant: str | None = None,
    **options: Any,
) -> keras.Model:
    """Builds MTNet-M, made for clips of 16 x 256 x 256.

    Arguments, result and errors are those of `MTNet`; `options` are the ones behind `name` there.
    `variant` is `"paper"`, or `"released"` for the network that the authors published weights of
    (`ReleasedMTNet`, with its options). None is what `weights` were trained for, or the paper's.
    """
    return _build_size("MTNetM", **locals())


def MTNetL(
    include_top: bool = True,
    weights: str | None = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: Any = "softmax",
    name: str = "mtnet_l",
    variant: str | None = None,
    **options: Any,
) -> keras.Model:
    """Builds MTNet-L, made for clips of 16 x 256 x 256.

    Arguments, result and errors are those of `MTNet`; `options` are the ones behind `name` there.
    `variant` is `"paper"`, or `"released"` for the network that the authors published weights of
    (`ReleasedMTNet`, with its options). None is what `weights` were trained for, or the paper's.
    """
    return _build_size("MTNetL", **locals())


def _build_size(
    model: str, variant: str | None, options: dict[str, Any], **arguments: Any
) -> keras.Model:
    if arguments["weights"] is not None:
        from keras_mtnet.weights import check_name, choose_variant

        variant = choose_variant(model, variant, arguments["weights"])
        names = ("weights", "include_top", "classes")
        check_name(model, variant, **{name: arguments[name] for name in names})
    variant = variant or "paper"
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {sorted(VARIANTS)}. Received: {variant!r}")
    builder = {"paper": MTNet, "released": ReleasedMTNet}[variant]
    config = VARIANTS[variant][model]
    return builder(config.stage_filters, config.stage_depths, **arguments, **options)


def build(model: str, **kwargs: Any) -> keras.Model:
    """Builds a network by name.

    Args:
        model: `"MTNetS"`, `"MTNetM"`, `"MTNetL"`, or `"MTNet"`, which also needs `stage_filters`
            and `stage_depths`.
        **kwargs: arguments of that function.

    Raises:
        ValueError: for an unknown name.
    """
    builders = {"MTNetS": MTNetS, "MTNetM": MTNetM, "MTNetL": MTNetL, "MTNet": MTNet}
    if model not in builders:
        raise ValueError(f"model must be one of {sorted(builders)}. Received: {model!r}")
    return builders[model](**kwargs)
