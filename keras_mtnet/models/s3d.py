"""S3D: Inception-v1 whose 3-D convolutions are one over space and one over time."""

import re
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtnet.layers.max_pooling import CenteredMaxPooling3D
from keras_mtnet.layers.window_pooling import MaxPool
from keras_mtnet.models.builder import Weights, begin, builder, classifier, pool
from keras_mtnet.models.i3d import CLASSES, STAGES, FramePairAverage
from keras_mtnet.models.parts import conv_norm_relu
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import TORCHVISION
from keras_mtnet.weights.torch import Rules

BN_MOMENTUM, BN_EPSILON = 0.999, 1e-3


def _block_key(match: re.Match) -> str:
    """Our name of a layer in a block to torchvision's."""
    stage, block, branch, kind, part = match.groups()
    place = {"1": 4, "2": 7, "3": 13}[stage] + int(block)
    step = {"conv": 0, "bn": 1}[kind]
    if part:  # the separable convolution
        unit = f"1/{0 if part == '_spatial' else 1}/{step}"
    else:  # alone, in front of that, or behind a pooling
        unit = {"0": f"{step}", "3": f"1/{step}"}.get(branch, f"0/{step}")
    return f"features/{place}/branch{branch}/{unit}/"


TORCH_KEYS: dict[str, Rules] = {
    "torchvision": (
        (r"^stage(\d)_block(\d)_branch(\d)_(conv|bn)\d(_spatial|_temporal|)/", _block_key),
        (r"^stem_(\w+)1_spatial/", r"features/0/0/\1/"),
        (r"^stem_(\w+)1_temporal/", r"features/0/1/\1/"),
        (r"^stem_(\w+)2/", r"features/2/\1/"),
        (r"^stem_(\w+)3_spatial/", r"features/3/0/\1/"),
        (r"^stem_(\w+)3_temporal/", r"features/3/1/\1/"),
        (r"/conv/", "/0/"),
        (r"/bn/", "/1/"),
        (r"^predictions/kernel", "classifier/1/conv_kernel"),
        (r"^predictions/", "classifier/1/"),
    )
}


@builder
def S3D(
    include_top: bool = True,
    weights: Weights = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: Any = "softmax",
    name: str = "s3d",
    *,
    include_preprocessing: bool = True,
    dropout_rate: float = 0.2,
    synchronized: bool = False,
    dtype: Any = None,
) -> VideoModel:
    """Builds S3D, I3D with separable convolutions, made for clips of 16 or more x 224 x 224.

    Time, height and width are divided by 8, 32 and 32. The outputs of the stages are those of the
    layers `stem_pool2`, `stage1_block2`, `stage2_block5` and `stage3_block2`. Frames are averaged
    in pairs, and then the pairs, as torchvision does. For crops above 224 pixels torchvision
    averages windows of 7 x 7 pixels of the last feature map in the same way, this network the
    whole map.

    Arguments that are not named here are as in `MTNet`.

    Args:
        weights: `"kinetics400"` for torchvision's. None and files as in `MTNet`.
        pooling: without the top: None for the feature map `(N, T/8, H/32, W/32, 1024)`, `"avg"`
            or `"max"` for `(N, 1024)`.
        classes: number of classes; those of the weights, else 400, when None.
        dropout_rate: in front of the classifier.

    Returns:
        A `VideoModel` from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to float32 scores
        `(N, classes)`. 8.3 M parameters, 18.0 G multiply-adds for 16 x 224 x 224.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.
        FileNotFoundError: if the weights are not there; it says how to get them.

    Source: Xie et al., "Rethinking Spatiotemporal Feature Learning", ECCV 2018; torchvision, whose
    network has no gates either.

    Example:

    >>> import keras_mtnet as mt
    >>> model = mt.S3D(classes=10, input_shape=(16, 64, 64, 3))
    >>> model.get_layer("stage2_block5").output.shape
    (None, 4, 4, 4, 832)
    """
    draft = begin(
        *("S3D", include_top, weights, input_tensor, input_shape, pooling, classes),
        *(include_preprocessing, dtype),
        normalization=TORCHVISION,
        default_classes=CLASSES,
    )
    norm = {"momentum": BN_MOMENTUM, "epsilon": BN_EPSILON}
    norm |= {"synchronized": synchronized, "dtype": dtype}
    x = _separable(draft.clips, 64, 7, 2, "stem_{}1", norm)
    x = _max_pool(x, (1, 3, 3), (1, 2, 2), "stem_pool1", dtype)
    x = conv_norm_relu(x, 64, 1, 1, "stem_{}2", norm)
    x = _separable(x, 192, 3, 1, "stem_{}3", norm)
    x = _max_pool(x, (1, 3, 3), (1, 2, 2), "stem_pool2", dtype)
    for stage, blocks in enumerate(STAGES, 1):
        if stage == 2:
            x = _max_pool(x, (3, 3, 3), (2, 2, 2), "stage2_pool", dtype)
        if stage == 3:
            x = MaxPool((2, 2, 2), dtype=dtype, name="stage3_pool")(x)
        for block, filters in enumerate(blocks, 1):
            x = _block(x, filters, f"stage{stage}_block{block}", norm)
    if not include_top:
        return draft.finish(pool(x, pooling, dtype), name, TORCH_KEYS)
    x = FramePairAverage(dtype=dtype, name="head_pool")(x)
    x = classifier(x, draft.classes, classifier_activation, dropout_rate, dtype)
    return draft.finish(x, name, TORCH_KEYS)


def _separable(
    x: Any, filters: int, size: int, strides: int, name: str, norm: dict[str, Any]
) -> Any:
    """A convolution over space, then one over time, each normalized and rectified."""
    space, time = (1, size, size), (size, 1, 1)
    x = conv_norm_relu(x, filters, space, (1, strides, strides), f"{name}_spatial", norm)
    return conv_norm_relu(x, filters, time, (strides, 1, 1), f"{name}_temporal", norm)


def _max_pool(x: Any, size: Any, strides: Any, name: str, dtype: Any) -> Any:
    return CenteredMaxPooling3D(size, strides, dtype=dtype, name=name)(x)


def _block(x: Any, filters: Sequence[int], name: str, norm: dict[str, Any]) -> Any:
    """Inception block: four branches side by side, `(N, T, H, W, C)` to the sum of their widths."""
    branch = name + "_branch{}_{{}}{}"
    branches = [conv_norm_relu(x, filters[0], 1, 1, branch.format(0, 1), norm)]
    for i, (inner, outer) in enumerate((filters[1:3], filters[3:5]), 1):
        reduced = conv_norm_relu(x, inner, 1, 1, branch.format(i, 1), norm)
        branches.append(_separable(reduced, outer, 3, 1, branch.format(i, 2), norm))
    pooled = _max_pool(x, (3, 3, 3), 1, f"{name}_branch3_pool", norm["dtype"])
    branches.append(conv_norm_relu(pooled, filters[5], 1, 1, branch.format(3, 1), norm))
    return keras.layers.Concatenate(dtype=norm["dtype"], name=name)(branches)
