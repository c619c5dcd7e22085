"""Prints figures of published 3-D ResNets, and stores logits of shallow ones on random clips.

    python tests/vectors/make_resnet3d.py 3D-ResNets-PyTorch Squeeze-and-Recursion-Temporal-Gates

needs checkouts of kenshohara/3D-ResNets-PyTorch and of the authors' code, torch and torchvision.
"""

import sys
from pathlib import Path

import numpy as np
from zoo import figures, logits, random_clip

from keras_mtnet.presets import MTNET, TORCHVISION
from keras_mtnet.presets.resnet3d import HARA

# Name of the network -> depths in its stead, normalization.
SHALLOW = {
    "R3D18": ((1, 2, 1, 1), TORCHVISION),
    "MC3_18": ((1, 1, 1, 1), TORCHVISION),
    "ResNet3D50": ((1, 1, 1, 2), HARA),
    "NarrowR3D50": ((2, 1, 1, 1), MTNET),
}
CLIPS = {"even": (8, 64, 64), "odd": (5, 51, 77)}

if __name__ == "__main__":
    sys.path[:0] = sys.argv[1:]
    from models import resnet as hara
    from network import srtg_resnet as authors
    from torchvision.models import video
    from torchvision.models.video import resnet as tv

    FULL = {
        "R3D18": (video.r3d_18, 112),
        "MC3_18": (video.mc3_18, 112),
        **{
            f"ResNet3D{depth}": (lambda depth=depth: hara.generate_model(depth), 112)
            for depth in (18, 34, 50, 101)
        },
        "NarrowR3D50": (authors.r3d_50, 224),
        "NarrowR3D101": (authors.r3d_101, 224),
    }
    for name, (build, size) in FULL.items():
        print(f'    "{name}": {figures(build, (16, size, size))},')

    planes, flat = tv.Conv3DSimple, tv.Conv3DNoTemporal
    makers = {"R3D18": [planes] * 4, "MC3_18": [planes, flat, flat, flat]}
    stored = {}
    for name, (depths, normalization) in SHALLOW.items():
        if name in makers:
            network = tv.VideoResNet(tv.BasicBlock, makers[name], list(depths), tv.BasicStem, 5)
        elif name == "ResNet3D50":
            network = hara.ResNet(hara.Bottleneck, depths, hara.get_inplanes(), n_classes=5)
        else:
            convs = [authors.Conv3DSimple] * 4
            network = authors.VideoResNet(authors.Bottleneck, convs, depths, authors.BasicStem, 5)
        for clip, shape in CLIPS.items():
            spread = (normalization.mean, normalization.std)
            stored[f"{name}_{clip}"] = logits(network, random_clip(*shape), *spread)
    np.savez_compressed(Path(__file__).with_name("resnet3d.npz"), **stored)
