"""Everything that training consists of between two steps, in one file per step.

A file holds the weights, the optimizer with its loss scale, the states of random generators, the
metrics so far, and where training stands. It is a NumPy archive of plain arrays, checksummed and
never executed.
"""

import dataclasses
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mtnet.files import write_beside

PARTS = ("model", "optimizer", "metrics")
_NAME = re.compile(r"step-(\d{9})\.npz")


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or belongs to another network."""


@dataclasses.dataclass
class TrainingState:
    """The position in a training."""

    epoch: int = 0  # that it is in, from 0
    batch: int = 0  # batches of this epoch that are done
    step: int = 0  # batches that are done in all epochs
    # Values of each finished epoch by name, as in `keras.callbacks.History`, and its number.
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    epochs: list[int] = dataclasses.field(default_factory=list)
    callbacks: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # their counters
    stopped: bool = False  # by a callback, before its last epoch


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file."""

    path: Path
    state: TrainingState
    arrays: dict[str, np.ndarray]  # values by part, position and variable

    def restore(self, model: keras.Model, parts: Iterable[str] = PARTS) -> None:
        """Gives `parts` of what the file holds to a model, compiled like the one that was saved.

        Raises:
            CheckpointError: if the file is of another network. Nothing is changed then.
        """
        parts = tuple(parts)
        variables = dict(_variables(model, parts))
        arrays = {k: v for k, v in self.arrays.items() if k.split("/")[0] in parts and "@" not in k}
        for name in sorted(variables.keys() ^ arrays.keys()):
            where = "the model" if name in variables else "the checkpoint"
            raise CheckpointError(f"{self.path} is of another network: only {where} has {name}")
        for name, array in arrays.items():
            if array.shape != tuple(variables[name].shape):
                raise CheckpointError(
                    f"{self.path} is of another network: {name} has shape {array.shape} there and "
                    f"{tuple(variables[name].shape)} here"
                )
        for name, array in arrays.items():
            variables[name].assign(array)
            for number, copy in enumerate(_copies(variables[name])):
                copy.assign(self.arrays.get(f"{name}@{number}", array))


def save_checkpoint(
    folder: str | os.PathLike, model: keras.Model, state: TrainingState, keep: int = 2
) -> Path:
    """Writes a checkpoint of a compiled model whole, and removes all but the `keep` newest ones.

    Returns the file, `step-<state.step>.npz`. OSError if it cannot be written; what was there stays
    as it was then.

    >>> import tempfile
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> model.compile("sgd", "mse")
    >>> model.optimizer.build(model.trainable_variables)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_checkpoint(folder, model, TrainingState(epoch=1, step=12))
    ...     load_checkpoint(path).state.step
    12
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for name, variable in _variables(model, PARTS):
        arrays[name] = _array(variable)
        for number, copy in enumerate(map(_array, _copies(variable))):
            if not np.array_equal(copy, arrays[name], equal_nan=True):
                arrays[f"{name}@{number}"] = copy
    about = json.dumps(dataclasses.asdict(state)).encode()
    path = folder / f"step-{state.step:09d}.npz"
    with write_beside(path) as beside, open(beside, "wb") as file:
        np.savez(file, state=np.frombuffer(about, "uint8"), **arrays)
        # On the disk before it takes its name: a name may survive where its bytes do not.
        file.flush()
        os.fsync(file.fileno())
    for old in find_checkpoints(folder)[keep:]:
        old.unlink()
    return path


def find_checkpoints(folder: str | os.PathLike) -> list[Path]:
    """Whole checkpoints in a folder, the newest first."""
    found = [path for path in Path(folder).glob("step-*.npz") if _NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def load_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Reads all of a checkpoint, executing nothing; CheckpointError if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
            state = TrainingState(**json.loads(arrays.pop("state").tobytes()))
    except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    return Checkpoint(Path(path), state, arrays)


def remove_unfinished(folder: str | os.PathLike) -> None:
    """Removes what a killed process left half-written."""
    for left in Path(folder).glob(".*.step-*.npz"):
        left.unlink()


def _variables(model: keras.Model, parts: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Every variable by a name that is the same in every process."""
    found = {
        "model": lambda: model.variables,
        "optimizer": lambda: model.optimizer.variables,
        "metrics": lambda: model.metrics_variables,
    }
    for part in parts:
        for number, variable in enumerate(found[part]()):
            # Keras counts layers, generators and metrics over the life of a process.
            path = re.sub(r"_\d+(?=[/_]|$)", "", variable.path)
            yield f"{part}/{number:05d}/{path}", variable


def _copies(variable: Any) -> Sequence[Any]:
    """The copies of a variable on the devices of a TensorFlow strategy.

    They may differ: statistics of batch normalization are those of each device's part of the batch,
    and metrics are added up over the devices when they are read.
    """
    if keras.backend.backend() != "tensorflow":
        return ()
    return getattr(variable.value, "values", ())


def _array(variable: Any) -> np.ndarray:
    array = keras.ops.convert_to_numpy(variable)
    # NumPy's files know no bfloat16; float32 holds each of its values.
    return array.astype("float32") if array.dtype.name == "bfloat16" else array
