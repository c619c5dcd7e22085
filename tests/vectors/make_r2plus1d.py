"""Prints figures of published R(2+1)D networks, and stores logits of shallow ones on random clips.

    python tests/vectors/make_r2plus1d.py VMZ Squeeze-and-Recursion-Temporal-Gates

needs checkouts of facebookresearch/VMZ and of the authors' code, torch, torchvision and
pytorchvideo.
"""

import sys
import types
from pathlib import Path

import numpy as np
from zoo import figures, logits, random_clip

from keras_mtnet.presets import MTNET, PYTORCHVIDEO, TORCHVISION

# Name of the network -> depths in its stead, normalization.
SHALLOW = {
    "R2Plus1D18": ((1, 2, 1, 1), TORCHVISION),
    "R2Plus1D34": ((2, 1, 1, 1), TORCHVISION),
    "R2Plus1D50": ((1, 1, 1, 2), PYTORCHVIDEO),
    "NarrowR2Plus1D50": ((2, 1, 1, 1), MTNET),
}
CLIPS = {"even": (8, 64, 64), "odd": (5, 51, 77)}

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[2])
    vmz = types.ModuleType("vmz")  # its own __init__ imports more than models
    vmz.__path__ = [f"{sys.argv[1]}/pt/vmz"]
    sys.modules["vmz"] = vmz
    import torch
    from network import srtg_resnet as authors
    from pytorchvideo.models import r2plus1d as ptv
    from torchvision.models import video
    from torchvision.models.video import resnet as tv
    from vmz.models.r2plus1d import Conv2Plus1D, r2plus1d_34

    FULL = {
        "R2Plus1D18": (video.r2plus1d_18, 16, 112),
        "R2Plus1D34": (r2plus1d_34, 32, 112),
        "R2Plus1D50": (ptv.create_r2plus1d, 16, 224),
        "NarrowR2Plus1D50": (authors.r2plus1d_50, 16, 224),
        "NarrowR2Plus1D101": (authors.r2plus1d_101, 16, 224),
    }
    for name, (build, frames, size) in FULL.items():
        print(f'    "{name}": {figures(build, (frames, size, size))},')

    stored = {}
    for name, (depths, normalization) in SHALLOW.items():
        if name == "R2Plus1D50":
            network = ptv.create_r2plus1d(model_num_class=5, head_activation=None)
            # It has no argument for depths: cut what is too much off each stage.
            for stage, depth in enumerate(depths, 1):
                del network.blocks[stage].res_blocks[depth:]
            network.blocks[5].pool = torch.nn.AdaptiveAvgPool3d(1)
        elif name == "NarrowR2Plus1D50":
            convs = [authors.Conv2Plus1D] * 4
            network = authors.VideoResNet(
                authors.Bottleneck, convs, depths, authors.R2Plus1dStem, 5
            )
        else:
            convs = [Conv2Plus1D if name == "R2Plus1D34" else tv.Conv2Plus1D] * 4
            network = tv.VideoResNet(tv.BasicBlock, convs, list(depths), tv.R2Plus1dStem, 5)
        if name == "R2Plus1D34":
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm3d):
                    module.eps = 1e-3
        for clip, shape in CLIPS.items():
            spread = (normalization.mean, normalization.std)
            stored[f"{name}_{clip}"] = logits(network, random_clip(*shape), *spread)
    np.savez_compressed(Path(__file__).with_name("r2plus1d.npz"), **stored)
