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


def _row(model: str, file: str, top1: float, top5: float, notes: str = "") -> Preset:
    return Preset(
        model=model,
        file=f"{model.lower()}_hacs.weights.h5",
        checkpoint=f"https://drive.google.com/file/d/{file}/view",
        top1=top1,
        top5=top5,
        notes=notes,
        **_HACS,
    )


_FOR_BOTH = "1CBL1bZ4_ayOvvqRFODOZC-CVjQ2LfM8H"
_32 = "The authors' table calls it srtg_r3d_32."
PRESETS = (
    _row("SRTGR3D34", "151WUMcAsEIRxYNhipGhbczKKNB1AYA_2", 78.599, 93.569, _32),
    _row("SRTGR3D50", "17YUWmIy6MvrSv3JTsQLWIadxVgv9lGoc", 80.362, 95.548),
    _row("SRTGR3D101", "1ZwfCcfdzkNUZtid-JvDZTd1mV8KkRJxN", 81.659, 96.326),
    _row("SRTGR2Plus1D50", _FOR_BOTH, 83.774, 96.56, _BOTH),
    _row("SRTGR2Plus1D101", _FOR_BOTH, 84.326, 96.852, _BOTH),
)
