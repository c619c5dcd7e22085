"""Published checkpoints to Keras files, and back to PyTorch."""

import os
from pathlib import Path
from typing import Any

from absl import logging

from keras_mtnet.models import VideoModel, build
from keras_mtnet.presets import PresetTable, find, list_presets, lookup
from keras_mtnet.weights.hub import cache_folder, save_converted, sha256_of
from keras_mtnet.weights.i3d import adapt_state, is_tensorflow, read_published
from keras_mtnet.weights.load import load_weights, stored_classes
from keras_mtnet.weights.torch import (
    ENDINGS,
    choose_rules,
    classes_of,
    from_state_dict,
    to_state_dict,
    write_checkpoint,
)


def convert_weights(
    source: str | os.PathLike,
    model: str,
    weights: str | None = None,
    output: str | os.PathLike | None = None,
    **options: Any,
) -> Path:
    """Converts weights between PyTorch and Keras.

    A PyTorch checkpoint becomes a `.weights.h5` file with its checksum beside it; every key and
    every shape must be that of the network. Nothing in the checkpoint is executed. Anything else
    that `weights=` takes becomes a state dict for the network's published code.

    Args:
        source: a checkpoint (`.pth`, `.pt`, `.pyth`, `.tar`, `.ckpt`, `.bin`, `.safetensors`; of
            I3D also DeepMind's TensorFlow checkpoint), or Keras weights: a file, a run's folder,
            or the name of a preset, as `"hacs"`.
        model: name of the builder, as `"MTNetM"`.
        weights: the preset that the checkpoint belongs to. None means the only one of the model,
            the one whose checkpoint has this file's name, or, with `output`, a checkpoint of your
            own training.
        output: file to write. None, for the checkpoint of a preset, writes where
            `weights="hacs"` finds it.
        **options: arguments of the builder, as `variant="released"`; those of the preset by
            default.

    Returns:
        The file that was written.

    Raises:
        FileNotFoundError: if there is no such source.
        ValueError: if the source is damaged or is not what the arguments say, naming both.
        ImportError: if PyTorch or safetensors is missing.
    """
    if is_tensorflow(Path(source)):
        source = f"{os.fspath(source).removesuffix('.index')}.index"
        return _from_published(Path(source), model, weights, output, options)
    if os.fspath(source).endswith(ENDINGS):
        return _from_published(Path(source), model, weights, output, options)
    return _to_torch(source, model, output, options)


def _from_published(
    source: Path,
    model: str,
    weights: str | None,
    output: str | os.PathLike | None,
    options: dict[str, Any],
) -> Path:
    known = list_presets(model)
    if weights is not None:
        known = PresetTable([find(model, weights)])
    elif len(named := [row for row in known if Path(row.checkpoint).name == source.name]) == 1:
        known = PresetTable(named)
    if output is None and len(known) != 1:
        names = ", ".join(repr(preset.weights) for preset in known) or "none"
        raise ValueError(
            f"Name the preset of the checkpoint, weights=... ({names} of {model}), or a file to "
            "write, output=..."
        )
    preset = known[0] if weights is not None or output is None else None
    target = cache_folder() / known[0].file if output is None else Path(output)
    if not target.name.endswith(".weights.h5"):
        raise ValueError(f"output must end in .weights.h5. Received: output={str(target)!r}")
    state = read_published(source)
    options = {**(preset.options if preset else {}), **options}
    network = _network(model, preset.classes if preset else 1, options)
    if "pytorch-i3d" in network.torch_keys:
        state = adapt_state(state)
    rules = choose_rules(network, state)
    classes = classes_of(state, rules)
    if preset is not None and classes not in (None, preset.classes):
        raise ValueError(
            f"{source} has a classifier of {classes} classes, but weights={preset.weights!r} of "
            f"{model} have {preset.classes}. If it was trained on other data, name an output."
        )
    if preset is None and classes is not None:
        network = _network(model, classes, options)
    from_state_dict(network, state, rules)
    save_converted(network, target)
    logging.info("%s was converted from %s, sha256 %s.", target, source, sha256_of(source))
    return target


def _to_torch(
    source: str | os.PathLike, model: str, output: str | os.PathLike | None, options: dict[str, Any]
) -> Path:
    if output is None or not os.fspath(output).endswith(ENDINGS):
        raise ValueError(
            "From Keras to PyTorch, name an output that ends in .pth or .safetensors. (PyTorch "
            f"checkpoints end in {', '.join(ENDINGS)}.) Received: source={os.fspath(source)!r}, "
            f"output={output}"
        )
    preset = lookup(model, source)
    options = {**(preset.options if preset else {}), **options}
    network = _network(model, preset.classes if preset else stored_classes(source), options)
    load_weights(network, preset or source)
    rules = next(iter(network.torch_keys.values()))
    write_checkpoint(Path(output), to_state_dict(network, rules))
    return Path(output)


def _network(model: str, classes: int | None, options: dict[str, Any]) -> VideoModel:
    """The network that has published code: with the options of its first preset, if any."""
    usual = next((dict(preset.options) for preset in list_presets(model)), {})
    options = {**usual, **options}
    top = {"include_top": classes is not None, "classes": classes or 1}
    network = build(model, **top, dtype="float32", **options)
    if not network.torch_keys:
        raise ValueError(f"No published PyTorch code of {model} with options {options} is known.")
    return network
