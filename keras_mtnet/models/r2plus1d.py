"""R(2+1)D: 3-D ResNets whose convolutions are one over space and one over time."""

import dataclasses
from typing import Any

from keras_mtnet.models.builder import sized
from keras_mtnet.models.resnet import Size, video_resnet
from keras_mtnet.models.resnet3d import TORCHVISION_KEYS
from keras_mtnet.presets import MTNET, PYTORCHVIDEO, TORCHVISION
from keras_mtnet.weights.torch import Rules


def inner_filters(received: int, filters: int) -> int:
    """Channels between the parts for as many weights as a 3x3x3 convolution has.

    Example:

    >>> inner_filters(64, 64)
    144
    """
    return received * filters * 27 // (received * 9 + filters * 3)


def of_block(block: int, _: int, filters: int) -> int:
    """torchvision counts from the input of the block, for all convolutions of it."""
    return inner_filters(block, filters)


def of_convolution(_: int, conv: int, filters: int) -> int:
    """Caffe2, where R(2+1)D comes from, counts from the input of each convolution."""
    return inner_filters(conv, filters)


def unchanged(_: int, __: int, filters: int) -> int:
    """pytorchvideo takes the channels of the output."""
    return filters


TORCHVISION_PARTS: Rules = (
    (r"^stem_conv_spatial/", "stem/0/"),
    (r"^stem_bn_spatial/", "stem/1/"),
    (r"^stem_conv_temporal/", "stem/3/"),
    (r"^stem_bn/", "stem/4/"),
    (r"_conv(\d)_spatial/", r"/conv\1/0/0/"),
    (r"_bn(\d)_spatial/", r"/conv\1/0/1/"),
    (r"_conv(\d)_temporal/", r"/conv\1/0/3/"),
    *TORCHVISION_KEYS,
)
PYTORCHVIDEO_KEYS: Rules = (
    (r"^stem_conv/", "blocks/0/conv/"),
    (r"^stem_bn/", "blocks/0/norm/"),
    (r"^predictions/", "blocks/5/proj/"),
    (r"^stage(\d)_block(\d+)", lambda m: f"blocks/{m[1]}/res_blocks/{int(m[2]) - 1}"),
    (r"_shortcut_conv/", "/branch1_conv/"),
    (r"_shortcut_bn/", "/branch1_norm/"),
    (r"_conv2_temporal/", "/branch2/conv_b/conv_t/"),
    (r"_bn2_temporal/", "/branch2/conv_b/norm/"),
    (r"_conv2_spatial/", "/branch2/conv_b/conv_xy/"),
    (r"_conv(\d)/", lambda m: f"/branch2/conv_{'abc'[int(m[1]) - 1]}/"),
    (r"_bn(\d)/", lambda m: f"/branch2/norm_{'abc'[int(m[1]) - 1]}/"),
)

_TV: Any = {
    "normalization": TORCHVISION,
    "torch_keys": {"torchvision": TORCHVISION_PARTS},
    "stem_inner": 45,
}
_NARROW = Size(
    *("NarrowR2Plus1D50", (16, 224), (3, 4, 6, 3), MTNET, {"authors": TORCHVISION_PARTS}),
    expansion=1,
    stem_pool=True,
    stem_inner=45,
    inner=of_block,
)
SIZES = {
    size.model: size
    for size in (
        Size("R2Plus1D18", (16, 112), (2, 2, 2, 2), inner=of_block, **_TV),
        Size("R2Plus1D34", (32, 112), (3, 4, 6, 3), inner=of_convolution, epsilon=1e-3, **_TV),
        Size(
            *("R2Plus1D50", (16, 224), (3, 4, 6, 3)),
            *(PYTORCHVIDEO, {"pytorchvideo": PYTORCHVIDEO_KEYS}),
            expansion=4,
            stem=(1, 7, 7),
            strides=((1, 2, 2), (1, 2, 2), 2, 2),
            inner=unchanged,
            temporal_first=True,
            dropout_rate=0.5,
        ),
        _NARROW,
        dataclasses.replace(_NARROW, model="NarrowR2Plus1D101", depths=(3, 4, 23, 3)),
    )
}

_TRAN = """Source: Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action
Recognition", CVPR 2018;"""

R2Plus1D18 = sized(
    video_resnet,
    SIZES["R2Plus1D18"],
    f"""Builds R(2+1)D-18, made for clips of 16 x 112 x 112.

31.5 M parameters, 40.5 G multiply-adds. Frames are divided by 8, height and width by 16.

{_TRAN} torchvision.
""",
)
R2Plus1D34 = sized(
    video_resnet,
    SIZES["R2Plus1D34"],
    f"""Builds R(2+1)D-34, made for clips of 8 or 32 x 112 x 112.

63.7 M parameters, 152.4 G multiply-adds for 32 frames. Frames are divided by 8, height and width
by 16. Published weights were trained on 65 million videos of Instagram.

{_TRAN} VMZ.
""",
)
R2Plus1D50 = sized(
    video_resnet,
    SIZES["R2Plus1D50"],
    f"""Builds pytorchvideo's R(2+1)D-50, made for clips of 16 x 224 x 224.

28.1 M parameters, 57.5 G multiply-adds. Its blocks are bottlenecks that convolve time before
space. Frames are divided by 4, height and width by 32. For larger crops pytorchvideo averages the
scores of all positions of 7 x 7 pixels of the last feature map, this network the map itself.

{_TRAN} pytorchvideo.
""",
)
NarrowR2Plus1D50 = sized(
    video_resnet,
    SIZES["NarrowR2Plus1D50"],
    """Builds the MTNet authors' R(2+1)D-50, made for clips of 16 x 224 x 224.

34.9 M parameters, 24.8 G multiply-adds. As `NarrowR3D50`, with (2+1)D convolutions.

Source: the authors' code.
""",
)
NarrowR2Plus1D101 = sized(
    video_resnet,
    SIZES["NarrowR2Plus1D101"],
    """Builds the MTNet authors' R(2+1)D-101, made for clips of 16 x 224 x 224.

67.2 M parameters, 37.5 G multiply-adds. As `NarrowR3D101`, with (2+1)D convolutions.

Source: the authors' code.
""",
)
