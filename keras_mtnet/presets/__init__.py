"""The table of presets: which weights exist, for which network, and all that is known of them.

Each family of networks has a file with its rows.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

from keras_mtnet.presets import (
    blvnet_tam,
    csn,
    i3d,
    mfnet,
    mtnet,
    r2plus1d,
    resnet3d,
    s3d,
    slowfast,
    srtg,
    tsm,
    x3d,
)
from keras_mtnet.presets.preset import (
    IMAGENET,
    MTNET,
    PYTORCHVIDEO,
    RELEASED_MTNET,
    TORCHVISION,
    UNIT_RANGE,
    Normalization,
    Preset,
    read_labels,
)

__all__ = [
    "IMAGENET",
    "MTNET",
    "PRESETS",
    "PYTORCHVIDEO",
    "RELEASED_MTNET",
    "TORCHVISION",
    "UNIT_RANGE",
    "Normalization",
    "Preset",
    "PresetTable",
    "find",
    "list_presets",
    "lookup",
    "of_checkpoint",
    "read_labels",
]

_FAMILIES = (mtnet, i3d, resnet3d, mfnet, x3d, r2plus1d, s3d, srtg, csn, slowfast, tsm, blvnet_tam)

PRESETS: dict[tuple[str, str], Preset] = {
    (row.model, row.weights): row for family in _FAMILIES for row in family.PRESETS
}


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
    """The preset of a builder by the name of its weights; ValueError, listing those that exist.

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
    """The preset that an argument `weights` of a builder means; None where it is no name of one.

    A file that has the name of a preset is meant by `"./name"`. The path of a published checkpoint
    that comes in a package means its preset, read from there.

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
