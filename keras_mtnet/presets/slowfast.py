"""Published weights of SlowOnly and SlowFast."""

from typing import Any

from keras_mtnet.presets.preset import PYTORCHVIDEO, Preset

_ZOO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics"
_KINETICS: dict[str, Any] = {
    "dataset": "Kinetics-400",
    "classes": 400,
    "normalization": PYTORCHVIDEO,
    "size": 256,  # for tests; they were trained on crops of 224 from frames of 256 to 320
    "fps": 30,
    "labels": "kinetics400.txt",
    "code_license": "Apache-2.0 (pytorchvideo)",
    "weights_license": "not stated for the checkpoint; the repository is Apache-2.0",
    "protocol": "validation set of Kinetics-400, 10 clips x 3 crops of 256 per video",
    "measured_by": "pytorchvideo (its model zoo); not measured again here",
    "source": "https://github.com/facebookresearch/pytorchvideo/blob/main/docs/source/model_zoo.md",
}


def _note(accuracy: str) -> str:
    return (
        f"PySlowFast also publishes weights ({accuracy} percent), as a Caffe2 pickle, which is not "
        "read here. Its .pyth files of one's own training convert with output=..."
    )


PRESETS = (
    Preset(
        model="SlowOnly50",
        weights="kinetics400",
        file="slow_only_50_kinetics400.weights.h5",
        frames=8,
        stride=8,
        checkpoint=f"{_ZOO}/SLOW_8x8_R50.pyth",
        top1=74.58,
        top5=91.63,
        notes=_note("74.8 / 91.6"),
        **_KINETICS,
    ),
    Preset(
        model="SlowOnly50",
        weights="kinetics400_4x16",
        file="slow_only_50_kinetics400_4x16.weights.h5",
        frames=4,
        stride=16,
        checkpoint=f"{_ZOO}/SLOW_4x16_R50.pyth",
        top1=72.4,
        top5=90.18,
        notes=_note("72.7 / 90.3"),
        **_KINETICS,
    ),
    Preset(
        model="SlowFast50",
        weights="kinetics400",
        file="slowfast_50_kinetics400.weights.h5",
        frames=32,
        stride=2,
        options={"variant": "8x8"},
        checkpoint=f"{_ZOO}/SLOWFAST_8x8_R50.pyth",
        top1=76.94,
        top5=92.69,
        notes=_note("77.0 / 92.6"),
        **_KINETICS,
    ),
    Preset(
        model="SlowFast50",
        weights="kinetics400_4x16",
        file="slowfast_50_kinetics400_4x16.weights.h5",
        frames=32,
        stride=2,
        options={"variant": "4x16"},
        checkpoint=f"{_ZOO}/SLOWFAST_4x16_R50.pyth",
        top1=75.34,
        top5=91.89,
        notes=_note("75.6 / 92.0"),
        **_KINETICS,
    ),
    Preset(
        model="SlowFast101",
        weights="kinetics400",
        file="slowfast_101_kinetics400.weights.h5",
        frames=64,
        stride=2,
        options={"variant": "paper"},
        checkpoint=f"{_ZOO}/SLOWFAST_16x8_R101_50_50.pyth",
        top1=78.7,
        top5=93.61,
        notes="Called 16x8, R101_50_50.",
        **_KINETICS,
    ),
    Preset(
        model="SlowFast101",
        weights="kinetics400_8x8",
        file="slowfast_101_kinetics400_8x8.weights.h5",
        frames=32,
        stride=2,
        options={"variant": "pytorchvideo"},
        checkpoint=f"{_ZOO}/SLOWFAST_8x8_R101.pyth",
        top1=77.9,
        top5=93.27,
        **_KINETICS,
    ),
)
