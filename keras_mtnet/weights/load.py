"""Loading weights into a network, with or without its classifier."""

import contextlib
import json
import os
import re
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
from absl import logging

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.layers.clip_normalization import ClipNormalization
from keras_mtnet.presets import PRESETS, Preset, of_checkpoint
from keras_mtnet.weights import packaged
from keras_mtnet.weights.hub import locate, locate_preset

HEAD = "predictions"  # the one layer that depends on the number of classes, in every network
DEEPEST = 32  # levels of groups; Keras writes fewer than 10
LARGEST = 1 << 28  # numbers in one tensor
LARGEST_FILE = 4 << 30  # bytes

# Keras' key of a layer, as "conv3d_2", to its name and the shapes of its tensors.
Layout = dict[str, tuple[str, list[tuple[int, ...]]]]


def load_weights(model: keras.Model, weights: str | os.PathLike | Preset) -> list[str]:
    """Loads weights into a network.

    If the file was trained on another number of classes, everything but the classifier is loaded,
    and the classifier is re-initialized; a network without a classifier takes everything else. A
    warning names the layers that were left out.

    Args:
        model: a network of this package.
        weights: path of a `.weights.h5` or `.keras` file or of a run's folder;
            `hf://user/repo/file`; an http(s) address; a `Preset` or, where the model has the name
            that its builder gives, the name of one, as `"hacs"`.

    Returns:
        Names of the layers that were left out: empty, or those of the file's classifier.

    Raises:
        FileNotFoundError: if there is no such file; for presets, with how to get it.
        ValueError: if the file is not what it should be, or belongs to another network.
        ImportError, OSError: if it cannot be downloaded.

    Example:

    >>> import tempfile, keras_mtnet as mt
    >>> path = tempfile.mkdtemp() + "/five.weights.h5"
    >>> mt.MTNet((8,), (1,), classes=5).save_weights(path)
    >>> mt.weights.load_weights(mt.MTNet((8,), (1,), classes=3), path)
    ['predictions']
    """
    preset = weights if isinstance(weights, Preset) else _preset_of(model, weights)
    if preset is not None and (path := packaged.locate_checkpoint(preset)) is not None:
        _check_normalization(path, model, vars(preset.normalization))
        left_out = packaged.fill(model, path, preset, HEAD)
    else:
        path = locate_preset(preset) if preset else locate(weights)  # type: ignore[arg-type]
        left_out = _load_file(model, path, preset)
    for name, shapes in left_out.items():
        logging.warning("%s: left out %s, of shapes %s.", path, name, shapes)
    if HEAD in left_out and any(layer.name == HEAD for layer in model.layers):
        logging.warning(
            "The classification head of %s is re-initialized: the file was trained on other "
            "classes.",
            model.name,
        )
    return list(left_out)


def _load_file(
    model: keras.Model, path: Path, preset: Preset | None
) -> dict[str, list[tuple[int, ...]]]:
    """Fills a network from a Keras file. Returns the layers that were left out, with shapes."""
    with _opened(path) as (hdf5, stored, network, config):
        left_out = _compare(path, network, stored, model.name, _layout_of(model))
        # What a file does not say, the preset does.
        found = config if preset is None else vars(preset.normalization)
        _check_normalization(path, model, found)
        before = model.get_weights()
        try:
            _load(model, hdf5, left_out)
        except Exception as error:  # HDF5 and Keras stumble over damage in many ways
            model.set_weights(before)  # Keras may have loaded a part
            raise ValueError(
                f"{path} is damaged, or holds the weights of another network than {model.name} "
                "with these options."
            ) from error
    if not left_out:
        _take_clip_spec(model, config)
    return left_out


def stored_classes(weights: str | os.PathLike) -> int | None:
    """Width of the classifier in a file of weights; None without one. See `load_weights`."""
    with _opened(locate(weights)) as (_, stored, _, _):
        heads = [shapes for name, shapes in stored.values() if name == HEAD]
    return heads[0][0][-1] if heads else None


def _preset_of(model: keras.Model, weights: str | os.PathLike) -> Preset | None:
    """The preset that a name means for a model, told by the model's own name."""
    if (preset := of_checkpoint(weights)) is not None:
        return preset
    there = [preset for preset in PRESETS.values() if preset.weights == weights]
    plain = model.name.replace("_", "").lower()
    for preset in there:
        if preset.model.lower() == plain:
            return preset
    if not there:
        return None
    names = ", ".join(preset.model for preset in there)
    raise ValueError(
        f"weights={weights!r} exist for {names}, and the name of the model, {model.name!r}, tells "
        f"none of them. Pass keras_mtnet.presets.find({there[0].model!r}, {weights!r}), or name "
        "the model as its builder does."
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Path, Layout, str, dict[str, Any]]]:
    """Yields the HDF5 file that `path` is, or holds, its layout, and the name of its network.

    Last comes the configuration of its `ClipNormalization`, where a `.keras` file tells it.
    """
    with contextlib.ExitStack() as stack:
        try:
            hdf5, config = path, dict[str, Any]()
            if path.suffix == ".keras":
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                hdf5, config = _unpack(path, Path(folder))
            with h5py.File(hdf5) as file:
                _check_contained(file)
                stored = _layout_in(file)
                network = str(file["vars"].attrs.get("name", "?")) if "vars" in file else "?"
        except Exception as error:  # HDF5 and zip stumble over damage in many ways
            raise ValueError(f"{path} is damaged, or no file of Keras weights: {error}") from error
        yield hdf5, stored, network, config


def _unpack(path: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Takes the weights out of a `.keras` file, and reads how it normalizes; runs nothing."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.file_size > LARGEST_FILE:
                raise ValueError(f"{info.filename} would be {info.file_size} bytes")
        hdf5 = Path(archive.extract("model.weights.h5", folder))
        if "config.json" not in archive.namelist():
            return hdf5, {}
        return hdf5, _normalization_in(json.loads(archive.read("config.json"))) or {}


def _normalization_in(config: Any) -> dict[str, Any] | None:
    """The configuration of the first `ClipNormalization` in that of a model."""
    if isinstance(config, dict):
        if config.get("class_name") == ClipNormalization.__name__:
            return config["config"]
        config = list(config.values())
    if isinstance(config, list):
        return next(filter(None, map(_normalization_in, config)), None)
    return None


def _check_contained(group: h5py.Group, depth: int = 0) -> None:
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
            _check_contained(item, depth + 1)
        elif item.external or item.is_virtual:
            raise ValueError(f"{name!r} keeps its data elsewhere")
        elif item.size > LARGEST:
            raise ValueError(f"{name!r} of shape {item.shape} is no weight of a network")


def _layout_in(file: h5py.File) -> Layout:
    layout: Layout = {}
    for key, group in file["layers"].items():
        shapes: list[tuple[int, ...]] = []
        _collect_shapes(group, shapes)
        if shapes:
            layout[key] = (str(group["vars"].attrs["name"]), sorted(shapes))
    return layout


def _collect_shapes(group: h5py.Group, shapes: list[tuple[int, ...]]) -> None:
    for name, item in group.items():
        if isinstance(item, h5py.Dataset):
            shapes.append(item.shape)
        elif not name.startswith("seed_generator"):  # no weights, and not always written
            _collect_shapes(item, shapes)


def _layout_of(model: keras.Model) -> Layout:
    layout: Layout = {}
    counts: Counter[str] = Counter()
    for layer in model.layers:
        kind = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
        kind = re.sub("([a-z])([A-Z])", r"\1_\2", kind).lower()  # as Keras names it in files
        key = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
        if layer.weights:
            layout[key] = (layer.name, sorted(tuple(weight.shape) for weight in layer.weights))
    return layout


def _compare(
    path: Path, network: str, stored: Layout, name: str, wanted: Layout
) -> dict[str, list[tuple[int, ...]]]:
    """What of a file stays out: nothing, or its classifier.

    Keras fills layers by their order and does not mind what is left over in the file.

    Raises:
        ValueError: if anything else differs, naming both networks and the first difference.
    """
    differing = [key for key in wanted if stored.get(key) != wanted[key]]
    left_over = [key for key in stored if key not in wanted]
    if [wanted[key][0] for key in differing] == [HEAD] and not left_over:
        head = stored.get(differing[0])
        if head is not None and head[0] == HEAD:
            return {HEAD: head[1]}
        raise ValueError(
            f"{path} holds no classifier, but {name} has one. Build it with include_top=False."
        )
    tops = [key for key in left_over if stored[key][0].startswith((HEAD, "head_"))]
    has_head = any(layer == HEAD for layer, _ in wanted.values())
    if not differing and left_over == tops and not (left_over and has_head):
        return {stored[key][0]: stored[key][1] for key in tops}
    key = (differing + left_over)[0]
    raise ValueError(
        f"{path} holds the weights of another network than {name}: {network!r} with "
        f"{_describe(stored)}, where {name!r} has {_describe(wanted)}. First difference: {key} is "
        f"{_only(stored, wanted, key)} in the file and {_only(wanted, stored, key)} in the model. "
        "Build the model with the arguments that the file was trained with."
    )


def _only(layout: Layout, other: Layout, key: str) -> str:
    """A layer with the first shapes that the same layer of another layout has not."""
    if key not in layout:
        return "missing"
    name, shapes = layout[key]
    differing = sorted((Counter(shapes) - Counter(other.get(key, ("", []))[1])).elements())
    return f"{name!r} of {len(shapes)} tensors, as {differing[:2]}" if differing else repr(name)


def _describe(layout: Layout) -> str:
    """5 mt_block, 2 dense, ..."""
    kinds = Counter(re.sub(r"_\d+$", "", key) for key in layout)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(4))


def _load(model: keras.Model, path: Path, left_out: dict[str, Any]) -> None:
    if HEAD in left_out and any(layer.name == HEAD for layer in model.layers):
        # All but the classifier, strictly: whatever else differs is still an error.
        model = keras.Model(model.inputs, model.get_layer(HEAD).input)
    with warnings.catch_warnings():  # Keras warns of bookkeeping that holds no weights
        warnings.filterwarnings("ignore", message="Skipping nested container")
        model.load_weights(path)


def _normalization_of(model: keras.Model) -> ClipNormalization | None:
    return next((layer for layer in model.layers if isinstance(layer, ClipNormalization)), None)


def _check_normalization(path: Path, model: keras.Model, found: dict[str, Any]) -> None:
    """Raises ValueError if a network normalizes clips otherwise than its weights expect."""
    layer = _normalization_of(model)
    if layer is None or layer.mean is None or found.get("mean") is None:
        return
    names = ("mean", "std", "channel_order")
    theirs = tuple(tuple(v) if isinstance(v := found[name], list) else v for name in names)
    ours = tuple(getattr(layer, name) for name in names)
    if ours != theirs:
        raise ValueError(
            f"{path} expects clips normalized with (mean, std, channel_order) = {theirs}; "
            f"{model.name} normalizes with {ours}. Build the model as the file's was, or load the "
            "file itself: keras_mtnet.load_model."
        )


def _take_clip_spec(model: keras.Model, config: dict[str, Any]) -> None:
    """Takes over what a `.keras` file knows of its clips, where the model knows nothing."""
    layer = _normalization_of(model)
    if layer is not None and layer.clip_spec == ClipSpec() and config.get("clip_spec"):
        layer.clip_spec = ClipSpec(**config["clip_spec"])
