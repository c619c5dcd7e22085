"""MF-Net: residual units of grouped 3-D convolutions, "fibers", that exchange what they see."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_mtnet.layers.convolutions import CenteredConv3D, PointwiseConv3D
from keras_mtnet.layers.defaults import batch_norm
from keras_mtnet.layers.grouped_conv3d import GroupedConv3D
from keras_mtnet.layers.max_pooling import CenteredMaxPooling3D
from keras_mtnet.models.builder import Weights, begin, builder, classifier, pool
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import MTNET
from keras_mtnet.weights.torch import Rules

CLASSES = 400  # Kinetics-400
GROUPS = 16
STEM_FILTERS = 16
FILTERS = (96, 192, 384, 768)
DEPTHS = (3, 4, 6, 3)

_PARTS = {"1": "i1", "2": "i2", "3": "m1", "4": "m2", "shortcut": "w1"}
TORCH_KEYS: dict[str, Rules] = {
    "PyTorch-MFNet": (
        (r"^stem_", "conv1."),
        (r"^head_bn/", "tail.bn/"),
        (r"^predictions/", "classifier/"),
        (r"^stage(\d)_block(\d)_", lambda m: f"conv{int(m[1]) + 1}.B{int(m[2]):02}."),
        (r"\.(conv|bn)(\d)/", lambda m: f".conv_{_PARTS[m[2]]}.{m[1]}/"),
        (r"\.shortcut_(conv|bn)/", r".conv_w1.\1/"),
    )
}


@builder
def MFNet(
    include_top: bool = True,
    weights: Weights = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: Any = "softmax",
    name: str = "mfnet",
    *,
    include_preprocessing: bool = True,
    dropout_rate: float = 0.0,
    synchronized: bool = False,
    dtype: Any = None,
) -> VideoModel:
    """Builds the multi-fiber network MF-Net (3D), of 16 fibers, made for clips of 16 x 224 x 224.

    Frames are halved once, height and width are divided by 32. A stage ends in its last block, as
    `stage1_block3`. Arguments that are not named here are as in `MTNet`.

    Args:
        weights: `"kinetics400"` for the authors' weights, once converted; None and files as in
            `MTNet`.
        pooling: without the top: None for the feature map `(N, T/2, H/32, W/32, 768)`, `"avg"` or
            `"max"` for `(N, 768)`.
        classes: number of classes; those of the weights, else 400, when None.
        dropout_rate: in front of the classifier; its authors had none on Kinetics.

    Returns:
        A `VideoModel` from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to float32 scores
        `(N, classes)`. 8.0 M parameters, 11.1 G multiply-adds for 16 x 224 x 224.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.
        FileNotFoundError: if the weights are not there; it says how to get them.

    Source: Chen et al., "Multi-Fiber Networks for Video Recognition", ECCV 2018, Table 1.

    Example:

    >>> import keras_mtnet as mt
    >>> mt.MFNet(include_top=False, input_shape=(16, 64, 64, 3)).output_shape
    (None, 8, 2, 2, 768)
    """
    draft = begin(
        *("MFNet", include_top, weights, input_tensor, input_shape, pooling, classes),
        *(include_preprocessing, dtype),
        normalization=MTNET,
        default_classes=CLASSES,
    )
    norm = {"synchronized": synchronized, "dtype": dtype}
    x = CenteredConv3D(
        *(STEM_FILTERS, (3, 5, 5)), strides=(1, 2, 2), use_bias=False, dtype=dtype, name="stem_conv"
    )(draft.clips)
    x = _norm_relu(x, "stem_{}", norm)
    x = CenteredMaxPooling3D((1, 3, 3), (1, 2, 2), dtype=dtype, name="stem_pool")(x)
    for stage, (filters, depth) in enumerate(zip(FILTERS, DEPTHS, strict=True), 1):
        for block in range(1, depth + 1):
            strides = None if block > 1 else (2, 1, 1) if stage == 1 else (1, 2, 2)
            x = _unit(x, filters, strides, f"stage{stage}_block{block}", norm)
    x = _norm_relu(x, "head_{}", norm)
    x = pool(x, "avg" if include_top else pooling, dtype)
    if include_top:
        x = classifier(x, draft.classes, classifier_activation, dropout_rate, dtype)
    return draft.finish(x, name, TORCH_KEYS)


def _unit(x: Any, filters: int, strides: Any, name: str, norm: dict[str, Any]) -> Any:
    """Residual unit; with strides, the first one of a stage.

    Two 1x1x1 convolutions, the multiplexer, mix the groups of channels ahead of those that keep
    them apart.
    """
    add = {"dtype": norm["dtype"]}
    y = _norm_relu_conv(x, filters // 4, 1, 1, f"{name}_{{}}1", norm)
    y = _norm_relu_conv(y, x.shape[-1], 1, 1, f"{name}_{{}}2", norm)
    y = keras.layers.Add(name=f"{name}_mixed", **add)([x, y])
    y = _norm_relu_conv(y, filters, 3, strides or 1, f"{name}_{{}}3", norm)
    y = _norm_relu_conv(y, filters, 1 if strides else (1, 3, 3), 1, f"{name}_{{}}4", norm)
    if strides:
        x = _norm_relu_conv(x, filters, 1, strides, f"{name}_shortcut_{{}}", norm)
    return keras.layers.Add(name=name, **add)([x, y])


def _norm_relu_conv(
    x: Any, filters: int, kernel: Any, strides: Any, name: str, norm: dict[str, Any]
) -> Any:
    """Batch normalization, ReLU and a convolution: of groups, but for kernels of one position."""
    x = _norm_relu(x, name, norm)
    options = {"strides": strides, "use_bias": False, "dtype": norm["dtype"]}
    if kernel == 1:
        return PointwiseConv3D(filters, name=name.format("conv"), **options)(x)
    return GroupedConv3D(filters, kernel, GROUPS, name=name.format("conv"), **options)(x)


def _norm_relu(x: Any, name: str, norm: dict[str, Any]) -> Any:
    """`name` has a place for the kind of layer."""
    x = batch_norm(name.format("bn"), **norm)(x)
    return keras.layers.ReLU(dtype=norm["dtype"], name=name.format("relu"))(x)
