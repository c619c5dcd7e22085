"""Prints figures of bLVNet-TAM-50, and stores logits of a shallow one on random clips.

    python tests/vectors/make_blvnet_tam.py bLVNet-TAM

needs a checkout of IBM/bLVNet-TAM, and torch.
"""

import sys
from pathlib import Path

import numpy as np
from zoo import figures, logits, of_frames, random_clip

from keras_mtnet.presets import IMAGENET

DEPTHS = (3, 4, 3, 1)
CLIPS = {"even": (8, 64, 64), "odd": (6, 51, 77)}  # the original takes pairs of frames alone


def blvnet(frames, classes):
    """bLVNet-TAM-50 as published, for clips `(N, 3, T, H, W)`."""
    from core.models import bLVNet_TAM

    options = {"depth": 50, "alpha": 2, "beta": 4, "groups": frames, "blending_frames": 3}
    options |= {"input_channels": 3, "dropout": 0.5, "num_classes": classes}
    return of_frames(bLVNet_TAM(options))


def shallow(frames):
    from core.models import blvnet_tam, blvnet_tam_backbone

    def backbone(depth, alpha, beta, num_frames, **_):
        block = blvnet_tam_backbone.Bottleneck
        return blvnet_tam_backbone.bLVNet_TAM_BACKBONE(block, DEPTHS, alpha, beta, num_frames)

    blvnet_tam.blvnet_tam_backbone = backbone
    return blvnet(frames, 5)


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    for frames in (16, 32, 48):
        print(f"    {frames}: {figures(lambda: blvnet(frames, 400), (frames, 224, 224))},")  # noqa: B023
    stored = {}
    for name, shape in CLIPS.items():
        clip = random_clip(*shape)
        stored[f"blvnet_{name}"] = logits(shallow(shape[0]), clip, IMAGENET.mean, IMAGENET.std)
    np.savez_compressed(Path(__file__).with_name("blvnet_tam.npz"), **stored)
