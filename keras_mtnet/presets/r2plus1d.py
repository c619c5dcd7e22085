"""Published weights of R(2+1)D."""

from typing import Any

from keras_mtnet.presets.preset import PYTORCHVIDEO, TORCHVISION, Preset
from keras_mtnet.presets.resnet3d import TORCHVISION_RESNET

_RELEASES = "https://github.com/moabitcoin/ig65m-pytorch/releases/download/v1.0.0/"
_VMZ: dict[str, Any] = {
    "model": "R2Plus1D34",
    "normalization": TORCHVISION,
    "stride": 2,
    "size": 112,
    "code_license": "Apache-2.0 (VMZ), MIT (ig65m-pytorch)",
    "weights_license": "not stated for the checkpoint; VMZ is Apache-2.0, ig65m-pytorch MIT",
    "source": "https://github.com/moabitcoin/ig65m-pytorch",
    "notes": (
        "Trained in Caffe2 by Facebook (https://github.com/facebookresearch/VMZ) and converted to "
        "PyTorch by moabitcoin."
    ),
}
_KINETICS: dict[str, Any] = {
    "dataset": "IG-65M, then Kinetics-400",
    "classes": 400,
    "labels": "kinetics400.txt",
    "protocol": "per video, 10 clips, central crop (tutorials/test.md of VMZ)",
    "measured_by": "VMZ (tutorials/model_zoo.md), before the conversion; not measured again here",
    **_VMZ,
}
_IG65M: dict[str, Any] = {
    "dataset": "IG-65M",
    "protocol": "none stated",
    "measured_by": "nobody: no accuracy is stated, and the names of the classes are not public",
    **_VMZ,
}

PRESETS = (
    Preset(
        model="R2Plus1D18",
        file="r2plus1d18_kinetics400.weights.h5",
        checkpoint="https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth",
        checkpoint_sha256="91a641e6",
        top1=67.463,
        top5=86.175,
        **TORCHVISION_RESNET,
    ),
    Preset(
        weights="kinetics400",
        file="r2plus1d34_kinetics400.weights.h5",
        checkpoint=f"{_RELEASES}r2plus1d_34_clip32_ft_kinetics_from_ig65m-ade133f1.pth",
        checkpoint_sha256="ade133f1",
        frames=32,
        top1=80.0,
        top5=94.2,
        **_KINETICS,
    ),
    Preset(
        weights="kinetics400_8frames",
        file="r2plus1d34_kinetics400_8frames.weights.h5",
        checkpoint=f"{_RELEASES}r2plus1d_34_clip8_ft_kinetics_from_ig65m-0aa0550b.pth",
        checkpoint_sha256="0aa0550b",
        frames=8,
        top1=74.9,
        top5=91.8,
        **_KINETICS,
    ),
    Preset(
        weights="ig65m",
        file="r2plus1d34_ig65m.weights.h5",
        checkpoint=f"{_RELEASES}r2plus1d_34_clip32_ig65m_from_scratch-449a7af9.pth",
        checkpoint_sha256="449a7af9",
        classes=487,
        frames=32,
        **_IG65M,
    ),
    Preset(
        weights="ig65m_8frames",
        file="r2plus1d34_ig65m_8frames.weights.h5",
        checkpoint=f"{_RELEASES}r2plus1d_34_clip8_ig65m_from_scratch-9bae36ae.pth",
        checkpoint_sha256="9bae36ae",
        classes=359,
        frames=8,
        **_IG65M,
    ),
    Preset(
        model="R2Plus1D50",
        weights="kinetics400",
        dataset="Kinetics-400",
        classes=400,
        normalization=PYTORCHVIDEO,
        file="r2plus1d50_kinetics400.weights.h5",
        frames=16,
        stride=4,
        size=256,
        labels="kinetics400.txt",
        checkpoint=(
            "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/R2PLUS1D_16x4_R50.pyth"
        ),
        code_license="Apache-2.0 (pytorchvideo)",
        weights_license="not stated for the checkpoint; the repository is Apache-2.0",
        top1=76.01,
        top5=92.23,
        protocol="10 clips of 3 crops per video",
        measured_by="pytorchvideo (docs/source/model_zoo.md); not measured again here",
        source="https://github.com/facebookresearch/pytorchvideo",
    ),
)
