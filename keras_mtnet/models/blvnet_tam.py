"""bLVNet-TAM: of each two frames, a deep branch sees one small and a shallow one the other."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_mtnet.layers.defaults import he_fan_out
from keras_mtnet.layers.depthwise_conv3d import DepthwiseConv3D
from keras_mtnet.layers.frame_pairs import AddEnlarged, EvenFrames, FramePairs, RepeatFrames
from keras_mtnet.models.builder import Weights, begin, classifier, pool, sized
from keras_mtnet.models.parts import relu
from keras_mtnet.models.tsm import Size, frame_conv_norm
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import IMAGENET
from keras_mtnet.weights.torch import Rules

CLASSES = 400  # Kinetics-400
FILTERS = (256, 512, 1024, 2048)
STRIDES = (2, 2, 1)  # of the block in which the first three stages end
STEM_FILTERS = 64
EXPANSION = 4  # of the inner width of a block in its output
ALPHA = 2  # how much narrower the little branch is

TORCH_KEYS: dict[str, Rules] = {
    "bLVNet-TAM": (
        (r"^stem_big_conv/", "b_conv0/"),
        (r"^stem_big_bn/", "bn_b0/"),
        (r"^stem_little_conv(\d)/", lambda m: f"l_conv{int(m[1]) - 1}/"),
        (r"^stem_little_bn(\d)/", lambda m: f"bn_l{int(m[1]) - 1}/"),
        (r"^stem_fusion_conv/", "bl_init/"),
        (r"^stem_fusion_bn/", "bn_bl_init/"),
        (r"^stem_(conv|bn)/", r"\g<1>1/"),
        (r"^stem_tam/", "tam/"),
        (r"^stage(\d)_block(\d)_", lambda m: f"layer{m[1]}.{int(m[2]) - 1}."),
        (r"^stage(\d)_(\w+)_block(\d)_", lambda m: f"layer{m[1]}.{m[2]}.{int(m[3]) - 1}."),
        (r"^stage(\d)_fusion_", r"layer\1.fusion.0."),
        (r"^stage(\d)_little_conv/", r"layer\1.little_e.0/"),
        (r"^stage(\d)_little_bn/", r"layer\1.little_e.1/"),
        (r"^stage(\d)_tam/", r"layer\1.tam/"),
        (r"(little\.0)\.shortcut_conv/", r"\1.downsample.0/"),
        (r"(little\.0)\.shortcut_bn/", r"\1.downsample.1/"),
        (r"\.shortcut_conv/", ".downsample.1/"),  # after an average pooling
        (r"\.shortcut_bn/", ".downsample.2/"),
        (r"^(?!predictions)", "baseline_model."),
        (r"^predictions/", "new_fc/"),
        (r"tam/depthwise_kernel$", "tam/tap_kernel"),
        (r"(?<!new_fc)/kernel$", "/frame_kernel"),
    )
}


def _blvnet_tam(
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
    dropout_rate: float = 0.5,
    synchronized: bool = False,
    dtype: Any = None,
) -> VideoModel:
    """The big branch of a stage sees the second frame of each pair, at half the size.

    The little branch sees the first; their sum stands for both in the next stage. Ahead of the
    branches, frames are blended with their neighbors. Frames are halved, height and width are
    divided by 32. The outputs of the stages are those of the layers `stem_fusion`, `stage1_fusion`
    to `stage3_fusion` and `stage4_block3`. An odd last frame is repeated.

    Arguments that are not named here are as in `MTNet`.

    Args:
        weights: the name of a preset (`list_presets("MODEL")`), None and files as in
            `MTNet`.
        pooling: without the top: None for the feature map `(N, T/2, H/32, W/32, 2048)`, `"avg"` or
            `"max"` for `(N, 2048)`.
        classes: number of classes; those of the weights, else 400, when None.

    Returns:
        A `VideoModel` from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to float32 scores
        `(N, classes)`.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.
        FileNotFoundError: if the weights are not there; it says how to get them.

    Source: Fan et al., "More Is Less: Learning Efficient Video Representations by Big-Little
    Network and Depthwise Temporal Aggregation", NeurIPS 2019.

    Example:

    >>> import keras_mtnet as mt
    >>> mt.BLVNetTAM50(include_top=False, input_shape=(16, 64, 64, 3)).output_shape
    (None, 8, 2, 2, 2048)
    """
    draft = begin(
        *(size.model, include_top, weights, input_tensor, input_shape, pooling, classes),
        *(include_preprocessing, dtype),
        normalization=IMAGENET,
        default_classes=CLASSES,
    )
    norm = {"synchronized": synchronized, "dtype": dtype}
    x = _stem(draft.clips, norm)
    for stage, stride in enumerate(STRIDES, 1):
        x = _stage(x, stage, size.depths[stage - 1], stride, norm)
    for block in range(1, size.depths[3] + 1):
        at = f"stage4_block{block}"
        x = _block(x, FILTERS[3], 2 if block == 1 else 1, at, norm, aggregate=True)
    x = pool(x, "avg" if include_top else pooling, dtype)
    if include_top:
        x = classifier(x, draft.classes, classifier_activation, dropout_rate, dtype)
    return draft.finish(x, name or size.name, TORCH_KEYS)


def _stem(x: Any, norm: dict[str, Any]) -> Any:
    """`(N, T, H, W, 3)` to `(N, T/2, H/4, W/4, 64)`."""
    narrow = STEM_FILTERS // ALPHA
    x = EvenFrames(dtype=norm["dtype"], name="stem_even")(x)
    x = frame_conv_norm(x, STEM_FILTERS, 7, 2, "stem_{}", norm)
    x = _aggregate(relu(x, "stem_relu", norm), "stem_tam", norm)
    little, big = FramePairs(dtype=norm["dtype"], name="stem_pairs")(x)
    big = frame_conv_norm(big, STEM_FILTERS, 3, 2, "stem_big_{}", norm)
    little = frame_conv_norm(little, narrow, 3, 1, "stem_little_{}1", norm)
    little = relu(little, "stem_little_relu1", norm)
    little = frame_conv_norm(little, narrow, 3, 2, "stem_little_{}2", norm)
    little = relu(little, "stem_little_relu2", norm)
    little = frame_conv_norm(little, STEM_FILTERS, 1, 1, "stem_little_{}3", norm)
    x = keras.layers.Add(dtype=norm["dtype"], name="stem_add")([big, little])
    x = relu(x, "stem_add_relu", norm)
    x = frame_conv_norm(x, STEM_FILTERS, 1, 1, "stem_fusion_{}", norm)
    return relu(x, "stem_fusion", norm)


def _stage(x: Any, stage: int, depth: int, stride: int, norm: dict[str, Any]) -> Any:
    """Two branches and a block of what they found, `(N, T/2, H, W, C)` to as many frames.

    The last block of the stage's depth is the one after the branches. The little one has a block.
    """
    name, filters = f"stage{stage}", FILTERS[stage - 1]
    x = RepeatFrames(dtype=norm["dtype"], name=f"{name}_repeat")(x)
    x = _aggregate(x, f"{name}_tam", norm)
    little, big = FramePairs(dtype=norm["dtype"], name=f"{name}_pairs")(x)
    for block in range(1, depth):
        ends = block == depth - 1
        big_name = f"{name}_big_block{block}"
        big = _block(big, filters, 2 if block == 1 else 1, big_name, norm, activate=not ends)
    little = _block(little, filters // ALPHA, 1, f"{name}_little_block1", norm)
    little = frame_conv_norm(little, filters, 1, 1, f"{name}_little_{{}}", norm)
    x = AddEnlarged(dtype=norm["dtype"], name=f"{name}_add")([little, big])
    x = relu(x, f"{name}_add_relu", norm)
    return _block(x, filters, stride, f"{name}_fusion", norm)


def _block(
    x: Any,
    filters: int,
    stride: int,
    name: str,
    norm: dict[str, Any],
    aggregate: bool = False,
    activate: bool = True,
) -> Any:
    """Bottleneck block; the shortcut averages where it skips positions."""
    inner, dtype = filters // EXPANSION, norm["dtype"]
    shortcut = x
    if aggregate:
        x = _aggregate(x, f"{name}_tam", norm)
    y = relu(frame_conv_norm(x, inner, 1, 1, f"{name}_{{}}1", norm), f"{name}_relu1", norm)
    y = relu(frame_conv_norm(y, inner, 3, stride, f"{name}_{{}}2", norm), f"{name}_relu2", norm)
    y = frame_conv_norm(y, filters, 1, 1, f"{name}_{{}}3", norm, gamma_initializer="zeros")
    if stride > 1 or x.shape[-1] != filters:
        shortcut = x
    if stride > 1:
        pad, window = (0, 1, 1), (1, 3, 3)
        shortcut = keras.layers.ZeroPadding3D(pad, dtype=dtype, name=f"{name}_pad")(shortcut)
        shortcut = keras.layers.AveragePooling3D(
            window, (1, stride, stride), dtype=dtype, name=f"{name}_pool"
        )(shortcut)
    if x.shape[-1] != filters:
        shortcut = frame_conv_norm(shortcut, filters, 1, 1, f"{name}_shortcut_{{}}", norm)
    last = f"{name}_add" if activate else name
    y = keras.layers.Add(dtype=dtype, name=last)([y, shortcut])
    return relu(y, name, norm) if activate else y


def _aggregate(x: Any, name: str, norm: dict[str, Any]) -> Any:
    """Temporal aggregation: each channel blends three frames."""
    x = DepthwiseConv3D((3, 1, 1), kernel_initializer=he_fan_out(), dtype=norm["dtype"], name=name)(
        x
    )
    return relu(x, f"{name}_relu", norm)


SIZE = Size("BLVNetTAM50", "blvnet_tam50", (16, 224), (3, 4, 6, 3))
BLVNetTAM50 = sized(
    _blvnet_tam,
    SIZE,
    "Builds bLVNet-TAM-50, made for clips of 8x2, 16x2 or 24x2 frames of 224 x 224.\n\n"
    "25.5 M parameters; 23.9, 47.7 or 71.6 G multiply-adds.",
)
