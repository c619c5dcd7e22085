"""Prints figures of SlowOnly and SlowFast, and stores logits of shallow, narrow ones.

    python tests/vectors/make_slowfast.py SlowFast

needs a checkout of facebookresearch/SlowFast, torch, pytorchvideo, fvcore and yacs. Of the networks
with non-local blocks, only PySlowFast has code.
"""

import functools
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from zoo import figures, logits, random_clip, random_state

from keras_mtnet.presets import PYTORCHVIDEO

# network: builder, options, speed of the fast pathway, configuration in PySlowFast
FULL = {
    "slow_only": ("SlowOnly50", {}, None, "SLOW_8x8_R50"),
    "slow_only_nl": ("SlowOnly50", {"non_local": True}, None, "SLOW_NLN_8x8_R50"),
    "slowfast": ("SlowFast50", {}, 4, "SLOWFAST_8x8_R50"),
    "slowfast_4x16": ("SlowFast50", {"variant": "4x16"}, 8, "SLOWFAST_4x16_R50"),
    "slowfast_4x16_nl": (
        *("SlowFast50", {"variant": "4x16", "non_local": True}, 8),
        "SLOWFAST_NLN_4x16_R50",
    ),
    "slowfast101": ("SlowFast101", {}, 4, "c2/SLOWFAST_8x8_R101_50_50"),
    "slowfast101_nl": ("SlowFast101", {"non_local": True}, 4, "c2/SLOWFAST_NLN_16x8_R101_50_50"),
    "slowfast101_ptv": (
        *("SlowFast101", {"variant": "pytorchvideo"}, 4),
        "pytorchvideo/SLOWFAST_8x8_R101",
    ),
}
# Small networks: two blocks a stage, widths from 16 on; in the last one, one temporal block.
SHALLOW = {
    "slow_only": (None, "SLOW_8x8_R50"),
    "slow_only_nl": (None, "SLOW_NLN_8x8_R50"),
    "slowfast": (4, "SLOWFAST_8x8_R50"),
    "slowfast_4x16": (8, "SLOWFAST_4x16_R50"),
    "slowfast_4x16_nl": (8, "SLOWFAST_NLN_4x16_R50"),
    "slowfast101": (4, "c2/SLOWFAST_8x8_R101_50_50"),
}
WIDTH, DEPTHS, CLASSES = 16, (2, 2, 2, 2), 5
TEMPORAL = 1  # blocks in the third stage of the small slowfast101
NON_LOCAL = ((), (2,), (1, 2), ())  # blocks before non-local ones
CLIPS = {"even": (16, 64, 64), "odd": (8, 67, 85)}


def weights(shapes: Any) -> dict[str, np.ndarray]:
    """`random_state`, but for the products of non-local blocks, which would grow without end."""
    small = ("conv_theta.weight", "conv_phi.weight")
    return {k: v * (0.001 if k.endswith(small) else 1) for k, v in random_state(shapes).items()}


def pathways(speed: int, module: Any, inputs: Any) -> Any:
    """A hook that makes of one clip what these modules take; see PySlowFast's datasets/utils.py."""
    import torch

    (x,) = inputs
    if speed is None:
        return ([x],)
    frames = x.shape[2]
    kept = torch.linspace(0, frames - 1, -(-frames // speed), device=x.device).long()
    return ([x.index_select(2, kept), x],)


def pyslowfast(speed: int | None, config: str, folder: str, small: bool = False) -> Any:
    """The module of PySlowFast for logits, averaging over any clip, of one of its configurations.

    Args:
        speed: frames of the fast pathway for each of the slow; None without one.
        config: name of a file in configs/Kinetics.
        folder: the checkout.
        small: whether to build the small network in its stead.
    """
    for name in ("simplejson", "detectron2", "detectron2.layers"):  # imported, and not used here
        sys.modules.setdefault(name, mock.MagicMock())
    for name in ("models.contrastive", "models.masked", "utils.logging"):
        sys.modules.setdefault(f"slowfast.{name}", mock.MagicMock())
    from slowfast.config.defaults import get_cfg
    from slowfast.models.video_model_builder import ResNet, SlowFast

    cfg = get_cfg()
    cfg.merge_from_file(f"{folder}/configs/Kinetics/{config}.yaml")
    cfg.MODEL.HEAD_ACT, cfg.MULTIGRID.SHORT_CYCLE = "none", True
    several = 1 if speed is None else 2
    if small:
        cfg.RESNET.WIDTH_PER_GROUP, cfg.RESNET.DEPTH, cfg.MODEL.NUM_CLASSES = WIDTH, 18, CLASSES
        cfg.RESNET.NUM_BLOCK_TEMP_KERNEL = [[2] * several] * 4
        if "R101" in config:
            cfg.RESNET.NUM_BLOCK_TEMP_KERNEL[2] = [TEMPORAL] * several
        if "NLN" in config:
            places = [[block - 1 for block in blocks] for blocks in NON_LOCAL]
            cfg.NONLOCAL.LOCATION = [[slow, []][:several] for slow in places]
    network = (ResNet if speed is None else SlowFast)(cfg)
    if speed is None:  # its head has no such choice
        import torch

        network.head.pathway0_avgpool = torch.nn.AdaptiveAvgPool3d(1)
    network.register_forward_pre_hook(functools.partial(pathways, speed))
    return network


def pytorchvideo(name: str) -> Any:
    """The module of pytorchvideo for logits, averaging over any clip; None where it has none."""
    import torch
    from pytorchvideo.models import hub
    from pytorchvideo.models.slowfast import create_slowfast

    if name.endswith("_nl"):
        return None
    options = {"head_pool": torch.nn.AdaptiveAvgPool3d, "head_activation": None}
    if name == "slow_only":
        return hub.slow_r50(**options)
    build = {
        "slowfast": hub.slowfast_r50,
        "slowfast101": hub.slowfast_16x8_r101_50_50,
        "slowfast101_ptv": hub.slowfast_r101,
        "slowfast_4x16": functools.partial(
            create_slowfast,
            slowfast_fusion_conv_kernel_size=(5, 1, 1),
            slowfast_fusion_conv_stride=(8, 1, 1),
        ),
    }[name]
    network = build(**options, head_output_size=((1, 1, 1),) * 2)
    network.register_forward_pre_hook(functools.partial(pathways, FULL[name][2]))
    return network


if __name__ == "__main__":
    folder = sys.argv[1]
    sys.path.insert(0, folder)
    for name, (_, _, speed, config) in FULL.items():
        clip = (8 if speed is None else 32, 224, 224)
        params, macs, keys = figures(lambda: pyslowfast(speed, config, folder), clip)  # noqa: B023
        build = functools.partial(pytorchvideo, name)
        other = None if build() is None else figures(build, clip)
        assert other is None or other[:2] == (params, macs)
        print(f'    "{name}": ({params}, {macs}, "{keys}", "{other and other[2]}"),')

    stored = {}
    for name, (speed, config) in SHALLOW.items():
        network = pyslowfast(speed, config, folder, small=True)
        for clip, shape in CLIPS.items():
            spread = (PYTORCHVIDEO.mean, PYTORCHVIDEO.std)
            stored[f"{name}_{clip}"] = logits(network, random_clip(*shape), *spread, weights)
    np.savez_compressed(Path(__file__).with_name("slowfast.npz"), **stored)
