"""Compares every network of the zoo with its PyTorch reference at full size.

    KERAS_BACKEND=jax python benchmarks/zoo_parity.py --references references R3D18 MC3_18

needs torch, torchvision and pytorchvideo, and in the folder of references checkouts of the
repositories that the functions below name. Weights, scales and statistics of batch normalization
are random and go through a checkpoint and `convert_weights`, the reference computes in float64, and
logits are compared, at the network's default clip and at one of odd sizes. Printed is the largest
difference over the largest logit.
"""

import argparse
import importlib
import os
import re
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_mtnet as mt
from keras_mtnet.models import csn, x3d
from keras_mtnet.models.builder import default_clip

import keras
import numpy as np
import torch

REFERENCES = Path()
CLASSES = 400
# name of our network -> builder of the PyTorch module
ZOO: dict[str, Callable[[], torch.nn.Module]] = {}


def reference(*names: str) -> Callable:
    """Decorates a function that builds the reference of each of these networks by name."""

    def note(function: Callable[[str], torch.nn.Module]) -> Callable:
        ZOO.update({name: lambda name=name: function(name) for name in names})
        return function

    return note


def named(name: str) -> tuple[str, dict[str, Any]]:
    """ "SlowFast50,variant=4x16,non_local=1" as a builder and its options."""
    model, *pairs = name.split(",")
    options: dict[str, Any] = dict(pair.split("=") for pair in pairs)
    return model, {key: True if value == "1" else value for key, value in options.items()}


def module(folder: str, name: str) -> Any:
    """Imports a module from a checkout in the folder of references."""
    sys.path.insert(0, str(REFERENCES / folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


# --- Families ---------------------------------------------------------------------------------


@reference("R3D18", "MC3_18", "R2Plus1D18", "S3D")
def of_torchvision(name: str) -> torch.nn.Module:
    from torchvision.models import video

    known = {"R3D18": "r3d_18", "MC3_18": "mc3_18", "R2Plus1D18": "r2plus1d_18", "S3D": "s3d"}
    return getattr(video, known[name])()


@reference("ResNet3D18", "ResNet3D34", "ResNet3D50", "ResNet3D101")
def of_hara(name: str) -> torch.nn.Module:
    return module("3D-ResNets", "models.resnet").generate_model(int(name[8:]), n_classes=CLASSES)


@reference("R2Plus1D34")
def of_vmz(_: str) -> torch.nn.Module:
    vmz = types.ModuleType("vmz")  # its own __init__ imports more than models
    vmz.__path__ = [str(REFERENCES / "VMZ/pt/vmz")]
    sys.modules["vmz"] = vmz
    return importlib.import_module("vmz.models.r2plus1d").r2plus1d_34()


@reference("R2Plus1D50")
def of_pytorchvideo(_: str) -> torch.nn.Module:
    from pytorchvideo.models.r2plus1d import create_r2plus1d

    network = create_r2plus1d(head_activation=None)
    network.blocks[5].pool = torch.nn.AdaptiveAvgPool3d(1)
    return network


@reference(
    *("NarrowR3D50", "NarrowR3D101", "NarrowR2Plus1D50", "NarrowR2Plus1D101"),
    *("SRTGR3D34", "SRTGR3D50", "SRTGR3D101"),
    *("SRTGR2Plus1D34", "SRTGR2Plus1D50", "SRTGR2Plus1D101"),
)
def of_the_authors(name: str) -> torch.nn.Module:
    known = re.sub(r"(R3D|R2Plus1D)(\d+)$", r"_\1_\2", name).lower()
    known = known.removeprefix("narrow_")
    return getattr(module("SRTG", "network.srtg_resnet"), known)()


@reference("MFNet")
def mfnet(_: str) -> torch.nn.Module:
    """Averages over all positions, where the original takes clips of 16 x 224 x 224 alone."""
    torch.nn.init.xavier_uniform = torch.nn.init.xavier_uniform_  # its name before PyTorch 1.0
    network = module("MFNet/network", "mfnet_3d").MFNET_3D(CLASSES)
    *body, _, classifier = network.children()
    head = (torch.nn.AdaptiveAvgPool3d(1), torch.nn.Flatten(), classifier)
    network.forward = torch.nn.Sequential(*body, *head).forward
    return network


@reference("X3DXS", "X3DS", "X3DM", "X3DL", "X3DXL")
def pytorchvideo_x3d(name: str) -> torch.nn.Module:
    from pytorchvideo.models.x3d import create_x3d

    size = x3d.SIZES[name]
    factors = {"width_factor": size.width, "depth_factor": size.depth}
    network = create_x3d(head_activation=None, **factors)
    network.blocks[-1].pool.pool = torch.nn.AdaptiveAvgPool3d(1)  # for clips of any size
    return network


@reference("IRCSN101")
def pytorchvideo_csn(_: str) -> torch.nn.Module:
    from pytorchvideo.models.csn import create_csn

    network = create_csn(model_depth=101, stem_pool=torch.nn.MaxPool3d)
    network.blocks[-1].pool = torch.nn.AdaptiveAvgPool3d(1)  # for clips of any size
    return network


@reference("IRCSN152", "IPCSN101", "IPCSN152")
def vmz_csn(name: str) -> torch.nn.Module:
    from torchvision.models.video.resnet import Bottleneck

    size, utils = csn.SIZES[name], module("VMZ/pt/vmz/models", "utils")
    conv = utils.IPConv3DDepthwise if size.preserved else utils.Conv3DDepthwise
    parts = {"conv_makers": [conv] * 4, "layers": size.depths, "stem": utils.BasicStem_Pool}
    return utils._generic_resnet("", block=Bottleneck, **parts)


@reference(
    *("SlowOnly50", "SlowOnly50,non_local=1", "SlowFast50", "SlowFast50,variant=4x16"),
    *("SlowFast50,variant=4x16,non_local=1", "SlowFast101", "SlowFast101,variant=pytorchvideo"),
    "SlowFast101,non_local=1",
)
def slow_and_slowfast(name: str) -> torch.nn.Module:
    """Those with non-local blocks by PySlowFast, all others by pytorchvideo."""
    sys.path[:0] = [
        str(Path(__file__).parents[1] / "tests" / "vectors"),
        str(REFERENCES / "SlowFast"),
    ]
    from make_slowfast import FULL, pyslowfast, pytorchvideo

    (key,) = (key for key, (model, given, *_) in FULL.items() if named(name) == (model, given))
    return pytorchvideo(key) or pyslowfast(*FULL[key][2:], REFERENCES / "SlowFast")


@reference("TSM50")
def tsm(_: str) -> torch.nn.Module:
    models = module("TSM", "ops.models")
    options = {"base_model": "resnet50", "pretrain": "", "is_shift": True, "dropout": 0.5}
    network = models.TSN(CLASSES, 8, "RGB", print_spec=False, **options)
    network.eval()
    network.eval = lambda: network  # its own returns nothing
    forward = network.forward

    def of_any_length(clips: torch.Tensor) -> torch.Tensor:
        for part in network.modules():
            if hasattr(part, "n_segment"):
                part.n_segment = clips.shape[2]
        network.num_segments = clips.shape[2]
        return forward(clips.transpose(1, 2).flatten(1, 2))

    network.forward = of_any_length
    return network


@reference("BLVNetTAM50")
def blvnet_tam(_: str) -> torch.nn.Module:
    """Repeats an odd last frame, where the original takes pairs alone."""
    options = {"depth": 50, "alpha": 2, "beta": 4, "blending_frames": 3, "input_channels": 3}
    options |= {"dropout": 0.5, "num_classes": CLASSES}
    build = module("bLVNet-TAM", "core.models").bLVNet_TAM
    network = build({**options, "groups": 16})

    def of_any_length(clips: torch.Tensor) -> torch.Tensor:
        if clips.shape[2] % 2:
            clips = torch.cat([clips, clips[:, :, -1:]], 2)
        same = build({**options, "groups": clips.shape[2]}).eval().to(clips.dtype)
        same.load_state_dict(network.state_dict())
        return same(clips.transpose(1, 2).flatten(1, 2))

    network.forward = of_any_length
    return network


# --- Comparison -------------------------------------------------------------------------------


def randomize(network: torch.nn.Module) -> None:
    """Weights that keep the size of activations; scales, shifts and statistics of all kinds."""
    generator = torch.Generator().manual_seed(0)
    for key, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator)
        if key.endswith("running_var"):
            noise = torch.exp(noise / 4)
        elif value.ndim > 1:
            noise = noise * (2 / value[0].numel()) ** 0.5
            if key.endswith(("conv_theta.weight", "conv_phi.weight")):
                noise = noise / 1000  # the products of non-local blocks would grow without end
        else:
            noise = noise / 4 + (1 if key.endswith("weight") else 0)
        value.copy_(noise)


def clip(frames: int, height: int, width: int) -> np.ndarray:
    """uint8 `(1, T, H, W, 3)`, coarse structure and noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 200, (1, -(-frames // 4), -(-height // 32), -(-width // 32), 3))
    large = coarse.repeat(4, 1).repeat(32, 2).repeat(32, 3)[:, :frames, :height, :width]
    return (large + rng.integers(0, 56, large.shape)).astype("uint8")


def compare(name: str) -> None:
    """Prints how far our logits are from the reference's."""
    started = time.time()
    theirs = ZOO[name]().eval()
    randomize(theirs)
    model, options = named(name)
    with tempfile.TemporaryDirectory() as folder:
        published, file = f"{folder}/published.pth", f"{folder}/converted.weights.h5"
        torch.save(theirs.state_dict(), published)
        mt.convert_weights(published, model, output=file, **options)
        options = {"classes": CLASSES, "classifier_activation": None, "weights": file, **options}
        ours = getattr(mt, model)(**options)
    theirs = theirs.double()
    normalization = ours.get_layer("normalization")
    frames, size = default_clip(model)
    found = []
    for shape in ((frames, size, size), (frames - 3, size - 15, size + 9)):
        batch = clip(*shape)
        normalized = keras.ops.convert_to_numpy(normalization(batch.astype("float32")))
        with torch.no_grad():
            x = torch.from_numpy(normalized).double().permute(0, 4, 1, 2, 3)
            expected = theirs(x).numpy()
        logits = ours.predict(batch, verbose=0)
        largest = np.abs(expected).max()
        error = np.abs(logits - expected).max() / largest
        found.append(f"{'x'.join(map(str, shape))}: {error:.1e} (largest logit {largest:.2f})")
    print(f"{name:14} {'   '.join(found)}   {time.time() - started:.0f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--references", type=Path, default=Path(os.environ.get("REFERENCES", ".")))
    parser.add_argument("networks", nargs="*", default=list(ZOO))
    arguments = parser.parse_args()
    REFERENCES = arguments.references.resolve()
    print(f"Keras {keras.__version__} on {keras.backend.backend()}, PyTorch {torch.__version__}")
    for network in arguments.networks or ZOO:
        compare(network)
