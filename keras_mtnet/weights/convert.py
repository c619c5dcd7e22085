"""Weights of the released networks from the authors' PyTorch checkpoints, and back."""

import dataclasses
import os
import re
from collections import Counter
from pathlib import Path

import keras

from keras_mtnet import __version__
from keras_mtnet.files import write_beside, write_text
from keras_mtnet.models.configs import RELEASED_CONFIGS, Config
from keras_mtnet.models.released import ReleasedMTNet
from keras_mtnet.weights import checkpoint, registry
from keras_mtnet.weights.cache import home
from keras_mtnet.weights.cards import card, card_name
from keras_mtnet.weights.checksum import sha256_of, write_sha256
from keras_mtnet.weights.load import identify, load_weights
from keras_mtnet.weights.registry import Entry
from keras_mtnet.weights.state_dict import StateDict, from_state_dict, to_state_dict

# What a classifier of each data set is wide.
DATASETS = {
    "hacs": 200,
    "kinetics400": 400,
    "kinetics700": 700,
    "moments": 339,
    "ucf101": 101,
    "hmdb51": 51,
}


def convert_weights(
    source: str | os.PathLike,
    model: str,
    dataset: str = "hacs",
    output: str | os.PathLike | None = None,
) -> Path:
    """Converts weights of the released networks between PyTorch and Keras.

    A PyTorch checkpoint becomes a `.weights.h5` file with its checksum and a card beside it; every
    key and every shape must be that of the network, and the classifier as wide as the data set
    has classes. Nothing in the checkpoint is executed. Anything else that `weights=` takes becomes
    a state dict for the authors' network.

    Args:
        source: a checkpoint (`.pth`, `.pt`, `.tar`, `.ckpt`, `.bin`, `.safetensors`), or weights
            of `MTNetS(variant="released")`, M or L: a file, a run's folder, or a name as `"hacs"`.
        model: `"MTNetS"`, `"MTNetM"` or `"MTNetL"`.
        dataset: what the checkpoint was trained on, a key of `DATASETS`.
        output: file to write. For a checkpoint of the registry it may be None: the file then goes
            where `weights="hacs"` finds it.

    Returns:
        The file that was written.

    Raises:
        FileNotFoundError: if there is no such source.
        ValueError: if the source is damaged or is not what the arguments say, naming both.
        ImportError: if PyTorch or safetensors is missing.
    """
    for name, value, choices in (
        ("model", model, RELEASED_CONFIGS),
        ("dataset", dataset, DATASETS),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}. Received: {value!r}")
    if os.fspath(source).endswith(checkpoint.ENDINGS):
        return _from_torch(Path(source), model, dataset, output)
    return _to_torch(source, model, output)


def _from_torch(source: Path, model: str, dataset: str, output: str | os.PathLike | None) -> Path:
    entry = _entry(model, dataset)
    if output is None and not entry.name:
        raise ValueError(
            f"The registry has no weights of {model} on {dataset}, so name a file: output=..."
        )
    target = home() / entry.file if output is None else Path(output)
    if not target.name.endswith(".weights.h5"):
        raise ValueError(f"The output must end in .weights.h5. Received: {target}")
    state = checkpoint.read_checkpoint(source)
    _check_model(source, state, model)
    _check_head(source, state, dataset)
    network = _network(RELEASED_CONFIGS[model], DATASETS[dataset])
    from_state_dict(network, state)

    target.parent.mkdir(parents=True, exist_ok=True)
    with write_beside(target) as beside:
        network.save_weights(beside)
        entry = dataclasses.replace(
            entry,
            name=entry.name if output is None else "",  # a name finds its own file only
            file=target.name,
            sha256=sha256_of(beside),
            size_bytes=beside.stat().st_size,
        )
        made = (
            f"converted by keras-mtnet {__version__} from `{source.name}`, whose SHA-256 is "
            f"`{sha256_of(source)}`, which nobody states for the published checkpoint: whether it "
            "is that one could not be checked"
        )
        write_text(target.with_name(card_name(target.name)), card(entry, made))
        write_sha256(target, entry.sha256)
    return target


def _to_torch(source: str | os.PathLike, model: str, output: str | os.PathLike | None) -> Path:
    if output is None or not os.fspath(output).endswith(checkpoint.ENDINGS):
        raise ValueError(
            "From Keras to PyTorch, name an output that ends in .pth or .safetensors. (PyTorch "
            f"checkpoints end in {', '.join(checkpoint.ENDINGS)}.) Received: "
            f"source={os.fspath(source)!r}, output={output}"
        )
    network = _network(RELEASED_CONFIGS[model], identify(source, model).classes)
    load_weights(network, source)
    checkpoint.write_checkpoint(Path(output), to_state_dict(network))
    return Path(output)


def _network(config: Config, classes: int | None) -> keras.Model:
    return ReleasedMTNet(
        config.stage_filters,
        config.stage_depths,
        include_top=classes is not None,
        classes=classes or 1,
        name=config.name,
        dtype="float32",
    )


def _entry(model: str, dataset: str) -> Entry:
    """What the registry knows of the checkpoint, or that it knows nothing."""
    for entry in registry.entries():
        if (entry.model, entry.dataset, entry.variant) == (model, dataset, "released"):
            return entry
    config = RELEASED_CONFIGS[model]
    return Entry(
        name="",
        model=model,
        variant="released",
        dataset=dataset,
        classes=DATASETS[dataset],
        frames=config.frames,
        size=config.size,
        file="",
        preprocessing="not known",
        notes="The registry does not list this checkpoint: nothing else is known of it.",
    )


def _check_model(source: Path, state: StateDict, model: str) -> None:
    """Compares the number of blocks of each stage, before every key is: it says more."""
    blocks = {match[0] for key in state if (match := re.match(r"layer(\d+)\.\d+\.", key))}
    counts = Counter(int(block.split(".")[0].removeprefix("layer")) for block in blocks)
    found = tuple(counts[stage] for stage in sorted(counts))
    wanted = RELEASED_CONFIGS[model].stage_depths
    if found and found != wanted:
        names = [name for name, c in RELEASED_CONFIGS.items() if c.stage_depths == found]
        raise ValueError(
            f"{source} is {' or '.join(names) or 'another network'}, with blocks {found}. "
            f"Received: model={model!r}, with blocks {wanted}"
        )


def _check_head(source: Path, state: StateDict, dataset: str) -> None:
    """One published checkpoint is known to carry 400 classes under the name of 200."""
    if "fc.weight" in state and len(state["fc.weight"]) != DATASETS[dataset]:
        rows = len(state["fc.weight"])
        others = [name for name, classes in DATASETS.items() if classes == rows]
        hint = f" Was it trained on {' or '.join(others)}?" if others else ""
        raise ValueError(
            f"{source} has a classifier of {rows} classes, but {dataset} has "
            f"{DATASETS[dataset]}. Received: dataset={dataset!r}.{hint}"
        )
