"""Networks of others, in PyTorch: the authors' own, and X3D-M of pytorchvideo."""

import functools
import os
import sys
import types
from typing import Any

from speed_contenders import CLASSES, Built, Contender, Unavailable

import numpy as np
import torch
from torch import nn

# Of MTNetM, for the authors' network: stages of 64, 128, 256 and 512 channels in their code.
REFERENCE_WIDTHS = {64: 24, 128: 48, 256: 96, 512: 192}
REFERENCE_DEPTHS = (3, 5, 11, 7)


def build(contender: Contender, clips: np.ndarray, labels: np.ndarray) -> Built:
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = BUILDERS[contender.network](contender).to(device)
    x = torch.from_numpy(clips).permute(0, 4, 1, 2, 3).contiguous().to(device)
    y = torch.from_numpy(labels).to(device)
    params, macs = sum(p.numel() for p in network.parameters()), torch_macs(network, x[:1])
    model = torch.compile(network) if contender.compiled else network
    low = contender.precision != "float32"
    autocast = functools.partial(
        torch.autocast, device, dtype=getattr(torch, contender.precision), enabled=low
    )
    if contender.task == "inference":
        network.eval()

        def run() -> np.ndarray:
            with torch.no_grad(), autocast():
                return model(x).float().cpu().numpy()

    else:
        network.train()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
        loss_function = torch.nn.CrossEntropyLoss()
        scaler = torch.amp.GradScaler(device, enabled=contender.precision == "float16")

        def run() -> float:
            optimizer.zero_grad(set_to_none=True)
            with autocast():
                loss = loss_function(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            if device == "cuda":
                torch.cuda.synchronize()
            return loss.item()

    return Built(run, params, macs, torch.cuda.max_memory_allocated if device == "cuda" else None)


def authors_network(contender: Contender) -> Any:
    """The authors' own network, given the widths and depths of MTNetM.

    Only what they made fixed is changed: the stem's and the stages' widths. The rest, the forward
    pass included, runs as it is in their file `network/MTnet.py`.
    """
    if not contender.reference:
        raise Unavailable("--reference, a folder with the authors' code, was not given")
    path = os.path.join(contender.reference, "network")
    if not os.path.isfile(os.path.join(path, "MTnet.py")):
        raise Unavailable(f"--reference has no network/MTnet.py: {contender.reference}")
    # Imported there and not used: pooling is average pooling.
    sys.modules.setdefault("softpool_cuda", types.ModuleType("softpool_cuda"))
    soft_pool = types.ModuleType("SoftPool")
    soft_pool.soft_pool3d = soft_pool.SoftPool3d = None
    sys.modules.setdefault("SoftPool", soft_pool)
    sys.path.insert(0, path)
    import MTnet

    depths = (1, 1, 1, 1) if contender.model == "tiny" else REFERENCE_DEPTHS

    class Narrow(MTnet.MTNet):
        def __init__(self) -> None:
            super().__init__(
                MTnet.MTBlock, depths, num_classes=CLASSES, width_per_group=int(2.25 * 64)
            )
            stem = REFERENCE_WIDTHS[64]
            self.stem[0] = nn.Conv3d(3, stem, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)
            self.stem[1] = nn.BatchNorm3d(stem)
            self.init_planes_short = int(stem * self.rate)
            self.init_planes_long = stem - self.init_planes_short
            self.fc = nn.Linear(REFERENCE_WIDTHS[512], CLASSES)
            self._initialise_weights()

        def _make_layer(self, block: Any, planes: int, blocks: int, stride: int = 1) -> Any:
            if planes == 64:
                self.inplanes = REFERENCE_WIDTHS[64]
            return super()._make_layer(block, REFERENCE_WIDTHS[planes], blocks, stride)

    return Narrow()


def x3d_network(contender: Contender) -> Any:
    """X3D-M of pytorchvideo, for the size of clip at hand."""
    # pytorchvideo imports torchvision for detection only; X3D runs without it.
    try:
        import torchvision  # noqa: F401
    except ImportError:
        operators = types.ModuleType("torchvision.ops")
        operators.RoIAlign = None
        sys.modules["torchvision"] = types.ModuleType("torchvision")
        sys.modules["torchvision.ops"] = operators
    try:
        from pytorchvideo.models.x3d import create_x3d
    except ImportError as error:
        raise Unavailable(f"pip install pytorchvideo fvcore: {error}") from error
    frames, height, width = contender.clip
    if height != width:
        raise Unavailable("pytorchvideo builds X3D for square clips")
    return create_x3d(
        input_clip_length=frames,
        input_crop_size=height,
        model_num_class=CLASSES,
        depth_factor=2.2,
        **({"head_activation": None} if contender.task == "training" else {}),
    )


def torch_macs(network: Any, x: Any) -> int:
    """Multiply-adds of one clip, counted as `keras_mtnet.count_costs` does."""
    import torch

    macs = []

    def count(module: Any, received: tuple, put_out: Any) -> None:
        if isinstance(module, nn.GRU):
            macs.append(received[0].numel() // module.input_size * _weights(module, "weight"))
        elif isinstance(module, nn.Linear):
            macs.append(put_out.numel() * module.in_features)
        else:
            macs.append(put_out.numel() * module.weight[0].numel())

    kinds = (nn.Conv3d, nn.Linear, nn.GRU)
    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, kinds)]
    network.eval()
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return sum(macs)


def _weights(module: Any, name: str) -> int:
    return sum(p.numel() for n, p in module.named_parameters() if n.startswith(name))


BUILDERS = {"authors": authors_network, "x3d": x3d_network}
