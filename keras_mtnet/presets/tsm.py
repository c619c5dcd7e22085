"""Published weights of TSM."""

from typing import Any

from keras_mtnet.presets.preset import IMAGENET, Preset

_COMMON: dict[str, Any] = {
    "model": "TSM50",
    "dataset": "Kinetics-400",
    "classes": 400,
    "normalization": IMAGENET,
    "size": 224,
}
_AUTHORS: dict[str, Any] = {
    **_COMMON,
    "code_license": "MIT (temporal-shift-module)",
    "weights_license": "not stated for the checkpoints; the repository is MIT",
    "measured_by": "the authors (README of the source); not measured again here",
    "source": "https://github.com/mit-han-lab/temporal-shift-module",
    "notes": "Top-5 accuracy and the order of the classes are not stated.",
}
_MMACTION: dict[str, Any] = {
    **_COMMON,
    "sampling": "uniform",
    "protocol": "10 crops of 224 pixels, one frame from each part of the video",
    "code_license": "Apache-2.0 (mmaction2)",
    "weights_license": "not stated for the checkpoints; the repository is Apache-2.0",
    "measured_by": "the mmaction2 project (README of the source); not measured again here",
    "source": "https://github.com/open-mmlab/mmaction2/tree/main/configs/recognition/tsm",
    "notes": "The README does not state the order of the classes.",
}
_MIT = "https://hanlab18.mit.edu/projects/tsm/models/TSM_kinetics_RGB_resnet50_shift8_blockres_avg_"
_MM = "https://download.openmmlab.com/mmaction/v1.0/recognition/tsm/"


def _mm(frames: int, batch: int, sha256: str) -> dict[str, Any]:
    """Address of a checkpoint of mmaction2, which carries the first digits of its checksum."""
    name = f"tsm_imagenet-pretrained-r50_8xb{batch}-1x1x{frames}-50e_kinetics400-rgb"
    checkpoint = f"{_MM}{name}/{name}_20220831-{sha256}.pth"
    return {"checkpoint": checkpoint, "checkpoint_sha256": sha256}


PRESETS = (
    Preset(
        weights="kinetics400",
        file="tsm50_kinetics400.weights.h5",
        frames=8,
        stride=8,
        sampling="window",
        checkpoint=f"{_MIT}segment8_e100_dense.pth",
        top1=74.1,
        protocol="10 clips of 3 crops of 256 pixels per video",
        **_AUTHORS,
    ),
    Preset(
        weights="kinetics400_uniform",
        file="tsm50_kinetics400_uniform.weights.h5",
        frames=8,
        sampling="uniform",
        checkpoint=f"{_MIT}segment8_e50.pth",
        top1=71.2,
        protocol="one central crop of one frame from each part of the video",
        **_AUTHORS,
    ),
    Preset(
        weights="kinetics400_uniform16",
        file="tsm50_kinetics400_uniform16.weights.h5",
        frames=16,
        sampling="uniform",
        checkpoint=f"{_MIT}segment16_e50.pth",
        top1=72.6,
        protocol="one central crop of one frame from each part of the video",
        **_AUTHORS,
    ),
    Preset(
        weights="kinetics400_mmaction",
        file="tsm50_kinetics400_mmaction.weights.h5",
        frames=8,
        top1=72.95,
        top5=90.45,
        **_mm(8, 32, "64d69186"),
        **_MMACTION,
    ),
    Preset(
        weights="kinetics400_mmaction16",
        file="tsm50_kinetics400_mmaction16.weights.h5",
        frames=16,
        top1=74.64,
        top5=91.42,
        **_mm(16, 16, "042b1748"),
        **_MMACTION,
    ),
)
