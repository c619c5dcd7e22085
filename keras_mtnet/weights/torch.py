"""PyTorch checkpoints: read without executing what is in them, and exchanged with networks.

How a code base names the weights of a network stands in the network's file, as `torch_keys`: by
name of the code base, pairs of a regular expression and its replacement. One after the other they
turn the path of a Keras variable, as "stage1_block1/conv1/kernel", into the key of its tensor; the
last part is left to this module ("kernel" becomes "weight"), and slashes become dots. "conv_kernel"
stands for the kernel of a dense layer that is a 1x1x1 convolution there, "frame_kernel" for that
of a convolution that has two dimensions there, and "tap_kernel" for that of a depthwise convolution
of three frames that is three scales there, "prev", "curr" and "next".
"""

import pickle
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mtnet.files import write_beside

StateDict = dict[str, np.ndarray]
Rules = Sequence[tuple[str, str | Callable[[re.Match], str]]]

ENDINGS = (".pth", ".pt", ".pyth", ".tar", ".ckpt", ".bin", ".safetensors")
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net")
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
# Older versions execute code in some files even with weights_only (CVE-2025-32434).
SAFE_TORCH = (2, 6)
COUNTER = "num_batches_tracked"  # PyTorch keeps it beside the moving statistics

_LEAVES = {
    "kernel": "weight",
    "conv_kernel": "weight",  # a dense layer here, a 1x1x1 convolution there
    "depthwise_kernel": "weight",
    "frame_kernel": "weight",  # of one frame here, of a 2-D convolution there
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_LAYOUTS = ("conv_kernel", "depthwise_kernel", "frame_kernel")  # others show in the rank
_RECURRENT = re.compile(r"recurrence(\d+)/(\w+)/(kernel|recurrent_kernel|bias)$")


# --- Files ------------------------------------------------------------------------------------


def read_checkpoint(path: Path) -> StateDict:
    """The state dict in a PyTorch or safetensors file, bare or beside an optimizer's.

    Prefixes of wrappers that all names share are gone.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, holds more than tensors, or no state dict.
        ImportError: if the package that reads it is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file. Name the checkpoint that you downloaded.")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    while isinstance(content, Mapping) and (inner := _wrapped(content)) is not None:
        content = inner
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{path} holds no state dict, but {type(content).__name__}.")
    state = {}
    for key, value in content.items():
        if not hasattr(value, "shape"):
            raise ValueError(
                f"{path} holds no state dict: {key!r} is {type(value).__name__}, not a tensor."
            )
        state[str(key)] = _array(value)
    for prefix in PREFIXES * 2:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def write_checkpoint(path: Path, state: StateDict) -> None:
    """Writes a state dict as safetensors or, for any other ending, as `torch.save` does."""
    with write_beside(path) as beside:
        if path.suffix == ".safetensors":
            _safetensors().save_file(state, beside)
        else:
            torch = _torch()
            torch.save({key: torch.from_numpy(value) for key, value in state.items()}, beside)


def _read_torch(path: Path) -> Any:
    torch = _torch()
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is damaged, or holds more than tensors, which could only be read by executing "
            "what is in it; nothing was executed. Ask its author for the state dict alone."
        ) from error
    except Exception as error:  # damage makes the reader stumble in many ways
        raise ValueError(f"{path} is damaged, or no PyTorch checkpoint: {error}") from error


def _read_safetensors(path: Path) -> Any:
    safetensors = _safetensors()
    try:
        return safetensors.load_file(path)
    except Exception as error:  # its own type is not public
        raise ValueError(f"{path} is damaged, or no safetensors file: {error}") from error


def _wrapped(content: Mapping) -> Any:
    inner = (content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping))
    return next(inner, None)


def _array(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    return (value.float() if value.is_floating_point() else value).numpy()


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            'PyTorch checkpoints need PyTorch: pip install "keras-mtnet[convert]"'
        ) from error
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < SAFE_TORCH:
        raise ImportError(
            "PyTorch before 2.6 may execute code in a checkpoint (CVE-2025-32434). Found: "
            f'{torch.__version__}. pip install --upgrade "keras-mtnet[convert]"'
        )
    return torch


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            'safetensors files need their package: pip install "keras-mtnet[convert]"'
        ) from error
    return safetensors.numpy


# --- Networks ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Slot:
    """One tensor of a state dict, and the Keras variable with the same numbers.

    Biases of a recurrent layer are two tensors there: `row` 0 and 1 of the variable, or its parts.
    """

    key: str
    variable: Any
    layout: str
    row: int | None = None

    def to_torch(self, value: np.ndarray) -> np.ndarray:
        if self.row is not None and value.ndim > 1:
            value = value[self.row]
        elif self.row == 1:  # Keras' LSTM has one bias, PyTorch's the sum of two
            value = np.zeros_like(value)
        if self.layout == "gates":
            value = _swap_gates(value)
        if self.layout == "conv_kernel":
            return value.T[..., None, None, None]
        if self.layout == "depthwise_kernel":  # (T, H, W, C, 1) to (C, 1, T, H, W)
            return np.moveaxis(value, (-2, -1), (0, 1))
        if self.layout == "frame_kernel":  # (1, H, W, C, F) to (F, C, H, W)
            return np.moveaxis(value[0], (-1, -2), (0, 1))
        if self.layout == "conv":
            return np.moveaxis(value, (-1, -2), (0, 1))
        return value.T

    def to_keras(self, value: np.ndarray) -> np.ndarray:
        if self.layout == "conv":
            return np.moveaxis(value, (0, 1), (-1, -2))
        if self.layout == "conv_kernel":
            return value[..., 0, 0, 0].T
        if self.layout == "depthwise_kernel":
            return np.moveaxis(value, (0, 1), (-2, -1))
        if self.layout == "frame_kernel":
            return np.moveaxis(value, (0, 1), (-1, -2))[None]
        return _swap_gates(value.T) if self.layout == "gates" else value.T

    @property
    def shape(self) -> tuple[int, ...]:
        """On the PyTorch side."""
        return self.to_torch(np.empty(self.variable.shape, "bool")).shape


def _swap_gates(values: np.ndarray) -> np.ndarray:
    """Reset, update, candidate (PyTorch) to update, reset, candidate (Keras), and back."""
    first, second, candidate = np.split(values, 3, axis=-1)
    return np.concatenate([second, first, candidate], axis=-1)


def _slots(model: keras.Model, rules: Rules) -> Iterator[_Slot]:
    """Lists the tensors of a network, in the order of its variables."""
    for variable in model.weights:
        key = _key(variable.path, rules)
        recurrent = _RECURRENT.search(variable.path)
        if recurrent is None:
            leaf = _rewrite(variable.path, rules).rpartition("/")[2]
            if leaf == "tap_kernel":
                for row, tap in enumerate(("prev", "curr", "next")):
                    tap_key = key.replace(".tap_kernel", f".{tap}.weight")
                    yield _Slot(tap_key, variable, "depthwise_kernel", row)
                continue
            usual = "conv" if len(variable.shape) > 2 else "matrix"
            yield _Slot(key, variable, leaf if leaf in _LAYOUTS else usual)
            continue
        layer, cell, leaf = int(recurrent[1]) - 1, recurrent[2], recurrent[3]
        prefix = key.partition(".recurrence")[0]
        layout = "gates" if cell == "gru" else "matrix"  # gates of LSTMs are in the same order
        if leaf == "bias":
            yield _Slot(f"{prefix}.bias_ih_l{layer}", variable, layout, 0)
            yield _Slot(f"{prefix}.bias_hh_l{layer}", variable, layout, 1)
        else:
            kind = "ih" if leaf == "kernel" else "hh"
            yield _Slot(f"{prefix}.weight_{kind}_l{layer}", variable, layout)


def _key(path: str, rules: Rules) -> str:
    """Path of a Keras variable to the key of its tensor."""
    prefix, _, leaf = _rewrite(path, rules).rpartition("/")
    return f"{prefix.replace('/', '.')}.{_LEAVES.get(leaf, leaf)}"


def _rewrite(path: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        path = re.sub(pattern, replacement, path)
    return path


def _scales(model: keras.Model, rules: Rules) -> dict[str, int]:
    """Scales of batch normalization that PyTorch has and the network does without, and sizes."""
    variables = {variable.path: variable for variable in model.weights}
    scales = {path.replace("/moving_mean", "/gamma"): path for path in variables}
    return {
        _key(scale, rules): variables[path].shape[0]
        for scale, path in scales.items()
        if scale not in variables
    }


def choose_rules(model: keras.Model, state: StateDict) -> Rules:
    """The rules of the code base whose keys a state dict shares most of."""

    def shared(rules: Rules) -> int:
        return sum(slot.key in state for slot in _slots(model, rules))

    return max(model.torch_keys.values(), key=shared)


def classes_of(state: StateDict, rules: Rules) -> int | None:
    """Width of the classifier in a state dict; None without one."""
    key = _key("predictions/bias", rules)
    return len(state[key]) if key in state else None


def to_state_dict(model: keras.Model, rules: Rules) -> StateDict:
    """The weights of a network as published PyTorch code names them, by rules of `torch_keys`.

    `load_state_dict` takes it as it is, once each array is a tensor; counters of batches are 0.
    """
    state: StateDict = {
        key: np.ones(size, "float32") for key, size in _scales(model, rules).items()
    }
    for slot in _slots(model, rules):
        value = slot.to_torch(keras.ops.convert_to_numpy(slot.variable))
        state[slot.key] = np.ascontiguousarray(value)
        if slot.key.endswith("running_var"):
            state[slot.key.replace("running_var", COUNTER)] = np.zeros((), "int64")
    return state


def from_state_dict(model: keras.Model, state: StateDict, rules: Rules) -> None:
    """Fills a network from the state dict of its published PyTorch code, every tensor of it.

    Raises:
        ValueError: if a tensor is missing, left over, of another shape, or not finite. The network
            is then as it was.
    """
    slots = list(_slots(model, rules))
    scales = _scales(model, rules)
    given = {
        key: value
        for key, value in state.items()
        if not key.endswith(f".{COUNTER}") and not (key in scales and (value == 1).all())
    }
    _compare(model.name, {slot.key: slot.shape for slot in slots}, given)
    rows: list[np.ndarray] = []
    for slot in slots:
        value = slot.to_keras(given[slot.key].astype("float32"))
        if slot.row is None:
            slot.variable.assign(value)
            continue
        rows = [*rows, value] if slot.row else [value]
        stacked = len(slot.variable.shape) > 1
        if len(rows) == (slot.variable.shape[0] if stacked else 2):
            slot.variable.assign(np.stack(rows) if stacked else sum(rows))


def _compare(model: str, expected: dict[str, tuple[int, ...]], given: StateDict) -> None:
    problems = []
    for what, keys in (
        ("missing", expected.keys() - given.keys()),
        ("not part of the network", given.keys() - expected.keys()),
    ):
        if keys:
            first = sorted(keys)[:3]
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            problems.append(f"{what}: {', '.join(first)}{more}")
    for key in sorted(expected.keys() & given.keys()):
        if given[key].shape != expected[key]:
            problems.append(f"{key} is {given[key].shape}, not {expected[key]}")
        elif not np.isfinite(given[key]).all():
            problems.append(f"{key} holds values that are not finite")
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(
            f"The checkpoint does not fit {model} as published: {'; '.join(problems[:5])}{more}."
        )
