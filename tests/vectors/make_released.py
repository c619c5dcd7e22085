"""Writes released.npz: what a narrow network of the paper authors' code computes in PyTorch.

    python tests/vectors/make_released.py Squeeze-and-Recursion-Temporal-Gates

The argument is a checkout of the authors' repository. Weights are stored under their own names;
all are random, statistics and normalization included. The first clip ends in rows so few that the
shortcut enlarges them, the second has odd sizes everywhere.
"""

import sys
from pathlib import Path

import authors
import numpy as np
import torch

FILTERS, DEPTHS, CLASSES = (8, 16, 24), (2, 1, 2), 5
CLIPS = {"even": (2, 8, 32, 32), "odd": (1, 11, 39, 37)}
LABELS = (3, 1)


def main() -> None:
    module = authors.load(Path(sys.argv[1]) / "network" / "MTnet.py")
    torch.manual_seed(7)
    net = authors.randomize(authors.narrow(module, FILTERS, DEPTHS, CLASSES), seed=7)
    arrays = {f"weight/{key}": value.numpy() for key, value in net.state_dict().items()}
    for seed, (name, shape) in enumerate(CLIPS.items()):
        clip = authors.clip(seed, *shape)
        pixels = np.clip(128 + 40 * clip, 0, 255).astype("uint8")  # small to store
        logits, gradient = authors.run(net, scaled(pixels), LABELS[: shape[0]])
        arrays |= {f"{name}/pixels": pixels, f"{name}/logits": logits, f"{name}/gradient": gradient}
    path = Path(__file__).with_name("released.npz")
    np.savez_compressed(path, **arrays, torch=np.array(torch.__version__))
    print(f"{path}: {path.stat().st_size} bytes, {sorted(CLIPS)}")
    print({name: arrays[f"{name}/logits"] for name in CLIPS})


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Pixels as the network gets them, float32 `(N, T, H, W, 3)`."""
    return (pixels.astype("float32") - 128) / 40


if __name__ == "__main__":
    main()
