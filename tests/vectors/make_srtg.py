"""Prints figures of published SRTG networks, and stores logits of shallow ones on random clips.

    python tests/vectors/make_srtg.py Squeeze-and-Recursion-Temporal-Gates

needs a checkout of the authors' code, and torch.
"""

import sys
from pathlib import Path

import numpy as np
from zoo import figures, logits, random_clip

from keras_mtnet.presets import MTNET

# Name of the network -> depths in its stead.
SHALLOW = {
    "SRTGR3D34": (1, 1, 1, 1),
    "SRTGR3D50": (1, 2, 1, 1),
    "SRTGR2Plus1D50": (2, 1, 1, 1),
}
CLIPS = {"even": (16, 64, 64), "odd": (11, 51, 77)}

if __name__ == "__main__":
    sys.path[:0] = sys.argv[1:]
    from network import srtg_resnet as authors

    for kind in ("r3d", "r2plus1d"):
        for depth in (34, 50, 101):
            name = f"SRTG{kind.upper().replace('PLUS', 'Plus')}{depth}"
            build = getattr(authors, f"srtg_{kind}_{depth}")
            print(f'    "{name}": {figures(build, (16, 224, 224))},')

    stored = {}
    for name, depths in SHALLOW.items():
        block = authors.BasicBlock if name.endswith("34") else authors.Bottleneck
        conv, stem = authors.Conv3DSimple, authors.BasicStem
        if "R2Plus1D" in name:
            conv, stem = authors.Conv2Plus1D, authors.R2Plus1dStem
        network = authors.VideoResNet(block, [conv] * 4, depths, stem, 5, recursion=True)
        for clip, shape in CLIPS.items():
            # The authors' frames are BGR.
            frames = random_clip(*shape)[..., ::-1].copy()
            stored[f"{name}_{clip}"] = logits(network, frames, MTNET.mean, MTNET.std)
    np.savez_compressed(Path(__file__).with_name("srtg.npz"), **stored)
