"""Loading weights into a network, with or without its classifier."""

import os
import warnings

import keras
from absl import logging

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
    try:
        _load(model, path)
        return []
    except (ValueError, KeyError, OSError) as error:
        if not any(layer.name == HEAD for layer in model.layers):
            raise _does_not_fit(model, path) from error
    # All but the classifier, strictly: whatever else differs is still an error.
    backbone = keras.Model(model.input, model.get_layer(HEAD).input)
    try:
        _load(backbone, path)
    except (ValueError, KeyError, OSError) as error:
        raise _does_not_fit(model, path) from error
    logging.warning(
        "%s was trained for another number of classes: layer %r of %s keeps its new random weights "
        "for %d classes.",
        *(path, HEAD, model.name, model.output_shape[-1]),
    )
    return [HEAD]


def _load(model: keras.Model, path: str) -> None:
    with warnings.catch_warnings():  # Keras warns of bookkeeping that holds no weights
        warnings.filterwarnings("ignore", message="Skipping nested container")
        model.load_weights(path)


def _does_not_fit(model: keras.Model, path: str) -> ValueError:
    return ValueError(
        f"{path} is damaged, or holds the weights of another network than {model.name} with these "
        "options. Build the model with the file's own stage_filters, stage_depths, ratio and cell."
    )
