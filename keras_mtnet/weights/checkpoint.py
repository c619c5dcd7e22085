"""PyTorch checkpoints as NumPy arrays, read without executing anything that is in them."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtnet.files import write_beside
from keras_mtnet.weights.state_dict import StateDict

ENDINGS = (".pth", ".pt", ".tar", ".ckpt", ".bin", ".safetensors")
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")  # beside them lies the optimizer
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
# Older versions execute code in some files even with weights_only (CVE-2025-32434).
SAFE_TORCH = (2, 6)


def read_checkpoint(path: Path) -> StateDict:
    """Reads the state dict in a PyTorch or safetensors file, bare or beside an optimizer's.

    Args:
        path: the file.

    Returns:
        Arrays by name; prefixes that all names share by a wrapper are gone.

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
    for name in WRAPPERS:
        if isinstance(content.get(name), Mapping):
            return content[name]
    return None


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
