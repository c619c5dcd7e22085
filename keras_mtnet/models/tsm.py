"""TSM: a ResNet of frames whose blocks see a few channels of the neighboring frames."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtnet.layers.max_pooling import CenteredMaxPooling3D
from keras_mtnet.layers.temporal_shift import TemporalShift
from keras_mtnet.models.builder import Weights, begin, classifier, pool, sized
from keras_mtnet.models.parts import conv_norm, relu
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import IMAGENET
from keras_mtnet.weights.torch import Rules

CLASSES = 400  # Kinetics-400
FILTERS = (64, 128, 256, 512)  # inner width of the blocks of each stage
EXPANSION = 4


@dataclasses.dataclass(frozen=True)
class Size:
    """A network of frames that look at their neighbors."""

    model: str  # name of the builder
    name: str  # of the network
    clip: tuple[int, int]  # frames and pixels
    depths: tuple[int, ...]  # blocks of each stage


_BLOCK: Rules = ((r"^stage(\d)_block(\d)_", lambda m: f"layer{m[1]}.{int(m[2]) - 1}."),)
TORCH_KEYS: dict[str, Rules] = {
    "temporal-shift-module": (
        *_BLOCK,
        (r"^stem_(conv|bn)/", r"\g<1>1/"),
        (r"\.shortcut_conv/", ".downsample.0/"),
        (r"\.shortcut_bn/", ".downsample.1/"),
        (r"\.conv1/", ".conv1.net/"),
        (r"^(?=conv|bn|layer)", "base_model."),
        (r"^predictions/", "new_fc/"),
        (r"(?<!new_fc)/kernel$", "/frame_kernel"),
    ),
    "mmaction2": (
        *_BLOCK,
        (r"^stem_(conv|bn)/", r"conv1.\1/"),
        (r"\.shortcut_(conv|bn)/", r".downsample.\1/"),
        (r"\.(conv|bn)(\d)/", r".conv\2.\1/"),
        (r"(layer.*\.conv1\.conv)/", r"\1.net/"),
        (r"^(?=conv|layer)", "backbone."),
        (r"^predictions/", "cls_head.fc_cls/"),
        (r"(?<!fc_cls)/kernel$", "/frame_kernel"),
    ),
}


def _tsm(
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
    """No frames are dropped, height and width are divided by 32. A stage ends in its last block, as
    `stage1_block3`. All convolutions are of single frames; before each block's first one, an
    eighth of the channels moves to the frame before, and an eighth to the frame after.

    Arguments that are not named here are as in `MTNet`.

    Args:
        weights: the name of a preset (`list_presets("MODEL")`), None and files as in `MTNet`.
        pooling: without the top: None for the feature map `(N, T, H/32, W/32, 2048)`, `"avg"` or
            `"max"` for `(N, 2048)`.
        classes: number of classes; those of the weights, else 400, when None.

    Returns:
        A `VideoModel` from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to float32 scores
        `(N, classes)`.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.
        FileNotFoundError: if the weights are not there; it says how to get them.

    Source: Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding", ICCV 2019.

    Example:

    >>> import keras_mtnet as mt
    >>> mt.TSM50(include_top=False, input_shape=(8, 64, 64, 3)).output_shape
    (None, 8, 2, 2, 2048)
    """
    draft = begin(
        *(size.model, include_top, weights, input_tensor, input_shape, pooling, classes),
        *(include_preprocessing, dtype),
        normalization=IMAGENET,
        default_classes=CLASSES,
    )
    norm = {"synchronized": synchronized, "dtype": dtype}
    x = frame_conv_norm(draft.clips, FILTERS[0], 7, 2, "stem_{}", norm)
    x = relu(x, "stem_relu", norm)
    x = CenteredMaxPooling3D((1, 3, 3), (1, 2, 2), dtype=dtype, name="stem_pool")(x)
    for stage, (filters, depth) in enumerate(zip(FILTERS, size.depths, strict=True), 1):
        for block in range(1, depth + 1):
            stride = 2 if block == 1 and stage > 1 else 1
            x = _block(x, filters, stride, f"stage{stage}_block{block}", norm)
    x = pool(x, "avg" if include_top else pooling, dtype)
    if include_top:
        x = classifier(x, draft.classes, classifier_activation, dropout_rate, dtype)
    return draft.finish(x, name or size.name, TORCH_KEYS)


def _block(x: Any, filters: int, stride: int, name: str, norm: dict[str, Any]) -> Any:
    """Bottleneck block: shift, 1x1, 3x3 and 1x1 convolutions, and the input added."""
    y = TemporalShift(dtype=norm["dtype"], name=f"{name}_shift")(x)
    y = relu(frame_conv_norm(y, filters, 1, 1, f"{name}_{{}}1", norm), f"{name}_relu1", norm)
    y = relu(frame_conv_norm(y, filters, 3, stride, f"{name}_{{}}2", norm), f"{name}_relu2", norm)
    y = frame_conv_norm(y, filters * EXPANSION, 1, 1, f"{name}_{{}}3", norm)
    if x.shape[-1] != y.shape[-1]:
        x = frame_conv_norm(x, filters * EXPANSION, 1, stride, f"{name}_shortcut_{{}}", norm)
    return relu(keras.layers.Add(dtype=norm["dtype"], name=f"{name}_add")([x, y]), name, norm)


def frame_conv_norm(
    x: Any, filters: int, size: int, stride: int, name: str, norm: dict[str, Any], **kwargs: Any
) -> Any:
    """`conv_norm` of single frames."""
    return conv_norm(x, filters, (1, size, size), (1, stride, stride), name, norm, **kwargs)


SIZE = Size("TSM50", "tsm50", (8, 224), (3, 4, 6, 3))
TSM50 = sized(
    _tsm,
    SIZE,
    "Builds TSM with ResNet-50, made for clips of 8 or 16 x 224 x 224.\n\n"
    "24.3 M parameters, 32.7 or 65.4 G multiply-adds.",
)
