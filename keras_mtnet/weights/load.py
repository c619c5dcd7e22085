"""Loading weights into a network, with or without its classifier."""

import contextlib
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
from absl import logging

from keras_mtnet.weights import identity, registry
from keras_mtnet.weights.cache import locate, locate_entry
from keras_mtnet.weights.checksum import verify
from keras_mtnet.weights.download import LARGEST
from keras_mtnet.weights.identity import HEAD, Identity


def load_weights(model: keras.Model, weights: str | os.PathLike) -> list[str]:
    """Loads weights into a network.

    Where the file's classifier has another number of classes than the model's, everything but the
    classifier is loaded, and the classifier keeps its random weights; a network without a
    classifier takes everything else. A warning names the tensors that were left out.

    Args:
        model: a network of this package.
        weights: path of a `.weights.h5` or `.keras` file or of a run's folder;
            `hf://user/repo/file`, an http(s) address, or a name of the registry as `"hacs"`.

    Returns:
        Names of the layers that were left out: empty, or those of the file's classifier.

    Raises:
        FileNotFoundError: if there is no such file; for names of the registry, with how to get it.
        ValueError: if the file is not what it should be, or belongs to another network.
        OSError: if it cannot be downloaded.
    """
    wanted = identity.of_model(model)
    if registry.is_name(weights):
        entry = registry.find_blocks(weights, wanted.variant, wanted.blocks)
        path = locate_entry(entry)
        verify(path, entry.sha256)
        if entry.preprocessing:
            logging.warning("weights=%r expect other clips. %s", weights, entry.preprocessing)
    else:
        path = locate(weights)
        verify(path)
    with _opened(path) as (hdf5, stored):
        _check_network(path, stored, model.name, wanted)
        before = model.get_weights()
        try:
            left_out = _load_what_fits(model, hdf5, wanted, stored)
        except Exception as error:  # HDF5 and Keras stumble over damage in many ways
            model.set_weights(before)  # Keras may have loaded a part
            raise ValueError(
                f"{path} is damaged, or holds the weights of another network than {model.name} "
                "with these options. Build the model with the file's own stage_filters, "
                "stage_depths, ratio and cell."
            ) from error
    _say_left_out(path, model, stored, wanted, left_out)
    return left_out


def choose_variant(
    model: str, variant: str | None, weights: str | os.PathLike | None
) -> str | None:
    """Returns the variant of a network that weights were trained for.

    Args:
        model: `"MTNetS"`, `"MTNetM"`, `"MTNetL"`; `"MTNet"` has no variants.
        variant: the variant asked for; None for that of the weights.
        weights: as in `load_weights`. The file of a name need not be there.

    Returns:
        `"paper"`, `"released"`, or, if nothing decides it, None.

    Raises:
        ValueError: if the weights are of another variant than the one asked for.
        OSError: as `load_weights` does.
    """
    if weights is None or model == "MTNet":
        return variant
    if registry.is_name(weights):
        return registry.find(weights, model, variant).variant
    stored = identify(weights, model)
    if variant and stored.variant and variant != stored.variant:
        raise ValueError(f"weights={weights!r} are of {stored}. Received: variant={variant!r}")
    return variant or stored.variant


def check_name(
    model: str,
    variant: str | None,
    weights: str | os.PathLike | None,
    include_top: bool,
    classes: int,
) -> None:
    """Refuses, before a network is built, a name of the registry that it cannot take.

    Args:
        model, variant, weights: as in `choose_variant`. Other weights than names always pass.
        include_top, classes: of the network to be built.

    Raises:
        ValueError: if a classifier has another number of classes than the one of the registry.
        FileNotFoundError: if the file is not there; says how to get it.
    """
    if not registry.is_name(weights):
        return
    entry = registry.find(weights, model, variant)
    if include_top and classes != entry.classes:
        raise ValueError(
            f"weights={weights!r} of {model} come with a classifier of {entry.classes} classes "
            f"({entry.dataset}). Received: classes={classes}. Build with classes={entry.classes} "
            f"or include_top=False; for a new classifier on them, build {model}(variant="
            f"{entry.variant!r}, classes={classes}) and call "
            f"keras_mtnet.weights.load_weights(model, {weights!r})."
        )
    locate_entry(entry)


def identify(weights: str | os.PathLike, model: str) -> Identity:
    """Returns whose weights these are, without loading them.

    Args:
        weights: as in `load_weights`.
        model: `"MTNetS"`, `"MTNetM"` or `"MTNetL"`, for names of the registry.

    Raises:
        ValueError, OSError: as `load_weights` does.
    """
    if registry.is_name(weights):
        entry = registry.find(weights, model)
        return Identity(entry.variant, entry.blocks, entry.classes)
    with _opened(locate(weights)) as (_, stored):
        return stored


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Path, Identity]]:
    """Gives the `.weights.h5` file that `path` is, or holds, and whose weights these are."""
    with contextlib.ExitStack() as stack:
        try:
            hdf5 = path
            if path.suffix == ".keras":
                hdf5 = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "model.weights.h5"
                _unpack(path, hdf5)
            with h5py.File(hdf5) as file:
                identity.check_contained(file)
                stored = identity.of_file(file)
        except Exception as error:  # HDF5 and zip stumble over damage in many ways
            raise ValueError(f"{path} is damaged, or no file of Keras weights: {error}") from error
        yield hdf5, stored


def _unpack(path: Path, target: Path) -> None:
    """Takes the weights, and nothing else, out of a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(target.name).file_size
        if size > LARGEST:
            raise ValueError(f"{target.name} would be {size} bytes")
        with archive.open(target.name) as source, open(target, "wb") as file:
            shutil.copyfileobj(source, file)


def _check_network(path: Path, stored: Identity, name: str, wanted: Identity) -> None:
    """Keras fills layers in their order and does not mind what is left over in the file."""
    if (stored.variant, stored.blocks) != (wanted.variant, wanted.blocks):
        raise ValueError(f"{path} holds the weights of {stored}, but {name} is {wanted}.")
    if wanted.classes is not None and stored.classes is None:
        raise ValueError(
            f"{path} holds no classifier, but {name} has one of {wanted.classes} classes. Build it "
            "with include_top=False."
        )


def _load_what_fits(
    model: keras.Model, path: Path, wanted: Identity, stored: Identity
) -> list[str]:
    if wanted.classes is None:
        _load(model, path)
        return list(stored.top)
    if wanted.classes == stored.classes:
        _load(model, path)
        return []
    # All but the classifier, strictly: whatever else differs is still an error.
    _load(keras.Model(model.input, model.get_layer(HEAD).input), path)
    return [HEAD]


def _load(model: keras.Model, path: Path) -> None:
    with warnings.catch_warnings():  # Keras warns of bookkeeping that holds no weights
        warnings.filterwarnings("ignore", message="Skipping nested container")
        model.load_weights(path)


def _say_left_out(
    path: Path, model: keras.Model, stored: Identity, wanted: Identity, left_out: list[str]
) -> None:
    if not left_out:
        return
    tensors = list(stored.top.values())[-len(left_out) :]
    if wanted.classes is None:
        logging.warning(
            "%s: left out, as %s has no classifier: %s.", path, model.name, ", ".join(tensors)
        )
    else:
        logging.warning(
            "%s was trained for %d classes: left out %s. Layer %r of %s keeps its new random "
            "weights for %d classes.",
            *(path, stored.classes, tensors[0], HEAD, model.name, wanted.classes),
        )
