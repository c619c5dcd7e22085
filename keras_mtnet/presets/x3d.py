"""Published weights of X3D, by pytorchvideo and by PySlowFast."""

from typing import Any

from keras_mtnet.presets.preset import PYTORCHVIDEO, Preset

_KINETICS: dict[str, Any] = {
    "dataset": "Kinetics-400",
    "classes": 400,
    "normalization": PYTORCHVIDEO,
    "fps": 30,
    "labels": "kinetics400.txt",
    "weights_license": "not stated for the checkpoint; the repository that links it is Apache-2.0",
}


def _rows(
    model: str,
    clip: tuple[int, int, int],
    tested: int,
    pytorchvideo: tuple[float, float],
    pyslowfast: float,
) -> tuple[Preset, Preset]:
    """Both checkpoints of a network: frames, stride and size of its clips; crop and accuracies."""
    name = f"x3d_{model.removeprefix('X3D').lower()}"
    frames, stride, size = clip
    protocol = f"30 views, 10 clips of 3 crops of {tested}"
    return (
        Preset(
            model=model,
            weights="kinetics400",
            file=f"{name}_kinetics400.weights.h5",
            options={"shortcut_norm": False},
            checkpoint=(
                "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/"
                f"{name.upper()}.pyth"
            ),
            frames=frames,
            stride=stride,
            size=size,
            code_license="Apache-2.0 (pytorchvideo)",
            top1=pytorchvideo[0],
            top5=pytorchvideo[1],
            protocol=protocol,
            measured_by="pytorchvideo (its model zoo); not measured again here",
            source="https://github.com/facebookresearch/pytorchvideo",
            **_KINETICS,
        ),
        Preset(
            model=model,
            weights="kinetics400_slowfast",
            file=f"{name}_kinetics400_slowfast.weights.h5",
            options={"shortcut_norm": True},
            checkpoint=f"https://dl.fbaipublicfiles.com/pyslowfast/x3d_models/{name}.pyth",
            frames=frames,
            stride=stride,
            size=size,
            code_license="Apache-2.0 (PySlowFast)",
            top1=pyslowfast,
            protocol=protocol,
            measured_by="PySlowFast (its configurations); not measured again here",
            source="https://github.com/facebookresearch/SlowFast",
            **_KINETICS,
        ),
    )


PRESETS = (
    *_rows("X3DXS", (4, 12, 160), 182, (69.12, 88.63), 69.46),
    *_rows("X3DS", (13, 6, 160), 182, (73.33, 91.27), 73.50),
    *_rows("X3DM", (16, 5, 224), 256, (75.94, 92.72), 76.21),
    *_rows("X3DL", (16, 5, 312), 356, (77.44, 93.31), 77.48),
)
