"""Published weights of 3-D ResNets."""

from typing import Any

from keras_mtnet.presets.preset import TORCHVISION, Normalization, Preset

# Mean and spread of Kinetics as Hara et al. measured them.
HARA = Normalization((0.4345, 0.4051, 0.3775), (0.2768, 0.2713, 0.2737))

TORCHVISION_VIDEO: dict[str, Any] = {
    "weights": "kinetics400",
    "dataset": "Kinetics-400",
    "classes": 400,
    "normalization": TORCHVISION,
    "fps": 15,
    "labels": "kinetics400.txt",
    "code_license": "BSD-3-Clause (torchvision)",
    "weights_license": "not stated for the checkpoint; the repository is BSD-3-Clause",
    "measured_by": "torchvision (documentation of the weights); not measured again here",
}
TORCHVISION_RESNET: dict[str, Any] = {
    **TORCHVISION_VIDEO,
    "frames": 16,
    "stride": 1,
    "size": 112,
    "protocol": (
        "5 clips of 16 frames at 15 frames a second per video, frames resized to 128x171, central "
        "crop 112"
    ),
    "source": "https://github.com/pytorch/vision/tree/main/references/video_classification",
}
_HARA: dict[str, Any] = {
    "weights": "kinetics700",
    "dataset": "Kinetics-700",
    "classes": 700,
    "normalization": HARA,
    "frames": 16,
    "stride": 1,
    "size": 112,
    "checkpoint": "https://drive.google.com/open?id=1xbYbZ7rpyjftI_KCk6YuL-XrfQDz7Yd4",
    "code_license": "MIT (3D-ResNets-PyTorch)",
    "weights_license": "not stated for the checkpoint; the repository is MIT",
    "protocol": "none stated",
    "measured_by": "nobody: no accuracy is stated, and none was measured here",
    "source": "https://github.com/kenshohara/3D-ResNets-PyTorch",
}


def _notes(depth: int) -> str:
    return (
        f"The file is r3d{depth}_K_200ep.pth in the folder. Those trained on Kinetics-700 and "
        "Moments in Time together (KM, 1039 classes) and on others convert with output=... alike."
    )


PRESETS = (
    Preset(
        model="R3D18",
        file="r3d18_kinetics400.weights.h5",
        checkpoint="https://download.pytorch.org/models/r3d_18-b3b3357e.pth",
        checkpoint_sha256="b3b3357e",
        top1=63.2,
        top5=83.479,
        **TORCHVISION_RESNET,
    ),
    Preset(
        model="MC3_18",
        file="mc3_18_kinetics400.weights.h5",
        checkpoint="https://download.pytorch.org/models/mc3_18-a90a0ba3.pth",
        checkpoint_sha256="a90a0ba3",
        top1=63.96,
        top5=84.13,
        **TORCHVISION_RESNET,
    ),
    *(
        Preset(
            model=f"ResNet3D{depth}",
            file=f"resnet3d{depth}_kinetics700.weights.h5",
            notes=_notes(depth),
            **_HARA,
        )
        for depth in (18, 34, 50, 101)
    ),
)
