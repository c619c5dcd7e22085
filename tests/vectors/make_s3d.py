"""Prints figures of torchvision's S3D and stores its logits on random clips.

python tests/vectors/make_s3d.py  # needs torch and torchvision
"""

from pathlib import Path

import numpy as np
from zoo import figures, logits, random_clip

from keras_mtnet.presets import TORCHVISION

# Its average needs 7x7 positions at the end, and two frames.
CLIPS = {"even": (16, 224, 224), "odd": (21, 209, 217)}

if __name__ == "__main__":
    from torchvision.models.video import s3d

    print(figures(s3d, (16, 224, 224)))
    network = s3d(num_classes=5)
    stored = {
        f"S3D_{clip}": logits(network, random_clip(*shape), TORCHVISION.mean, TORCHVISION.std)
        for clip, shape in CLIPS.items()
    }
    np.savez_compressed(Path(__file__).with_name("s3d.npz"), **stored)
