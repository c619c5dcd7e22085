"""Prints figures of published X3Ds, and stores logits of narrow ones on random clips.

    python tests/vectors/make_x3d.py SlowFast

needs a checkout of facebookresearch/SlowFast, torch and pytorchvideo.
"""

import functools
import sys
import types
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from zoo import figures, logits, random_clip

from keras_mtnet.models.x3d import SIZES
from keras_mtnet.presets import PYTORCHVIDEO

Clip = tuple[int, int, int]
# Factors of width and depth, where both code bases round widths alike; classes.
NARROW = (2 / 3, 1.0, 5)
CLIPS = {"even": (4, 64, 64), "odd": (5, 51, 77)}


def pytorchvideo(width: float, depth: float, classes: int, clip: Clip) -> Any:
    """The module of pytorchvideo for logits."""
    import torch
    from pytorchvideo.models.x3d import create_x3d

    network = create_x3d(
        input_clip_length=clip[0],
        input_crop_size=clip[1],
        model_num_class=classes,
        width_factor=width,
        depth_factor=depth,
        head_activation=None,
    )
    if clip[1] != clip[2]:  # its head pools squares
        network.blocks[-1].pool.pool = torch.nn.AdaptiveAvgPool3d(1)
    return network


def pyslowfast(width: float, depth: float, classes: int, clip: Clip) -> Any:
    """The module of PySlowFast for logits. Its checkout must be on the path."""
    import torch

    build, cfg = _import_pyslowfast()
    cfg.MODEL.ARCH, cfg.MODEL.NUM_CLASSES = "x3d", classes
    cfg.DATA.INPUT_CHANNEL_NUM = [3]
    cfg.DATA.NUM_FRAMES, cfg.DATA.TRAIN_CROP_SIZE = clip[:2]
    cfg.RESNET.TRANS_FUNC, cfg.RESNET.STRIDE_1X1 = "x3d_transform", False
    cfg.X3D.WIDTH_FACTOR, cfg.X3D.DEPTH_FACTOR, cfg.X3D.BOTTLENECK_FACTOR = width, depth, 2.25
    network = build(cfg)
    network.head.act = torch.nn.Identity()
    if clip[1] != clip[2]:
        network.head.avg_pool = torch.nn.AdaptiveAvgPool3d(1)
    network.register_forward_pre_hook(lambda module, arguments: ([arguments[0]],))
    return network


def _import_pyslowfast() -> tuple[Any, Any]:
    """Its X3D alone, and a configuration: the rest needs packages that X3D does not use."""
    import slowfast
    from pytorchvideo.layers import distributed
    from slowfast.config.defaults import get_cfg

    distributed.__getattr__ = lambda name: None  # the released one lacks what PySlowFast imports
    sys.modules["detectron2"] = sys.modules["detectron2.layers"] = mock.MagicMock()
    package = types.ModuleType("slowfast.models")
    package.__path__ = [f"{slowfast.__path__[0]}/models"]
    sys.modules.setdefault("slowfast.models", package)
    from slowfast.models.video_model_builder import X3D

    return X3D, get_cfg()


if __name__ == "__main__":
    sys.path[:0] = sys.argv[1:]
    stored = {}
    for source, reference in (("pytorchvideo", pytorchvideo), ("PySlowFast", pyslowfast)):
        for name, size in SIZES.items():
            # PySlowFast has no XL; its rounding would make it another network.
            if source == "pytorchvideo" or name != "X3DXL":
                frames, side = size.clip
                clip = (frames, side, side)
                factors = (size.width, size.depth)
                made = figures(functools.partial(reference, *factors, 400, clip), clip)
                print(f'    ("{name}", "{source}"): {made},', flush=True)
        for name, clip in CLIPS.items():
            spread = (PYTORCHVIDEO.mean, PYTORCHVIDEO.std)
            stored[f"{source}_{name}"] = logits(
                reference(*NARROW, clip), random_clip(*clip), *spread
            )
    np.savez_compressed(Path(__file__).with_name("x3d.npz"), **stored)
