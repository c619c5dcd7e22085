"""What the scripts that store figures and logits of published networks share; needs PyTorch."""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def random_clip(frames: int, height: int, width: int) -> np.ndarray:
    """uint8 `(1, T, H, W, 3)` with structure of several scales."""
    rng = np.random.RandomState(frames)  # a stream that NumPy promises to keep
    coarse = rng.randint(0, 200, (1, -(-frames // 4), -(-height // 32), -(-width // 32), 3))
    clip = coarse.repeat(4, 1).repeat(32, 2).repeat(32, 3)[:, :frames, :height, :width]
    return (clip + rng.randint(0, 56, clip.shape)).astype("uint8")


def random_state(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """Random weights, statistics too, that depend on their names alone; counters stay away."""
    state = {}
    for name, shape in shapes.items():
        if not len(shape):
            continue
        values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
        if name.endswith("running_var"):
            values = np.exp(values / 4)
        elif len(shape) > 1:
            values = values * (2 / np.prod(shape[1:])) ** 0.5
        else:
            values = values / 4 + name.endswith("weight")
        state[name] = values.astype("float32")
    return state


def digest(state: Mapping[str, Any]) -> str:
    """Of the names and shapes of all tensors."""
    lines = sorted(f"{name} {tuple(value.shape)}" for name, value in state.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def figures(build: Any, shape: Sequence[int]) -> tuple[int, int, str]:
    """Parameters, multiply-adds and digest of a PyTorch network, from shapes alone.

    Args:
        build: makes the network.
        shape: frames, height and width of its clip.
    """
    import torch

    macs = 0

    def count(module: Any, inputs: Any, output: Any) -> None:
        nonlocal macs
        if isinstance(module, torch.nn.LSTM):  # (T, N, C)
            macs += inputs[0].shape[0] * sum(w.numel() for w in module.parameters() if w.ndim > 1)
        else:
            macs += module.weight[0].numel() * output.numel()

    with torch.device("meta"):
        network = build().eval()
        for module in network.modules():
            if isinstance(
                module, torch.nn.Conv2d | torch.nn.Conv3d | torch.nn.Linear | torch.nn.LSTM
            ):
                module.register_forward_hook(count)
        network(torch.empty(1, 3, *shape))
    params = sum(parameter.numel() for parameter in network.parameters())
    return params, macs, digest(network.state_dict())


def of_frames(network: Any) -> Any:
    """Has a PyTorch network of stacked frames, `(N, 3 T, H, W)`, take clips `(N, 3, T, H, W)`."""
    forward = network.forward
    network.forward = lambda clips: forward(clips.transpose(1, 2).flatten(1, 2))
    return network


def logits(
    network: Any,
    clip: np.ndarray,
    mean: Sequence[float],
    std: Sequence[float],
    weights: Any = random_state,
) -> Any:
    """Those of a PyTorch network in float64, with weights of `random_state` or a like function."""
    import torch

    shapes = {name: value.shape for name, value in network.state_dict().items()}
    state = {name: torch.from_numpy(value) for name, value in weights(shapes).items()}
    print(network.load_state_dict(state, strict=False))  # only counters may be missing
    x = (torch.from_numpy(clip).double() / 255 - torch.tensor(mean)) / torch.tensor(std)
    with torch.no_grad():
        return network.eval().double()(x.permute(0, 4, 1, 2, 3)).numpy().astype("float32")
