"""SRTG: 3-D and (2+1)D ResNets whose blocks end in squeeze and recursion."""

from typing import Any

from keras_mtnet.models.builder import sized
from keras_mtnet.models.r2plus1d import TORCHVISION_PARTS, of_block
from keras_mtnet.models.resnet import Size, video_resnet
from keras_mtnet.models.resnet3d import AUTHORS_KEYS, TORCHVISION_KEYS
from keras_mtnet.presets import RELEASED_MTNET
from keras_mtnet.weights.torch import Rules

_GATE: Rules = ((r"/recurrence", "/sar/lstm/recurrence"),)
# In basic blocks, both convolutions are of 3x3x3.
_BASIC: Rules = (*_GATE, (r"_conv(\d)/", r"/conv\1/0/0/"), *TORCHVISION_KEYS)


def _size(model: str, depths: tuple[int, ...], expansion: int | None, **options: Any) -> Size:
    options = {"stem_pool": True, "gated": True, "expansion": expansion, **options}
    if "R2Plus1D" in model:
        keys: Rules = (*_GATE, *TORCHVISION_PARTS)
        options |= {"inner": of_block, "stem_inner": 45}
    else:
        keys = _BASIC if expansion is None else (*_GATE, *AUTHORS_KEYS)
    return Size(model, (16, 264), depths, RELEASED_MTNET, {"authors": keys}, **options)


SIZES = {
    size.model: size
    for size in (
        _size("SRTGR3D34", (3, 4, 6, 3), None),
        _size("SRTGR3D50", (3, 4, 6, 3), 1),
        _size("SRTGR3D101", (3, 4, 23, 3), 1),
        _size("SRTGR2Plus1D34", (3, 4, 6, 3), None),
        _size("SRTGR2Plus1D50", (3, 4, 6, 3), 1),
        _size("SRTGR2Plus1D101", (3, 4, 23, 3), 1),
    )
}


def _summary(kind: str, params: str, macs: str) -> str:
    return f"""Builds SRTG {kind}, made for clips of 16 x 264 x 264.

{params} M parameters, {macs} G multiply-adds for 16 x 224 x 224. Each block multiplies its result
by what two LSTM layers make of the means of its frames. That a gate leaves out clips which are not
cyclically consistent, as in the paper, is off in all networks that the authors publish, and is not
built here.

Source: Stergiou and Poppe, "Learn to Cycle: Time-consistent Feature Discovery for Action
Recognition", Pattern Recognition Letters 141, 2021; the authors' code.
"""


SRTGR3D34 = sized(video_resnet, SIZES["SRTGR3D34"], _summary("r3d-34", "83.9", "42.7"))
SRTGR3D50 = sized(video_resnet, SIZES["SRTGR3D50"], _summary("r3d-50", "56.9", "26.5"))
SRTGR3D101 = sized(video_resnet, SIZES["SRTGR3D101"], _summary("r3d-101", "107.1", "39.2"))
SRTGR2Plus1D34 = sized(
    video_resnet, SIZES["SRTGR2Plus1D34"], _summary("r2plus1d-34", "82.0", "40.3")
)
SRTGR2Plus1D50 = sized(
    video_resnet, SIZES["SRTGR2Plus1D50"], _summary("r2plus1d-50", "55.0", "24.9")
)
SRTGR2Plus1D101 = sized(
    video_resnet, SIZES["SRTGR2Plus1D101"], _summary("r2plus1d-101", "105.3", "37.6")
)
