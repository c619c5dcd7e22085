"""Channel-separated networks (CSN): bottleneck ResNets whose 3x3x3 convolutions are depthwise."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_mtnet.layers.defaults import batch_norm, he_fan_out
from keras_mtnet.layers.depthwise_conv3d import DepthwiseConv3D
from keras_mtnet.layers.max_pooling import CenteredMaxPooling3D
from keras_mtnet.models.builder import Weights, begin, classifier, pool, sized
from keras_mtnet.models.parts import conv_norm, conv_norm_relu, relu
from keras_mtnet.models.video_model import VideoModel
from keras_mtnet.presets import PYTORCHVIDEO, TORCHVISION
from keras_mtnet.weights.torch import Rules

CLASSES = 400  # Kinetics-400
FILTERS = (64, 128, 256, 512)
EXPANSION = 4  # how much wider a block ends than it is inside


@dataclasses.dataclass(frozen=True)
class Size:
    """A member of the family."""

    model: str  # name of the builder
    name: str  # of the network
    depths: tuple[int, ...]  # blocks of each stage
    # Whether channels meet once more, in a 1x1x1 convolution in front of each depthwise one
    # (ip-CSN), or not (ir-CSN).
    preserved: bool
    source: str  # the code base that it was published in
    clip: tuple[int, int] = (32, 224)  # frames and pixels


# Code base -> epsilon of batch normalization, normalization of clips.
SOURCES = {"pytorchvideo": (1e-5, PYTORCHVIDEO), "VMZ": (1e-3, TORCHVISION)}


def torch_keys(preserved: bool, source: str) -> Mapping[str, Rules]:
    """How PyTorch code bases name the weights, `source` first; see keras_mtnet/weights/torch.py."""
    # VMZ nests a convolution of several parts; mmaction2 puts the parts side by side.
    vmz: Rules = ((r"/conv2/0/", "/conv2/0/2/"),) if preserved else ()
    mmaction: Rules = ((r"/conv2/0/", "/conv2/1/"),) if preserved else ()
    keys: dict[str, Rules] = {
        "VMZ": (
            *_BLOCK,
            (r"^stem_conv/", "stem/0/"),
            (r"^stem_bn/", "stem/1/"),
            (r"_shortcut_conv/", "/downsample/0/"),
            (r"_shortcut_bn/", "/downsample/1/"),
            (r"_conv(\d)/", r"/conv\1/0/"),
            (r"_bn(\d)/", r"/conv\1/1/"),
            *vmz,
            (r"_mix_conv/", "/conv2/0/0/"),
            (r"_mix_bn/", "/conv2/0/1/"),
            (r"^predictions/", "fc/"),
        ),
        "mmaction2": (
            *_BLOCK,
            (r"^stem_(conv|bn)/", r"conv1/\1/"),
            (r"_shortcut_(conv|bn)/", r"/downsample/\1/"),
            (r"_(conv|bn)2/", r"/conv2/0/\1/"),
            (r"_(conv|bn)(\d)/", r"/conv\2/\1/"),
            *mmaction,
            (r"_mix_(conv|bn)/", r"/conv2/0/\1/"),
            (r"^predictions/", "cls_head/fc_cls/"),
            (r"^(conv1|layer)", r"backbone/\1"),
        ),
    }
    if not preserved:
        keys["pytorchvideo"] = _PYTORCHVIDEO
    return {source: keys.pop(source), **keys}


_BLOCK: Rules = ((r"^stage(\d)_block(\d+)", lambda m: f"layer{m[1]}/{int(m[2]) - 1}"),)
_PYTORCHVIDEO: Rules = (
    (r"^stem_conv/", "blocks.0.conv/"),
    (r"^stem_bn/", "blocks.0.norm/"),
    (r"^stage(\d)_block(\d+)_", lambda m: f"blocks.{m[1]}.res_blocks.{int(m[2]) - 1}."),
    (r"\.shortcut_conv/", ".branch1_conv/"),
    (r"\.shortcut_bn/", ".branch1_norm/"),
    (r"\.conv(\d)/", lambda m: f".branch2.conv_{'abc'[int(m[1]) - 1]}/"),
    (r"\.bn(\d)/", lambda m: f".branch2.norm_{'abc'[int(m[1]) - 1]}/"),
    (r"^predictions/", "blocks.5.proj/"),
)


def csn(
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
    dropout_rate: float = 0.0,
    synchronized: bool = False,
    dtype: Any = None,
) -> VideoModel:
    """Frames are divided by 8, height and width by 32. The outputs of the stages are those of each
    stage's last block, as `stage1_block3`.

    Arguments that are not named here are as in `MTNet`.

    Args:
        weights: None for random weights, the name of a preset (`list_presets("MODEL")`), or a
            file as in `MTNet`.
        pooling: without the top: None for the feature map `(N, T/8, H/32, W/32, 2048)`, `"avg"` or
            `"max"` for `(N, 2048)`.
        classes: number of classes; those of the preset, else 400, when None.
        dropout_rate: in front of the classifier.

    Returns:
        A `VideoModel` from RGB clips of 0 to 255, `(N, T, H, W, 3)`, to float32 scores
        `(N, classes)`. Features are averaged over the whole clip before the classifier, whatever
        its size; for crops larger than those of training, pytorchvideo averages scores over places.

    Raises:
        ValueError: naming the argument and its value, for anything outside these choices.
        FileNotFoundError: if the weights are not there; it says how to get them.

    Source: Tran et al., "Video Classification with Channel-Separated Convolutional Networks", ICCV
    2019.

    Example:

    >>> import keras_mtnet as mt
    >>> [preset.weights for preset in mt.list_presets("IRCSN101")]  # IRCSN101(weights=...)
    ['kinetics400']
    """
    epsilon, normalization = SOURCES[size.source]
    draft = begin(
        *(size.model, include_top, weights, input_tensor, input_shape, pooling, classes),
        *(include_preprocessing, dtype),
        normalization=normalization,
        default_classes=CLASSES,
    )
    norm = {"epsilon": epsilon, "synchronized": synchronized, "dtype": dtype}
    x = _stem(draft.clips, norm)
    for stage, depth in enumerate(size.depths, 1):
        for block in range(1, depth + 1):
            x = _block(x, stage, block, size.preserved, norm)
    x = pool(x, "avg" if include_top else pooling, dtype)
    if include_top:
        x = classifier(x, draft.classes, classifier_activation, dropout_rate, dtype)
    return draft.finish(x, name or size.name, torch_keys(size.preserved, size.source))


def _stem(x: Any, norm: dict[str, Any]) -> Any:
    """`(N, T, H, W, 3)` to `(N, T, H/4, W/4, 64)`."""
    x = conv_norm_relu(x, FILTERS[0], (3, 7, 7), (1, 2, 2), "stem_{}", norm)
    return CenteredMaxPooling3D((1, 3, 3), (1, 2, 2), dtype=norm["dtype"], name="stem_pool")(x)


def _block(x: Any, stage: int, block: int, preserved: bool, norm: dict[str, Any]) -> Any:
    """Bottleneck; the first of a stage changes the width and, but in the first stage, halves all
    sizes.
    """
    name, filters, dtype = f"stage{stage}_block{block}", FILTERS[stage - 1], norm["dtype"]
    strides = 2 if block == 1 and stage > 1 else 1
    y = conv_norm_relu(x, filters, 1, 1, f"{name}_{{}}1", norm)
    if preserved:
        y = conv_norm(y, filters, 1, 1, f"{name}_mix_{{}}", norm)
    y = DepthwiseConv3D(
        3, strides, kernel_initializer=he_fan_out(), dtype=dtype, name=f"{name}_conv2"
    )(y)
    y = relu(batch_norm(f"{name}_bn2", **norm)(y), f"{name}_relu2", norm)
    y = conv_norm(y, EXPANSION * filters, 1, 1, f"{name}_{{}}3", norm)
    if block == 1:
        x = conv_norm(x, EXPANSION * filters, 1, strides, f"{name}_shortcut_{{}}", norm)
    return relu(keras.layers.Add(dtype=dtype, name=f"{name}_add")([x, y]), name, norm)


SIZES = {
    size.model: size
    for size in (
        # The only weights of 101 layers are pytorchvideo's.
        Size("IRCSN101", "ir_csn_101", (3, 4, 23, 3), False, "pytorchvideo"),
        Size("IRCSN152", "ir_csn_152", (3, 8, 36, 3), False, "VMZ"),
        Size("IPCSN101", "ip_csn_101", (3, 4, 23, 3), True, "VMZ"),
        Size("IPCSN152", "ip_csn_152", (3, 8, 36, 3), True, "VMZ"),
    )
}
_SUMMARY = """Builds {}-CSN-{}, made for clips of 32 x 224 x 224.

{} M parameters, {} G multiply-adds. {}
"""
_REDUCED = "Channels meet in the 1x1x1 convolutions of its bottlenecks alone (interaction-reduced)."
_PRESERVED = """Each 3x3x3 convolution became a 1x1x1 and a depthwise one
(interaction-preserved)."""
IRCSN101 = sized(csn, SIZES["IRCSN101"], _SUMMARY.format("ir", 101, 22.2, 56.5, _REDUCED))
IRCSN152 = sized(csn, SIZES["IRCSN152"], _SUMMARY.format("ir", 152, 29.7, 74.1, _REDUCED))
IPCSN101 = sized(csn, SIZES["IPCSN101"], _SUMMARY.format("ip", 101, 24.6, 63.6, _PRESERVED))
IPCSN152 = sized(csn, SIZES["IPCSN152"], _SUMMARY.format("ip", 152, 33.0, 83.3, _PRESERVED))
