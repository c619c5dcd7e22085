"""X3D: a small image network expanded step by step in time, space, width and depth."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtnet.layers.convolutions import PointwiseConv3D
from keras_mtnet.layers.defaults import batch_norm, he_fan_out
from keras_mtnet.layers.depthwise_conv3d import DepthwiseConv3D
from keras_mtnet.models.builder import Weights, begin, classifier, pool, sized
from keras_mtnet.models.parts import conv, conv_norm, conv_norm_relu, relu
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import PYTORCHVIDEO, Preset

CLASSES = 400  # Kinetics-400

# Before the expansion of width and depth.
FILTERS = (12, 24, 48, 96)
DEPTHS = (1, 2, 5, 3)
STEM_FILTERS = 12
STEM_FRAMES = 5  # length of the stem's temporal kernels
BOTTLENECK = 2.25  # inner width of the blocks relative to their output
SQUEEZE = 1 / 16  # width of the squeeze relative to that
HEAD_UNITS = 2048


@dataclasses.dataclass(frozen=True)
class Size:
    """A member of the family: names, frames and pixels of its clips, factors of width and depth."""

    model: str
    name: str
    clip: tuple[int, int]
    width: float
    depth: float


# How PyTorch code bases name the weights; see keras_mtnet/weights/torch.py.
TORCH_KEYS = {
    "pytorchvideo": (
        (r"^stem_conv/", "blocks.0.conv.conv_t/"),
        (r"^stem_temporal/", "blocks.0.conv.conv_xy/"),
        (r"^stem_bn/", "blocks.0.norm/"),
        (r"^stage(\d)_block(\d+)_", lambda m: f"blocks.{m[1]}.res_blocks.{int(m[2]) - 1}."),
        (r"\.shortcut_conv/", ".branch1_conv/"),
        (r"\.shortcut_bn/", ".branch1_norm/"),
        (r"\.squeeze_conv1/", ".branch2.norm_b.1.block.0/"),
        (r"\.squeeze_conv2/", ".branch2.norm_b.1.block.2/"),
        (r"\.bn2/", ".branch2.norm_b.0/"),
        (r"\.conv(\d)/", lambda m: f".branch2.conv_{'abc'[int(m[1]) - 1]}/"),
        (r"\.bn(\d)/", lambda m: f".branch2.norm_{'abc'[int(m[1]) - 1]}/"),
        (r"^head_conv/", "blocks.5.pool.pre_conv/"),
        (r"^head_bn/", "blocks.5.pool.pre_norm/"),
        (r"^head_fc/kernel", "blocks.5.pool.post_conv/conv_kernel"),
        (r"^predictions/", "blocks.5.proj/"),
    ),
    "PySlowFast": (
        (r"^stem_conv/", "s1.pathway0_stem.conv_xy/"),
        (r"^stem_temporal/", "s1.pathway0_stem.conv/"),
        (r"^stem_bn/", "s1.pathway0_stem.bn/"),
        (r"^stage(\d)_block(\d+)_", lambda m: f"s{int(m[1]) + 1}.pathway0_res{int(m[2]) - 1}."),
        (r"\.shortcut_conv/", ".branch1/"),
        (r"\.shortcut_bn/", ".branch1_bn/"),
        (r"\.squeeze_conv(\d)/", r".branch2.se.fc\1/"),
        (r"\.conv(\d)/", lambda m: f".branch2.{'abc'[int(m[1]) - 1]}/"),
        (r"\.bn(\d)/", lambda m: f".branch2.{'abc'[int(m[1]) - 1]}_bn/"),
        (r"^head_conv/", "head.conv_5/"),
        (r"^head_bn/", "head.conv_5_bn/"),
        (r"^head_fc/kernel", "head.lin_5/conv_kernel"),
        (r"^predictions/", "head.projection/"),
    ),
}


def x3d(
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
    shortcut_norm: bool | None = None,
    include_preprocessing: bool = True,
    dropout_rate: float = 0.5,
    synchronized: bool = False,
    dtype: Any = None,
) -> VideoModel:
    """Time is kept, height and width are divided by 32; a stage ends in its last block.

    Those are called `stage1_block3` and so on. Arguments that are not named here are as in `MTNet`.

    Args:
        include_top: whether to end in the classifier. Without it the network ends in the head's
            1x1x1 convolution.
        weights: the name of a preset (`list_presets("MODEL")`), None and files as in `MTNet`.
        pooling: without the top: None for the feature map `(N, T, H/32, W/32, C)`, `"avg"` or
            `"max"` for `(N, C)`.
        classes: number of classes; those of the weights, else 400, when None.
        shortcut_norm: whether the first block, whose shortcut changes the size but not the number
            of channels, has a batch normalization there: PySlowFast's networks do, pytorchvideo's
            do not. None is what a preset was trained with, else False.

    Returns:
        A `VideoModel` from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to float32 scores
        `(N, classes)`. Features are averaged over the whole clip before the classifier, whatever
        its size; for crops larger than those of training, the published code averages scores over
        places.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.
        FileNotFoundError: if the weights are not there; it says how to get them.

    Source: Feichtenhofer, "X3D: Expanding Architectures for Efficient Video Recognition", CVPR
    2020.

    Example:

    >>> import keras_mtnet as mt
    >>> [preset.weights for preset in mt.list_presets("X3DS")]  # X3DS(weights=...)
    ['kinetics400', 'kinetics400_slowfast']
    """
    draft = begin(
        *(size.model, include_top, weights, input_tensor, input_shape, pooling, classes),
        *(include_preprocessing, dtype),
        normalization=PYTORCHVIDEO,
        default_classes=CLASSES,
        options={"shortcut_norm": shortcut_norm},
    )
    if isinstance(draft.weights, Preset):
        shortcut_norm = draft.weights.options["shortcut_norm"]
    norm = {"synchronized": synchronized, "dtype": dtype}
    x = _stem(draft.clips, round_width(STEM_FILTERS, size.width), norm)
    for stage, (width, depth) in enumerate(zip(FILTERS, DEPTHS, strict=True), 1):
        filters = round_width(width, size.width)
        for block in range(1, math.ceil(size.depth * depth) + 1):
            shortcut_bn = bool(shortcut_norm) or filters != x.shape[-1]
            x = _block(x, filters, stage, block, shortcut_bn, norm)
    x = conv_norm_relu(x, int(BOTTLENECK * filters), 1, 1, "head_{}", norm)
    x = pool(x, "avg" if include_top else pooling, dtype)
    if include_top:
        options = {"use_bias": False, "kernel_initializer": he_fan_out(), "dtype": dtype}
        x = keras.layers.Dense(HEAD_UNITS, "relu", name="head_fc", **options)(x)
        x = classifier(x, draft.classes, classifier_activation, dropout_rate, dtype)
    # First the code base that has such a shortcut: that is what weights go back to.
    keys = dict(reversed(TORCH_KEYS.items())) if shortcut_norm else TORCH_KEYS
    return draft.finish(x, name or size.name, keys)


def round_width(width: float, factor: float) -> int:
    """`width * factor` as a multiple of 8, at least 8 and not more than a tenth below.

    Example:

    >>> round_width(12, 2.9), round_width(54, 1 / 16)
    (32, 8)
    """
    exact = width * factor
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


def _stem(x: Any, filters: int, norm: dict[str, Any]) -> Any:
    """1x3x3, then 5x1x1 in each channel: (N, T, H, W, 3) to (N, T, H/2, W/2, filters)."""
    x = conv(x, filters, (1, 3, 3), (1, 2, 2), "stem_conv", norm["dtype"])
    x = _depthwise(x, (STEM_FRAMES, 1, 1), 1, "stem_temporal", norm)
    return relu(batch_norm("stem_bn", **norm)(x), "stem_relu", norm)


def _depthwise(x: Any, kernel: Any, strides: Any, name: str, norm: dict[str, Any]) -> Any:
    options = {"kernel_initializer": he_fan_out(), "dtype": norm["dtype"], "name": name}
    return DepthwiseConv3D(kernel, strides, **options)(x)


def _block(
    x: Any, filters: int, stage: int, block: int, shortcut_bn: bool, norm: dict[str, Any]
) -> Any:
    """Widens, convolves each channel, squeezes every other time, narrows, and adds.

    The first block of a stage halves height and width.
    """
    name, dtype = f"stage{stage}_block{block}", norm["dtype"]
    strides = (1, 2, 2) if block == 1 else (1, 1, 1)
    inner = int(BOTTLENECK * filters)
    y = conv_norm_relu(x, inner, 1, 1, f"{name}_{{}}1", norm)
    y = _depthwise(y, 3, strides, f"{name}_conv2", norm)
    y = batch_norm(f"{name}_bn2", **norm)(y)
    if block % 2:
        y = _squeeze(y, f"{name}_squeeze", dtype)
    y = keras.layers.Activation("silu", dtype=dtype, name=f"{name}_silu2")(y)
    y = conv_norm(y, filters, 1, 1, f"{name}_{{}}3", norm, gamma_initializer="zeros")
    if block == 1:
        x = conv(x, filters, 1, strides, f"{name}_shortcut_conv", dtype)
        if shortcut_bn:
            x = batch_norm(f"{name}_shortcut_bn", **norm)(x)
    return relu(keras.layers.Add(dtype=dtype, name=f"{name}_add")([x, y]), name, norm)


def _squeeze(x: Any, name: str, dtype: Any) -> Any:
    """Squeeze and excitation: multiplies each channel by a gate made of the means of all."""
    channels = x.shape[-1]
    gate = keras.layers.GlobalAveragePooling3D(keepdims=True, dtype=dtype, name=f"{name}_pool")(x)
    inner = round_width(channels, SQUEEZE)
    for i, (units, activation) in enumerate(((inner, "relu"), (channels, "sigmoid")), 1):
        options = {"activation": activation, "dtype": dtype, "name": f"{name}_conv{i}"}
        gate = PointwiseConv3D(units, **options)(gate)
    return keras.layers.Multiply(dtype=dtype, name=f"{name}_scale")([x, gate])


# Factors of width and depth, and training clips, of the paper's Table 4.
SIZES = {
    size.model: size
    for size in (
        Size("X3DXS", "x3d_xs", (4, 160), 2.0, 2.2),
        Size("X3DS", "x3d_s", (13, 160), 2.0, 2.2),
        Size("X3DM", "x3d_m", (16, 224), 2.0, 2.2),
        Size("X3DL", "x3d_l", (16, 312), 2.0, 5.0),
        Size("X3DXL", "x3d_xl", (16, 312), 2.9, 5.0),
    )
}
_SUMMARY = "Builds X3D-{}, made for clips of {} x {} x {}: {} M parameters, {} G multiply-adds."
X3DXS = sized(x3d, SIZES["X3DXS"], _SUMMARY.format("XS", 4, 160, 160, 3.79, 0.61))
X3DS = sized(x3d, SIZES["X3DS"], _SUMMARY.format("S", 13, 160, 160, 3.79, 1.96))
X3DM = sized(x3d, SIZES["X3DM"], _SUMMARY.format("M", 16, 224, 224, 3.79, 4.73))
X3DL = sized(x3d, SIZES["X3DL"], _SUMMARY.format("L", 16, 312, 312, 6.15, 18.37))
X3DXL = sized(x3d, SIZES["X3DXL"], _SUMMARY.format("XL", 16, 312, 312, 11.1, 35.84))
