"""Prints figures of TSM-50, and stores logits of a shallow one on random clips.

    python tests/vectors/make_tsm.py temporal-shift-module

needs a checkout of mit-han-lab/temporal-shift-module, torch and torchvision.
"""

import sys
from pathlib import Path

import numpy as np
from zoo import figures, logits, of_frames, random_clip

from keras_mtnet.presets import IMAGENET

DEPTHS = (2, 1, 1, 1)
CLIPS = {"even": (8, 64, 64), "odd": (5, 51, 77)}


def tsm(frames, classes):
    """TSM-50 as published, for clips `(N, 3, T, H, W)`."""
    from ops.models import TSN

    options = {"base_model": "resnet50", "pretrain": "", "is_shift": True, "dropout": 0.5}
    network = TSN(classes, frames, "RGB", print_spec=False, **options)
    network.eval()
    network.eval = lambda: network  # its own returns nothing
    return of_frames(network)


def shallow(frames):
    network = tsm(frames, 5)
    for stage, depth in enumerate(DEPTHS, 1):
        layer = getattr(network.base_model, f"layer{stage}")
        setattr(network.base_model, f"layer{stage}", layer[:depth])
    return network


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    for frames in (8, 16):
        print(f"    {frames}: {figures(lambda: tsm(frames, 400), (frames, 224, 224))},")  # noqa: B023
    stored = {}
    for name, shape in CLIPS.items():
        clip = random_clip(*shape)
        stored[f"tsm_{name}"] = logits(shallow(shape[0]), clip, IMAGENET.mean, IMAGENET.std)
    np.savez_compressed(Path(__file__).with_name("tsm.npz"), **stored)
