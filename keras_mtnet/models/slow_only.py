"""SlowOnly: a ResNet on few frames, of which only the last two stages look at several."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtnet.layers.convolutions import PointwiseConv3D
from keras_mtnet.layers.defaults import batch_norm, he_fan_out
from keras_mtnet.layers.max_pooling import CenteredMaxPooling3D
from keras_mtnet.layers.non_local import NonLocalProduct
from keras_mtnet.layers.window_pooling import MaxPool
from keras_mtnet.models.builder import Weights, begin, classifier, pool, sized
from keras_mtnet.models.parts import conv_norm, conv_norm_relu, relu
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import PYTORCHVIDEO
from keras_mtnet.weights.torch import Rules

CLASSES = 400  # Kinetics-400
EXPANSION = 4  # of the inner width in the output of a block
FRAMES = (1, 1, 3, 3)  # by stage, of the blocks' first kernels


@dataclasses.dataclass(frozen=True)
class Size:
    """A member of the family."""

    model: str  # name of the builder
    name: str  # of the network
    clip: tuple[int, int]  # frames and pixels
    depths: tuple[int, ...]  # blocks of each stage
    # By stage, the blocks that a non-local block follows, where those are wanted.
    non_local: tuple[tuple[int, ...], ...]
    filters: tuple[int, ...] = (64, 128, 256, 512)  # inner width of the blocks of each stage


# How PyTorch code bases name what is inside a block; see keras_mtnet/weights/torch.py.
PYTORCHVIDEO_BLOCK: Rules = (
    (r"\.shortcut_conv/", ".branch1_conv/"),
    (r"\.shortcut_bn/", ".branch1_norm/"),
    (r"\.conv(\d)/", lambda m: f".branch2.conv_{'abc'[int(m[1]) - 1]}/"),
    (r"\.bn(\d)/", lambda m: f".branch2.norm_{'abc'[int(m[1]) - 1]}/"),
)
PYSLOWFAST_BLOCK: Rules = (
    (r"\.shortcut_conv/", ".branch1/"),
    (r"\.shortcut_bn/", ".branch1_bn/"),
    (r"\.conv(\d)/", lambda m: f".branch2.{'abc'[int(m[1]) - 1]}/"),
    (r"\.bn(\d)/", lambda m: f".branch2.{'abc'[int(m[1]) - 1]}_bn/"),
    (r"res(\d+)\.non_local_bn/", r"nonlocal\1.bn/"),
    (r"res(\d+)\.non_local_(\w+)/", r"nonlocal\1.conv_\2/"),
    (r"^predictions/", "head.projection/"),
)
TORCH_KEYS: dict[str, Rules] = {
    "pytorchvideo": (
        (r"^stem_conv/", "blocks.0.conv/"),
        (r"^stem_bn/", "blocks.0.norm/"),
        (r"^stage(\d)_block(\d+)_", lambda m: f"blocks.{m[1]}.res_blocks.{int(m[2]) - 1}."),
        *PYTORCHVIDEO_BLOCK,
        (r"^predictions/", "blocks.5.proj/"),
    ),
    "PySlowFast": (
        (r"^stem_(conv|bn)/", r"s1.pathway0_stem.\1/"),
        (r"^stage(\d)_block(\d+)_", lambda m: f"s{int(m[1]) + 1}.pathway0_res{int(m[2]) - 1}."),
        *PYSLOWFAST_BLOCK,
    ),
}


def slow_only(
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
    non_local: bool = False,
    include_preprocessing: bool = True,
    dropout_rate: float = 0.5,
    synchronized: bool = False,
    dtype: Any = None,
) -> VideoModel:
    """Time is kept, height and width are divided by 32. A stage ends in its last block, as in
    `stage1_block3`.

    Arguments that are not named here are as in `MTNet`.

    Args:
        weights: the name of a preset (`list_presets("MODEL")`), None and files as in `MTNet`.
        pooling: without the top: None for the feature map `(N, T, H/32, W/32, 2048)`, `"avg"` or
            `"max"` for `(N, 2048)`.
        classes: number of classes; those of the weights, else 400, when None.
        non_local: whether five non-local blocks, in the second and third stage, compare all
            positions with all. No weights are published.

    Returns:
        A `VideoModel` from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to float32 scores
        `(N, classes)`. Features are averaged over the whole clip before the classifier, whatever
        its size; for crops larger than those of training, the published code averages scores over
        places.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.
        FileNotFoundError: if the weights are not there; it says how to get them.

    Source: Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019, Table 1;
    Wang et al., "Non-local Neural Networks", CVPR 2018.

    Example:

    >>> import keras_mtnet as mt
    >>> mt.SlowOnly50(include_top=False, pooling="avg").output_shape
    (None, 2048)
    """
    draft = begin(
        *(size.model, include_top, weights, input_tensor, input_shape, pooling, classes),
        *(include_preprocessing, dtype),
        normalization=PYTORCHVIDEO,
        default_classes=CLASSES,
    )
    norm = {"synchronized": synchronized, "dtype": dtype}
    x = stem(draft.clips, size.filters[0], 1, "stem", norm)
    for stage, (filters, depth) in enumerate(zip(size.filters, size.depths, strict=True), 1):
        frames = [FRAMES[stage - 1]] * depth
        places = size.non_local[stage - 1] if non_local else ()
        x = residual_stage(x, filters, frames, stage, f"stage{stage}", norm, places)
    x = pool(x, "avg" if include_top else pooling, dtype)
    if include_top:
        x = classifier(x, draft.classes, classifier_activation, dropout_rate, dtype)
    return draft.finish(x, name or size.name, keys_of(TORCH_KEYS, non_local))


def keys_of(torch_keys: dict[str, Rules], non_local: bool) -> dict[str, Rules]:
    """The code bases that know a network: pytorchvideo has no non-local blocks."""
    return {k: rules for k, rules in torch_keys.items() if not non_local or k == "PySlowFast"}


def stem(x: Any, filters: int, frames: int, name: str, norm: dict[str, Any]) -> Any:
    """Convolution and pooling, `(N, T, H, W, 3)` to `(N, T, H/4, W/4, filters)`."""
    x = conv_norm_relu(x, filters, (frames, 7, 7), (1, 2, 2), f"{name}_{{}}", norm)
    pooling = {"dtype": norm["dtype"], "name": f"{name}_pool"}
    return CenteredMaxPooling3D((1, 3, 3), (1, 2, 2), **pooling)(x)


def residual_stage(
    x: Any,
    filters: int,
    frames: Sequence[int],
    stage: int,
    name: str,
    norm: dict[str, Any],
    non_local: Sequence[int] = (),
) -> Any:
    """A stage of bottleneck blocks; all but the first stage halve height and width.

    `frames` are those of each block's first kernel; blocks in `non_local` are followed by one.
    """
    for block, length in enumerate(frames, 1):
        strides = (1, 2, 2) if block == 1 and stage > 1 else (1, 1, 1)
        x = _block(x, filters, length, strides, f"{name}_block{block}", norm)
        if block in non_local:
            x = _non_local(x, f"{name}_block{block}_non_local", norm)
    return x


def _block(x: Any, filters: int, frames: int, strides: Any, name: str, norm: dict[str, Any]) -> Any:
    """Narrows, looking at `frames` frames, looks at 3x3 positions, widens, and adds."""
    y = conv_norm_relu(x, filters, (frames, 1, 1), 1, f"{name}_{{}}1", norm)
    y = conv_norm_relu(y, filters, (1, 3, 3), strides, f"{name}_{{}}2", norm)
    filters *= EXPANSION
    y = conv_norm(y, filters, 1, 1, f"{name}_{{}}3", norm, gamma_initializer="zeros")
    if x.shape[-1] != filters or strides != (1, 1, 1):
        x = conv_norm(x, filters, 1, strides, f"{name}_shortcut_{{}}", norm)
    x = keras.layers.Add(dtype=norm["dtype"], name=f"{name}_add")([x, y])
    return relu(x, name, norm)


def _non_local(x: Any, name: str, norm: dict[str, Any]) -> Any:
    """Adds to every position what it finds at all others; keys and values are pooled 2x2."""
    channels, dtype = x.shape[-1], norm["dtype"]
    options = {"kernel_initializer": he_fan_out(), "dtype": dtype}
    pooled = MaxPool((1, 2, 2), dtype=dtype, name=f"{name}_pool")(x)
    inner = [
        PointwiseConv3D(channels // 2, name=f"{name}_{part}", **options)(source)
        for part, source in (("theta", x), ("phi", pooled), ("g", pooled))
    ]
    y = NonLocalProduct(dtype=dtype, name=f"{name}_product")(inner)
    y = PointwiseConv3D(channels, name=f"{name}_out", **options)(y)
    y = batch_norm(f"{name}_bn", **norm, gamma_initializer="zeros")(y)
    return keras.layers.Add(dtype=dtype, name=name)([x, y])


SIZES = {
    "SlowOnly50": Size(
        *("SlowOnly50", "slow_only_50", (8, 224), (3, 4, 6, 3)),
        non_local=((), (2, 4), (2, 4, 6), ()),
    )
}
SlowOnly50 = sized(
    slow_only,
    SIZES["SlowOnly50"],
    "Builds SlowOnly-50, made for clips of 4 or 8 x 224 x 224: 32.5 M parameters, 20.9 or 41.7 G "
    "multiply-adds.",
)
