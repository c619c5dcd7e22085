"""Everything a run is made of between two steps, in one file: exact resume.

A file holds the weights, the optimizer with its loss scale, the states of random generators, the
metrics so far, and where the run stands. What comes next is a pure function of that: the schedule
goes by the optimizer's step, the clips by their sample numbers.
"""

import dataclasses
import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mtnet.files import write_beside

FOLDER = "checkpoints"
_NAME = re.compile(r"step-(\d{9})\.npz")


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or belongs to another network."""


@dataclasses.dataclass
class RunState:
    """Where a run stands.

    Attributes:
        epoch: that it is in, from 0.
        sample: number of the first sample of the next step.
        step: steps that are done.
        rows: history of the epochs that are done.
        best: accuracy and negative loss on the test clips of the best epoch so far.
    """

    epoch: int = 0
    sample: int = 0
    step: int = 0
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best: list[float] | None = None


def save_checkpoint(
    folder: str | os.PathLike, model: keras.Model, state: RunState, keep: int = 2
) -> Path:
    """Writes a checkpoint whole, and removes all but the newest ones.

    Args:
        folder: where checkpoints lie.
        model: compiled, its optimizer built.
        state: where the run stands.
        keep: how many checkpoints to leave.

    Returns:
        The file.

    Raises:
        OSError: if it cannot be written. Nothing that was there is touched then.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {key: keras.ops.convert_to_numpy(v) for key, v in _variables(model)}
    about = json.dumps(dataclasses.asdict(state)).encode()
    path = folder / f"step-{state.step:09d}.npz"
    with write_beside(path) as beside, open(beside, "wb") as file:
        np.savez(file, state=np.frombuffer(about, "uint8"), **arrays)
        # On the disk before it takes the place of a file: a name may survive where its bytes do
        # not.
        file.flush()
        os.fsync(file.fileno())
    for old in checkpoints(folder)[keep:]:
        old.unlink()
    return path


def checkpoints(folder: str | os.PathLike) -> list[Path]:
    """Whole checkpoints in a folder, the newest first."""
    found = [path for path in Path(folder).glob("step-*.npz") if _NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def restore_checkpoint(path: str | os.PathLike, model: keras.Model) -> RunState:
    """Gives a model everything that a checkpoint holds.

    Nothing in the file is executed. The model is changed only if all of the file can be used.

    Args:
        path: of `save_checkpoint`.
        model: compiled like the one that was saved, its optimizer built.

    Raises:
        CheckpointError: if the file is damaged, or not of this network.
    """
    variables = dict(_variables(model))
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
            state = RunState(**json.loads(arrays.pop("state").tobytes()))
    except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    for name in sorted(variables.keys() ^ arrays.keys()):
        where = "the network" if name in variables else "the checkpoint"
        raise CheckpointError(f"{path} is of another network: only {where} has {name}")
    for name, array in arrays.items():
        if array.shape != tuple(variables[name].shape):
            raise CheckpointError(
                f"{path} is of another network: {name} has shape {array.shape} there and "
                f"{tuple(variables[name].shape)} here"
            )
    for name, array in arrays.items():
        variables[name].assign(array)
    return state


def clean(folder: str | os.PathLike) -> None:
    """Removes what a run that was killed left half-written."""
    for left in Path(folder).glob(".*.step-*.npz"):
        left.unlink()


def _variables(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Every variable of a run by a name that is the same in every process."""
    parts = {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }
    for part, variables in parts.items():
        for number, variable in enumerate(variables):
            # Keras counts generators and metrics over the life of a process.
            path = re.sub(r"_\d+(?=/|$)", "", variable.path)
            yield f"{part}/{number:05d}/{path}", variable
