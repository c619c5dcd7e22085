"""The paper authors' own network in PyTorch, to compare with. Nothing of it is in this repository.

Source: network/MTnet.py of github.com/alexandrosstergiou/Squeeze-and-Recursion-Temporal-Gates.
"""

import importlib.util
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch


def load(path: str | Path) -> types.ModuleType:
    """Imports the authors' MTnet.py. It asks for a CUDA extension that its networks do not use."""
    for name in ("softpool_cuda", "SoftPool"):
        stub = types.ModuleType(name)
        stub.soft_pool3d = stub.SoftPool3d = None
        sys.modules.setdefault(name, stub)
    spec = importlib.util.spec_from_file_location("authors_mtnet", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def narrow(
    module: types.ModuleType, filters: Sequence[int], depths: Sequence[int], classes: int
) -> torch.nn.Module:
    """The authors' network with up to four stages of other widths, which are fixed there."""

    class Narrow(module.MTNet):
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.inplanes, self.groups, self.base_width, self.rate = filters[0], 1, 64, 0.875
            self.init_planes_short = int(filters[0] * self.rate)
            self.init_planes_long = filters[0] - self.init_planes_short
            self.pool = torch.nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
            self.stem = module.BasicStem()
            self.stem[0] = torch.nn.Conv3d(
                3, filters[0], (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False
            )
            self.stem[1] = torch.nn.BatchNorm3d(filters[0])
            for stage, (width, depth) in enumerate(zip(filters, depths, strict=True), 1):
                layer = self._make_layer(module.MTBlock, width, depth, 1 if stage == 1 else 2)
                setattr(self, f"layer{stage}", layer)
            for stage in range(len(filters) + 1, 5):  # there are four
                setattr(self, f"layer{stage}", torch.nn.Identity())
            self.avgpool = torch.nn.AdaptiveAvgPool3d((1, 1, 1))
            self.fc = torch.nn.Linear(filters[-1], classes)

    return Narrow()


def randomize(net: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Draws what a new network has as zeros and ones: statistics, scales, shifts, counters."""
    draw = torch.Generator().manual_seed(seed)
    ranges = {"running_mean": (-0.2, 0.2), "running_var": (0.5, 1.5), "num_batches_tracked": (1, 9)}
    with torch.no_grad():
        for name, buffer in net.named_buffers():
            low, high = ranges[name.rpartition(".")[2]]
            buffer.copy_(low + (high - low) * torch.rand(buffer.shape, generator=draw))
        for name, weight in net.named_parameters():
            if weight.ndim == 1 and ".op." not in name:
                middle = 1.0 if name.endswith("weight") else 0.0
                weight.copy_(middle + 0.4 * torch.rand(weight.shape, generator=draw) - 0.2)
        net.fc.weight.mul_(
            20.0
        )  # a new classifier is near zero, and its bias would be all there is
    return net.eval()


def clip(seed: int, batch: int, frames: int, height: int, width: int) -> np.ndarray:
    """Blocks that move and change in brightness, with noise: float32 `(N, T, H, W, 3)`."""
    rng = np.random.default_rng(seed)
    blocks = rng.normal(size=(batch, -(-height // 8), -(-width // 8), 3))
    image = blocks.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    moving = np.stack([np.roll(image, 2 * t, axis=2) for t in range(frames)], axis=1)
    bright = 0.5 + rng.random((batch, frames, 1, 1, 1))
    return (bright * moving + 0.5 * rng.normal(size=moving.shape)).astype("float32")


def run(net: torch.nn.Module, x: np.ndarray, labels: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Logits, and the gradient of the cross-entropy with respect to the clip, both as in Keras."""
    dtype = next(net.parameters()).dtype
    inputs: Any = torch.from_numpy(x).permute(0, 4, 1, 2, 3).to(dtype).contiguous()
    inputs.requires_grad_()
    logits = net(inputs)
    torch.nn.functional.cross_entropy(logits, torch.tensor(labels)).backward()
    return logits.detach().numpy(), inputs.grad.permute(0, 2, 3, 4, 1).numpy()
