"""Published weights of SRTG."""

from typing import Any

from keras_mtnet.presets.preset import RELEASED_MTNET, Preset

_HACS: dict[str, Any] = {
    "weights": "hacs",
    "dataset": "HACS Clips",
    "classes": 200,
    "normalization": RELEASED_MTNET,
    "frames": 16,
    "stride": 2,
    "size": 264,
    "code_license": "MIT (the authors' repository)",
    "weights_license": "not stated for the checkpoint; the repository that links it is MIT",
    "protocol": "not stated with the numbers",
    "measured_by": "the authors (README of the source); not measured again here",
    "source": "https://github.com/alexandrosstergiou/Squeeze-and-Recursion-Temporal-Gates",
}
_BOTH = (
    "The authors link one file for the networks of 50 and of 101 layers; which it is shows when it "
    "is converted."
)


def _drive(file: str) -> str:
    return f"https://drive.google.com/file/d/{file}/view"


PRESETS = (
    Preset(
        model="SRTGR3D34",
        file="srtgr3d34_hacs.weights.h5",
        checkpoint=_drive("151WUMcAsEIRxYNhipGhbczKKNB1AYA_2"),
        top1=78.599,
        top5=93.569,
        notes="The authors' table calls it srtg_r3d_32.",
        **_HACS,
    ),
    Preset(
        model="SRTGR3D50",
        file="srtgr3d50_hacs.weights.h5",
        checkpoint=_drive("17YUWmIy6MvrSv3JTsQLWIadxVgv9lGoc"),
        top1=80.362,
        top5=95.548,
        **_HACS,
    ),
    Preset(
        model="SRTGR3D101",
        file="srtgr3d101_hacs.weights.h5",
        checkpoint=_drive("1ZwfCcfdzkNUZtid-JvDZTd1mV8KkRJxN"),
        top1=81.659,
        top5=96.326,
        **_HACS,
    ),
    Preset(
        model="SRTGR2Plus1D50",
        file="srtgr2plus1d50_hacs.weights.h5",
        checkpoint=_drive("1CBL1bZ4_ayOvvqRFODOZC-CVjQ2LfM8H"),
        top1=83.774,
        top5=96.56,
        notes=_BOTH,
        **_HACS,
    ),
    Preset(
        model="SRTGR2Plus1D101",
        file="srtgr2plus1d101_hacs.weights.h5",
        checkpoint=_drive("1CBL1bZ4_ayOvvqRFODOZC-CVjQ2LfM8H"),
        top1=84.326,
        top5=96.852,
        notes=_BOTH,
        **_HACS,
    ),
)
