"""Which network a file of weights belongs to, read from the file itself."""

import dataclasses
import re

import h5py
import keras

from keras_mtnet.layers.mt_block import MTBlock
from keras_mtnet.layers.two_stream_mt_block import TwoStreamMTBlock
from keras_mtnet.models.configs import VARIANTS

HEAD = "predictions"  # the one layer that depends on the number of classes
TOP = ("head_fc", HEAD)  # dense layers at the end; the released networks have the second alone
# Keras names the parts of a file after the class of the layer.
_BLOCKS = {"paper": (MTBlock, "mt_block"), "released": (TwoStreamMTBlock, "two_stream_mt_block")}

DEEPEST = 32  # levels of groups; Keras writes fewer than 10
LARGEST = 1 << 28  # numbers in one tensor


@dataclasses.dataclass(frozen=True)
class Identity:
    """What tells the networks of this package apart.

    Attributes:
        variant: `"paper"`, `"released"`, or None where there is no block of either.
        blocks: how many blocks.
        classes: width of the classifier, None without one.
        top: tensors of the dense layers at the end, as text; only read from files.
    """

    variant: str | None
    blocks: int
    classes: int | None
    top: dict[str, str] = dataclasses.field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        if self.variant is None:
            return "no MTNet"
        models = [
            model
            for model, config in VARIANTS[self.variant].items()
            if sum(config.stage_depths) == self.blocks
        ]
        name = " or ".join(models) or "an MTNet"
        return f"{name} of variant={self.variant!r} ({self.blocks} blocks)"


def of_model(model: keras.Model) -> Identity:
    """Returns the identity of a network."""
    counts = {
        variant: sum(isinstance(layer, block) for layer in model.layers)
        for variant, (block, _) in _BLOCKS.items()
    }
    variant = max(counts, key=counts.get)
    head = next((layer for layer in model.layers if layer.name == HEAD), None)
    return Identity(
        variant if counts[variant] else None, counts[variant], None if head is None else head.units
    )


def of_file(file: h5py.File) -> Identity:
    """Returns the identity of what an open `.weights.h5` file holds."""
    layers = file.get("layers", {})
    counts = {
        variant: sum(re.fullmatch(rf"{name}(_\d+)?", key) is not None for key in layers)
        for variant, (_, name) in _BLOCKS.items()
    }
    variant = max(counts, key=counts.get)
    dense = sorted(  # dense, dense_1, ..., dense_10
        (key for key in layers if re.fullmatch(r"dense(_\d+)?", key)),
        key=lambda key: (len(key), key),
    )
    names = dict(zip(reversed(dense), reversed(TOP), strict=False))
    top, classes = {}, None
    for key in dense:
        tensors = layers[key]["vars"]
        name = tensors.attrs.get("name", names.get(key, key))  # old Keras wrote no names
        parts = zip(("kernel", "bias"), tensors.values(), strict=False)
        top[name] = ", ".join(f"{name}/{part} {tensor.shape}" for part, tensor in parts)
        classes = tensors["0"].shape[-1]
    return Identity(variant if counts[variant] else None, counts[variant], classes, top)


def check_contained(group: h5py.Group, depth: int = 0) -> None:
    """Raises ValueError if a file points at data outside itself, or holds absurdly much."""
    if depth > DEEPEST:
        raise ValueError(f"its groups are nested more than {DEEPEST} deep")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name!r} is a link to elsewhere")
        item = group[name]
        if h5py.h5o.get_info(item.id).rc > 1:  # groups in a ring would never end
            raise ValueError(f"{name!r} is in it more than once")
        if isinstance(item, h5py.Group):
            check_contained(item, depth + 1)
        elif item.external or item.is_virtual:
            raise ValueError(f"{name!r} keeps its data elsewhere")
        elif item.size > LARGEST:
            raise ValueError(f"{name!r} of shape {item.shape} is no weight of a network")
