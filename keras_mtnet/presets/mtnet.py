"""Published weights of MTNets."""

from typing import Any

from keras_mtnet.presets.preset import RELEASED_MTNET, Preset

_RELEASED: dict[str, Any] = {
    "weights": "hacs",
    "dataset": "HACS Clips",
    "classes": 200,
    "normalization": RELEASED_MTNET,
    "frames": 16,
    "stride": 2,
    "size": 256,
    "options": {"variant": "released"},
    "code_license": "MIT (the authors' repository)",
    "weights_license": "not stated for the checkpoint; the repository that links it is MIT",
    "protocol": (
        "not stated with the numbers; the repository's validation takes one clip of 16 frames, "
        "stride 2, per video, short side 294, central crop 256"
    ),
    "measured_by": "the authors (README of the source); not measured again here",
    "source": "https://github.com/alexandrosstergiou/Squeeze-and-Recursion-Temporal-Gates",
    "notes": (
        "Two streams on the widths of a ResNet, not the network of the paper. Labels are in the "
        "order in which classes first appear in the authors' HACS_clips_v1.1_train.csv, or in the "
        "dictionary.json that their training writes. Trained in mixed float16 and float32."
    ),
}

PRESETS = (
    Preset(
        model="MTNetS",
        file="mtnet_s_hacs.weights.h5",
        checkpoint="https://drive.google.com/file/d/1wGXuiJPrhKg8N0SeP82gSnOwbP1HW8cL/view",
        top1=80.712,
        top5=95.182,
        **_RELEASED,
    ),
    Preset(
        model="MTNetM",
        file="mtnet_m_hacs.weights.h5",
        checkpoint="https://drive.google.com/file/d/160_xtXnBRaiz-1qG9Wxwh1JjUzpe5wq8/view",
        top1=83.447,
        top5=95.872,
        **_RELEASED,
    ),
    Preset(
        model="MTNetL",
        file="mtnet_l_hacs.weights.h5",
        checkpoint="https://drive.google.com/file/d/1uRXNVjpMWkfUTWFX4s4bl35QThysb5ut/view",
        top1=86.574,
        top5=96.658,
        **_RELEASED,
    ),
)
