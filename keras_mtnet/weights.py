"""Loading weights into a network, with or without its classifier."""

import os
import warnings

import h5py
import keras
from absl import logging

from keras_mtnet.layers import MTBlock

HEAD = "predictions"  # the one layer that depends on the number of classes


def load_weights(model: keras.Model, path: str | os.PathLike) -> list[str]:
    """Loads a `.weights.h5` file into a network.

    Where the file's classifier has another number of classes than the model's, everything but the
    classifier is loaded; the classifier keeps its random weights, and a warning says so.

    Args:
        model: a network of this package.
        path: file written by `model.save_weights` from the same network.

    Returns:
        Names of the layers that were left out: empty, or the classifier's.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not a Keras weights file, or belongs to another network.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"weights={path!r} is not a file. Pass the path of a .weights.h5 file, or None for "
            "random weights."
        )
    if not path.endswith(".weights.h5"):
        raise ValueError(
            f"weights must be a file that ends in .weights.h5 (model.save_weights writes one). "
            f"Received: {path!r}"
        )
    before = model.get_weights()
    try:
        left_out = _load_what_fits(model, path)
    except (ValueError, KeyError, OSError) as error:
        model.set_weights(before)  # Keras may have loaded a part
        raise ValueError(
            f"{path} is damaged, or holds the weights of another network than {model.name} with "
            "these options. Build the model with the file's own stage_filters, stage_depths, "
            "ratio and cell."
        ) from error
    if left_out:
        logging.warning(
            "%s was trained for another number of classes: layer %r of %s keeps its new random "
            "weights for %d classes.",
            *(path, HEAD, model.name, model.output_shape[-1]),
        )
    return left_out


def _load_what_fits(model: keras.Model, path: str) -> list[str]:
    _check_blocks(model, path)
    try:
        _load(model, path)
        return []
    except (ValueError, KeyError):
        if not any(layer.name == HEAD for layer in model.layers):
            raise
    # All but the classifier, strictly: whatever else differs is still an error.
    _load(keras.Model(model.input, model.get_layer(HEAD).input), path)
    return [HEAD]


def _check_blocks(model: keras.Model, path: str) -> None:
    """Keras fills layers in their order and does not mind what is left over in the file."""
    with h5py.File(path) as file:
        stored = sum(name.startswith("mt_block") for name in file.get("layers", ()))
    blocks = sum(isinstance(layer, MTBlock) for layer in model.layers)
    if stored != blocks:
        raise ValueError(f"the file has {stored} blocks, the model {blocks}")


def _load(model: keras.Model, path: str) -> None:
    with warnings.catch_warnings():  # Keras warns of bookkeeping that holds no weights
        warnings.filterwarnings("ignore", message="Skipping nested container")
        model.load_weights(path)
