"""3-D ResNets: of torchvision, of Hara et al., and the narrow ones of the authors of MTNet."""

from typing import Any

from keras_mtnet.models.builder import sized
from keras_mtnet.models.resnet import Size, video_resnet
from keras_mtnet.presets import MTNET, TORCHVISION
from keras_mtnet.presets.resnet3d import HARA
from keras_mtnet.weights.torch import Rules

BLOCK: Rules = ((r"^stage(\d)_block(\d+)", lambda m: f"layer{m[1]}/{int(m[2]) - 1}"),)
# torchvision's containers: convolution and normalization are entries 0 and 1.
TORCHVISION_KEYS: Rules = (
    *BLOCK,
    (r"^stem_conv/", "stem/0/"),
    (r"^stem_bn/", "stem/1/"),
    (r"_shortcut_conv/", "/downsample/0/"),
    (r"_shortcut_bn/", "/downsample/1/"),
    (r"_conv(\d)/", r"/conv\1/0/"),
    (r"_bn(\d)/", r"/conv\1/1/"),
    (r"^predictions/", "fc/"),
)
HARA_KEYS: Rules = (
    *BLOCK,
    (r"^stem_(conv|bn)/", r"\g<1>1/"),
    (r"_shortcut_conv/", "/downsample/0/"),
    (r"_shortcut_bn/", "/downsample/1/"),
    (r"_(conv|bn)(\d)/", r"/\1\2/"),
    (r"^predictions/", "fc/"),
)
# The authors' code is torchvision's with 3x3x3 convolutions in a container of their own.
AUTHORS_KEYS: Rules = ((r"_conv2/", "/conv2/0/0/"), *TORCHVISION_KEYS)

_TV: Any = {"normalization": TORCHVISION, "torch_keys": {"torchvision": TORCHVISION_KEYS}}
_HARA: Any = {
    "normalization": HARA,
    "torch_keys": {"3D-ResNets-PyTorch": HARA_KEYS},
    "stem": (7, 7, 7),
    "stem_pool": True,
}
_AUTHORS: Any = {
    "normalization": MTNET,
    "torch_keys": {"authors": AUTHORS_KEYS},
    "expansion": 1,
    "stem_pool": True,
}
SIZES = {
    size.model: size
    for size in (
        Size("R3D18", (16, 112), (2, 2, 2, 2), **_TV),
        Size(
            *("MC3_18", (16, 112), (2, 2, 2, 2)),
            kernels=(3, *((1, 3, 3),) * 3),
            strides=(1, *((1, 2, 2),) * 3),
            **_TV,
        ),
        Size("ResNet3D18", (16, 112), (2, 2, 2, 2), **_HARA),
        Size("ResNet3D34", (16, 112), (3, 4, 6, 3), **_HARA),
        Size("ResNet3D50", (16, 112), (3, 4, 6, 3), expansion=4, **_HARA),
        Size("ResNet3D101", (16, 112), (3, 4, 23, 3), expansion=4, **_HARA),
        Size("NarrowR3D50", (16, 224), (3, 4, 6, 3), **_AUTHORS),
        Size("NarrowR3D101", (16, 224), (3, 4, 23, 3), **_AUTHORS),
    )
}

_TRAN = (
    'Source: Tran et al., "A Closer Look at Spatiotemporal Convolutions", CVPR 2018; torchvision.'
)
_RETRACE = """All sizes are halved five times, frames four times.

Source: Hara et al., "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?",
CVPR 2018; 3D-ResNets-PyTorch."""
_NARROW = """Its blocks end as wide as they are inside, not four times as wide. The costs of
"3D" in Table II and of R3D-101 in Table V are those of such networks.

Source: the authors' code."""

R3D18 = sized(
    video_resnet,
    SIZES["R3D18"],
    f"""Builds R3D-18, of 3x3x3 convolutions, made for clips of 16 x 112 x 112.

33.4 M parameters, 40.7 G multiply-adds. Frames are divided by 8, height and width by 16.

{_TRAN}
""",
)
MC3_18 = sized(
    video_resnet,
    SIZES["MC3_18"],
    f"""Builds MC3-18, 3x3x3 convolutions and then 1x3x3 ones, made for clips of 16 x 112 x 112.

11.7 M parameters, 43.3 G multiply-adds. Height and width are divided by 16, frames are all kept.

{_TRAN}
""",
)
ResNet3D18 = sized(
    video_resnet,
    SIZES["ResNet3D18"],
    f"""Builds Hara's 3-D ResNet-18, made for clips of 16 x 112 x 112.

{_RETRACE}
""",
)
ResNet3D34 = sized(
    video_resnet,
    SIZES["ResNet3D34"],
    f"""Builds Hara's 3-D ResNet-34, made for clips of 16 x 112 x 112.

{_RETRACE}
""",
)
ResNet3D50 = sized(
    video_resnet,
    SIZES["ResNet3D50"],
    f"""Builds Hara's 3-D ResNet-50, made for clips of 16 x 112 x 112.

47.0 M parameters, 10.1 G multiply-adds. {_RETRACE}
""",
)
ResNet3D101 = sized(
    video_resnet,
    SIZES["ResNet3D101"],
    f"""Builds Hara's 3-D ResNet-101, made for clips of 16 x 112 x 112.

86.1 M parameters, 13.9 G multiply-adds. {_RETRACE}
""",
)
NarrowR3D50 = sized(
    video_resnet,
    SIZES["NarrowR3D50"],
    f"""Builds the MTNet authors' 3-D ResNet-50, made for clips of 16 x 224 x 224.

36.7 M parameters, 26.5 G multiply-adds. {_NARROW}
""",
)
NarrowR3D101 = sized(
    video_resnet,
    SIZES["NarrowR3D101"],
    f"""Builds the MTNet authors' 3-D ResNet-101, made for clips of 16 x 224 x 224.

69.1 M parameters, 39.1 G multiply-adds. {_NARROW}
""",
)
