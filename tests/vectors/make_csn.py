"""Prints figures of published CSNs, and stores logits of small ones on random clips.

    python tests/vectors/make_csn.py VMZ/pt/vmz/models

needs a checkout of facebookresearch/VMZ, torch, torchvision and pytorchvideo.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from zoo import figures, logits, random_clip

from keras_mtnet.models.csn import SIZES
from keras_mtnet.presets import PYTORCHVIDEO, TORCHVISION

Clip = tuple[int, int, int]
# Network -> depths of its stages and channels of its stem in a small one.
SMALL = {
    "IRCSN101": ((3, 4, 6, 3), 8),
    "IRCSN152": ((1, 2, 1, 1), 64),
    "IPCSN152": ((1, 2, 1, 1), 64),
}
CLIPS = {"even": (8, 64, 64), "odd": (5, 51, 77)}


def pytorchvideo(depth: int, filters: int, classes: int, clip: Clip) -> Any:
    """The module of pytorchvideo."""
    import torch
    from pytorchvideo.models.csn import create_csn

    frames, height, width = clip
    return create_csn(
        model_depth=depth,
        model_num_class=classes,
        stem_dim_out=filters,
        stem_pool=torch.nn.MaxPool3d,
        head_pool_kernel_size=(-(-frames // 8), -(-height // 32), -(-width // 32)),
    )


def vmz(preserved: bool, depths: tuple[int, ...], classes: int) -> Any:
    """The module of VMZ, whose checkout must be on the path."""
    import utils
    from torchvision.models.video.resnet import Bottleneck

    conv = utils.IPConv3DDepthwise if preserved else utils.Conv3DDepthwise
    return utils._generic_resnet(
        "",
        block=Bottleneck,
        conv_makers=[conv] * 4,
        layers=list(depths),
        stem=utils.BasicStem_Pool,
        num_classes=classes,
    )


if __name__ == "__main__":
    sys.path[:0] = sys.argv[1:]
    full = (32, 224, 224)
    made = figures(lambda: pytorchvideo(101, 64, 400, full), full)
    print(f'    ("IRCSN101", "pytorchvideo"): {made},')
    for name, size in SIZES.items():
        made = figures(lambda size=size: vmz(size.preserved, size.depths, 400), full)
        print(f'    ("{name}", "VMZ"): {made},', flush=True)
    stored = {}
    for name, (depths, filters) in SMALL.items():
        for clip, shape in CLIPS.items():
            if name == "IRCSN101":
                network, norm = pytorchvideo(50, filters, 5, shape), PYTORCHVIDEO
            else:
                network, norm = vmz(SIZES[name].preserved, depths, 5), TORCHVISION
            stored[f"{name}_{clip}"] = logits(network, random_clip(*shape), norm.mean, norm.std)
    np.savez_compressed(Path(__file__).with_name("csn.npz"), **stored)
