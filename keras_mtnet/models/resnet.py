"""What 3-D ResNets (resnet3d.py), R(2+1)D (r2plus1d.py) and SRTG (srtg.py) have in common."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from keras_mtnet.layers.defaults import BN_EPSILON, batch_norm
from keras_mtnet.layers.max_pooling import CenteredMaxPooling3D
from keras_mtnet.layers.shapes import triple
from keras_mtnet.layers.squeeze_and_recursion import SqueezeAndRecursion
from keras_mtnet.models.builder import Weights, begin, classifier, pool
from keras_mtnet.models.parts import conv, conv_norm, conv_norm_relu, relu
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import Normalization
from keras_mtnet.weights.torch import Rules

CLASSES = 400  # Kinetics-400
FILTERS = (64, 128, 256, 512)


@dataclasses.dataclass(frozen=True)
class Size:
    """A 3-D ResNet."""

    model: str  # name of the builder
    clip: tuple[int, int]  # frames and pixels
    depths: tuple[int, ...]  # blocks of each stage
    normalization: Normalization
    torch_keys: Mapping[str, Rules]  # by name of a published code base
    _: dataclasses.KW_ONLY
    # How much wider a bottleneck block ends than it is inside; None for basic blocks.
    expansion: int | None = None
    stem: tuple[int, int, int] = (3, 7, 7)  # kernel of the first convolution
    stem_pool: bool = False  # max pooling that halves all sizes follows it
    # Of each stage, int or (frames, height, width).
    kernels: tuple[int | tuple[int, int, int], ...] = (3, 3, 3, 3)
    strides: tuple[int | tuple[int, int, int], ...] = (1, 2, 2, 2)
    # For (2+1)D convolutions: channels between their two parts, from those of the block's input, of
    # the convolution's input, and of its output; None for 3-D convolutions.
    inner: Callable[[int, int, int], int] | None = None
    stem_inner: int | None = None  # the same of the first convolution
    temporal_first: bool = False  # of the parts of (2+1)D convolutions
    gated: bool = False  # squeeze and recursion ends each block
    epsilon: float = BN_EPSILON  # of batch normalization
    dropout_rate: float = 0.0  # in front of the classifier


def video_resnet(
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
    include_preprocessing: bool = True,
    dropout_rate: float | None = None,
    synchronized: bool = False,
    dtype: Any = None,
) -> VideoModel:
    """The outputs of the stages are those of each stage's last block, as `stage1_block2`.

    Arguments that are not named here are as in `MTNet`.

    Args:
        weights: None for random weights, the name of a preset (`list_presets("MODEL")`), or a
            file as in `MTNet`.
        pooling: without the top: None for the last feature map `(N, T', H', W', C)`, `"avg"` or
            `"max"` for `(N, C)`.
        classes: number of classes; those of the preset, else 400, when None.
        name: of the model; that of the builder in lower case when None.
        dropout_rate: in front of the classifier; as published when None.

    Returns:
        A `VideoModel` from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to float32 scores
        `(N, classes)`.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.
        FileNotFoundError: if the weights are not there; it says how to get them.

    Example:

    >>> import keras_mtnet as mt
    >>> model = mt.MC3_18(classes=10, input_shape=(8, 32, 32, 3))
    >>> model.get_layer("stage4_block2").output.shape
    (None, 8, 2, 2, 512)
    """
    draft = begin(
        *(size.model, include_top, weights, input_tensor, input_shape, pooling, classes),
        *(include_preprocessing, dtype),
        normalization=size.normalization,
        default_classes=CLASSES,
    )
    norm = {"epsilon": size.epsilon, "synchronized": synchronized, "dtype": dtype}
    x = _stem(draft.clips, size, norm)
    for stage, depth in enumerate(size.depths, 1):
        for block in range(1, depth + 1):
            x = _block(x, size, stage, block, norm)
    x = pool(x, "avg" if include_top else pooling, dtype)
    if include_top:
        dropout_rate = size.dropout_rate if dropout_rate is None else dropout_rate
        x = classifier(x, draft.classes, classifier_activation, dropout_rate, dtype)
    return draft.finish(x, name or size.model.lower(), size.torch_keys)


def _stem(x: Any, size: Size, norm: dict[str, Any]) -> Any:
    """`(N, T, H, W, 3)` to `(N, T, H/2, W/2, 64)`; half of that with max pooling."""
    x = _unit(x, FILTERS[0], size.stem, (1, 2, 2), size.stem_inner, "stem_{}", size, norm)
    x = relu(x, "stem_relu", norm)
    if size.stem_pool:
        x = CenteredMaxPooling3D(3, 2, dtype=norm["dtype"], name="stem_pool")(x)
    return x


def _block(x: Any, size: Size, stage: int, block: int, norm: dict[str, Any]) -> Any:
    """Residual block: two convolutions, or a bottleneck of three, and a shortcut."""
    name, filters, one = f"stage{stage}_block{block}", FILTERS[stage - 1], (1, 1, 1)
    kernel = triple(size.kernels[stage - 1], "kernels")
    strides = triple(size.strides[stage - 1], "strides") if block == 1 else one
    units = [(filters, kernel, strides), (filters, kernel, one)]
    if size.expansion is not None:
        wide = filters * size.expansion
        units = [(filters, one, one), (filters, kernel, strides), (wide, one, one)]
    y = x
    for i, (width, window, steps) in enumerate(units, 1):
        inner = None
        if size.inner is not None and window != one:
            inner = size.inner(x.shape[-1], y.shape[-1], width)
        y = _unit(y, width, window, steps, inner, f"{name}_{{}}{i}", size, norm)
        if i < len(units):
            y = relu(y, f"{name}_relu{i}", norm)
    if strides != one or x.shape[-1] != y.shape[-1]:
        x = _unit(x, y.shape[-1], one, strides, None, f"{name}_shortcut_{{}}", size, norm)
    y = keras.layers.Add(dtype=norm["dtype"], name=f"{name}_add")([x, y])
    if not size.gated:
        return relu(y, name, norm)
    y = relu(y, f"{name}_relu{len(units)}", norm)
    return SqueezeAndRecursion("lstm", dtype=norm["dtype"], name=name)(y)


def _unit(
    x: Any,
    filters: int,
    kernel: tuple[int, int, int],
    strides: tuple[int, int, int],
    inner: int | None,
    name: str,
    size: Size,
    norm: dict[str, Any],
) -> Any:
    """Convolution and batch normalization; `name` has a place for either.

    With `inner` channels, the convolution is one over space and one over time, or the other way
    round, with a batch normalization and a ReLU in between.
    """
    if inner is None:
        return conv_norm(x, filters, kernel, strides, name, norm)
    space = ((1, *kernel[1:]), (1, *strides[1:]), "spatial")
    time = ((kernel[0], 1, 1), (strides[0], 1, 1), "temporal")
    first, second = (time, space) if size.temporal_first else (space, time)
    x = conv_norm_relu(x, inner, *first[:2], f"{name}_{first[2]}", norm)
    x = conv(x, filters, *second[:2], f"{name.format('conv')}_{second[2]}", norm["dtype"])
    return batch_norm(name.format("bn"), **norm)(x)
