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


def _row(
    model: str,
    weights: str,
    checkpoint: str,
    clip: tuple[int, int],
    accuracy: tuple[float, float],
    variant: str = "",
    notes: str = "",
) -> Preset:
    """A checkpoint: frames and stride of its clips, top-1 and top-5."""
    return Preset(
        model=model,
        weights=weights,
        file=f"{_NAMES[model]}_{weights}.weights.h5",
        frames=clip[0],
        stride=clip[1],
        options={"variant": variant} if variant else {},
        checkpoint=f"{_ZOO}/{checkpoint}.pyth",
        top1=accuracy[0],
        top5=accuracy[1],
        notes=notes,
        **_KINETICS,
    )


_NAMES = {"SlowOnly50": "slow_only_50", "SlowFast50": "slowfast_50", "SlowFast101": "slowfast_101"}
_8X8, _4X16 = "kinetics400", "kinetics400_4x16"
_R101 = "SLOWFAST_16x8_R101_50_50"
PRESETS = (
    _row("SlowOnly50", _8X8, "SLOW_8x8_R50", (8, 8), (74.58, 91.63), "", _note("74.8 / 91.6")),
    _row("SlowOnly50", _4X16, "SLOW_4x16_R50", (4, 16), (72.4, 90.18), "", _note("72.7 / 90.3")),
    _row(
        *("SlowFast50", _8X8, "SLOWFAST_8x8_R50", (32, 2), (76.94, 92.69), "8x8"),
        notes=_note("77.0 / 92.6"),
    ),
    _row(
        *("SlowFast50", _4X16, "SLOWFAST_4x16_R50", (32, 2), (75.34, 91.89), "4x16"),
        notes=_note("75.6 / 92.0"),
    ),
    _row(
        *("SlowFast101", "kinetics400", _R101, (64, 2), (78.7, 93.61), "paper"),
        notes="Called 16x8, R101_50_50.",
    ),
    _row(
        *("SlowFast101", "kinetics400_8x8", "SLOWFAST_8x8_R101", (32, 2), (77.9, 93.27)),
        variant="pytorchvideo",
    ),
)
