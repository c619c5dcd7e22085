"""Published weights of channel-separated networks: of pytorchvideo, VMZ and mmaction2."""

from typing import Any

from keras_mtnet.presets.preset import IMAGENET, PYTORCHVIDEO, TORCHVISION, Preset

_KINETICS: dict[str, Any] = {
    "dataset": "Kinetics-400",
    "classes": 400,
    "frames": 32,
    "stride": 2,
    "size": 224,
    "fps": 30,
    "labels": "kinetics400.txt",
    "weights_license": "not stated for the checkpoint; the repository that links it is Apache-2.0",
    "protocol": "30 views, 10 clips of 3 crops of 256",
}
_MMACTION = "https://download.openmmlab.com/mmaction/"
_VMZ = "Trained with VMZ in Caffe2 and converted by mmaction2."


def _row(model: str, weights: str, file: str, **kwargs: Any) -> Preset:
    """A checkpoint of mmaction2, whose name ends in the first digits of its sha256."""
    name = f"{model[:2].lower()}_csn_{model[-3:]}"
    return Preset(
        model=model,
        weights=weights,
        file=f"{name}_{weights}.weights.h5",
        checkpoint=_MMACTION + file,
        checkpoint_sha256=file.removesuffix(".pth").rpartition("-")[2],
        code_license="Apache-2.0 (VMZ, mmaction2)",
        measured_by="mmaction2 (its model zoo); not measured again here",
        source="https://github.com/open-mmlab/mmaction2/tree/main/configs/recognition/csn",
        **{"normalization": TORCHVISION, **kwargs, **_KINETICS},
    )


_FOLDER = "recognition/csn/vmz/vmz_"
_IG65M = "ircsn_ig65m_pretrained_bnfrozen_r152_32x2x1_58e_8xb12_kinetics400_rgb"
PRESETS = (
    Preset(
        model="IRCSN101",
        weights="kinetics400",
        file="ir_csn_101_kinetics400.weights.h5",
        normalization=PYTORCHVIDEO,
        checkpoint=(
            "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/CSN_32x2_R101.pyth"
        ),
        code_license="Apache-2.0 (pytorchvideo)",
        top1=77.0,
        top5=92.9,
        measured_by="pytorchvideo (its model zoo); not measured again here",
        source="https://github.com/facebookresearch/pytorchvideo",
        **_KINETICS,
    ),
    _row(
        "IRCSN152",
        "kinetics400",
        f"{_FOLDER}ircsn_from_scratch_r152_32x2x1_180e_kinetics400_rgb_20210617-5c933ae1.pth",
        top1=76.25,
        top5=92.11,
        notes=_VMZ,
    ),
    _row(
        "IRCSN152",
        "kinetics400_sports1m",
        f"{_FOLDER}ircsn_sports1m_pretrained_r152_32x2x1_58e_kinetics400_rgb_20210617-b9b10241.pth",
        top1=78.82,
        top5=93.34,
        notes=f"Pre-trained on Sports-1M. {_VMZ}",
    ),
    _row(
        "IRCSN152",
        "kinetics400_ig65m",
        f"v2.0/recognition/csn/{_IG65M}/{_IG65M}_20220811-7d1dacde.pth",
        top1=82.58,
        top5=95.76,
        notes="Pre-trained on IG-65M by VMZ, fine-tuned by mmaction2.",
        normalization=IMAGENET,
    ),
    _row(
        "IPCSN152",
        "kinetics400",
        f"{_FOLDER}ipcsn_from_scratch_r152_32x2x1_180e_kinetics400_rgb_20210617-d565828d.pth",
        top1=77.69,
        top5=92.93,
        notes=_VMZ,
    ),
    _row(
        "IPCSN152",
        "kinetics400_sports1m",
        f"{_FOLDER}ipcsn_sports1m_pretrained_r152_32x2x1_58e_kinetics400_rgb_20210617-3367437a.pth",
        top1=78.77,
        top5=93.78,
        notes=f"Pre-trained on Sports-1M. {_VMZ}",
    ),
    _row(
        "IPCSN152",
        "kinetics400_ig65m",
        f"{_FOLDER}ipcsn_ig65m_pretrained_r152_32x2x1_58e_kinetics400_rgb_20210617-c3be9793.pth",
        top1=82.51,
        top5=95.52,
        notes=f"Pre-trained on IG-65M. {_VMZ}",
        normalization=IMAGENET,
    ),
)
