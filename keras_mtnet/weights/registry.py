"""The registry: which weights exist for the networks of this package, and what is known of them.

It is `weights/registry.json` at the root of the repository. An installed package carries that
folder inside, as `keras_mtnet/weights/published`.
"""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

from keras_mtnet.models.configs import VARIANTS


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file of weights. What is not known is empty or None.

    Attributes:
        name: what `weights=` takes.
        model, variant: the network, as `MTNetM` and `released`.
        dataset, classes: what it was trained on.
        frames, size, stride: the clip it was trained on: height and width, and every how many-th
            frame of the video.
        file: its name, in the folder of published weights or in the cache.
        options: arguments that the network needs, as `stage_filters` for an `MTNet`.
        preprocessing: how clips must be prepared, if not by `preprocess_input` alone.
        labels: the order of the classes.
        url: where it is downloaded from; None where nobody hosts it.
        sha256, size_bytes: of the file; None where everybody converts their own.
        checkpoint: the PyTorch checkpoint that `keras-mtnet convert-weights` makes it of.
        code_licence, weights_licence: of the code that trained it, and of the weights.
        top1, top5: accuracy in percent.
        protocol, measured_by: how that was measured, and by whom.
        source: where all this comes from.
        notes: what else a user should know.
    """

    name: str
    model: str
    variant: str
    dataset: str
    classes: int
    frames: int
    size: int
    file: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    stride: int | None = None
    preprocessing: str = ""
    labels: str = ""
    url: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    checkpoint: str | None = None
    code_licence: str = ""
    weights_licence: str = ""
    top1: float | None = None
    top5: float | None = None
    protocol: str = ""
    measured_by: str = ""
    source: str = ""
    notes: str = ""

    @property
    def blocks(self) -> int:
        """Number of blocks, by which files of the networks are told apart."""
        return sum(self.stage_depths)

    @property
    def stage_depths(self) -> tuple[int, ...]:
        """Blocks of each stage."""
        if "stage_depths" in self.options:
            return tuple(self.options["stage_depths"])
        return VARIANTS[self.variant][self.model].stage_depths


def folder() -> Path:
    """The folder of the registry, the cards and the published files."""
    installed = Path(__file__).with_name("published")
    return installed if installed.is_dir() else Path(__file__).parents[2] / "weights"


@functools.cache
def entries() -> tuple[Entry, ...]:
    """All entries of the registry."""
    text = (folder() / "registry.json").read_text(encoding="utf-8")
    return tuple(Entry(**values) for values in json.loads(text)["weights"])


def is_name(weights: Any) -> bool:
    """Whether this is a name of the registry. A file of that name is meant by `./name`."""
    return any(entry.name == weights for entry in entries())


def find(name: str, model: str, variant: str | None = None) -> Entry:
    """Returns the entry of a name for a network.

    Args:
        name: a name of the registry.
        model: `"MTNetS"`, `"MTNetM"` or `"MTNetL"`.
        variant: None for whatever variant there is.

    Raises:
        ValueError: if there is none, with those that exist.
    """
    for entry in entries():
        if (entry.name, entry.model) == (name, model) and variant in (None, entry.variant):
            return entry
    wanted = f"model={model!r}" + (f", variant={variant!r}" if variant else "")
    raise ValueError(f"{_existing(name)} Received: {wanted}")


def find_blocks(name: str, variant: str | None, blocks: int) -> Entry:
    """Returns the entry of a name that fits a network of a variant with so many blocks.

    Raises:
        ValueError: if there is none, with those that exist.
    """
    for entry in entries():
        if (entry.name, entry.variant, entry.blocks) == (name, variant, blocks):
            return entry
    raise ValueError(
        f"{_existing(name)} Received: a network of variant={variant!r} with {blocks} blocks"
    )


def _existing(name: str) -> str:
    there = [e for e in entries() if e.name == name]
    listed = "; ".join(f"{e.model} of variant={e.variant!r} ({e.blocks} blocks)" for e in there)
    return f"weights={name!r} exist for {listed}."
