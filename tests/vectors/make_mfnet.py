"""Prints figures of MF-Net, and stores its logits on random clips.

    python tests/vectors/make_mfnet.py PyTorch-MFNet

needs a checkout of cypw/PyTorch-MFNet, and torch.
"""

import sys
from pathlib import Path

import numpy as np
from zoo import figures, logits, random_clip

from keras_mtnet.presets import MTNET

CLIPS = {"even": (16, 64, 64), "odd": (7, 51, 77)}


def for_any_clip(network):
    """Averages over all positions, where the original takes clips of 16 x 224 x 224 alone."""
    from torch import nn

    *body, _, classifier = network.children()
    head = (nn.AdaptiveAvgPool3d(1), nn.Flatten(), classifier)
    network.forward = nn.Sequential(*body, *head).forward
    return network


if __name__ == "__main__":
    sys.path.insert(0, f"{sys.argv[1]}/network")
    from torch import nn

    nn.init.xavier_uniform = nn.init.xavier_uniform_  # its name before PyTorch 1.0
    from mfnet_3d import MFNET_3D

    print(figures(lambda: MFNET_3D(400), (16, 224, 224)))
    network = for_any_clip(MFNET_3D(400))
    stored = {
        name: logits(network, random_clip(*shape), MTNET.mean, MTNET.std)
        for name, shape in CLIPS.items()
    }
    np.savez_compressed(Path(__file__).with_name("mfnet.npz"), **stored)
