"""Pickles of NumPy arrays, read without executing anything that is in them."""

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# What a dictionary of arrays, pickled by protocol 4, consists of. Opcodes that call or fetch
# anything else, or that reserve memory by a number in the file, are not among them.
OPCODES = {
    *("PROTO", "FRAME", "STOP", "MEMOIZE", "BINGET", "LONG_BINGET", "MARK", "NONE"),
    *("EMPTY_DICT", "SETITEM", "SETITEMS", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE"),
    *("BININT", "BININT1", "BININT2", "NEWTRUE", "NEWFALSE"),
    *("SHORT_BINUNICODE", "SHORT_BINBYTES", "BINBYTES", "STACK_GLOBAL", "REDUCE", "BUILD"),
}
FLOATS = ("f2", "f4", "f8")
MOST = 10_000  # arrays and dictionaries


def read_pickled_arrays(data: bytes, name: str) -> dict[str, np.ndarray]:
    """Reads nested dictionaries of floating-point arrays; keys are joined by slashes.

    Nothing of NumPy's is called either: a pickle may name only an array, its type and its
    construction, and each of them is replaced by a class of this file that checks what it gets.

    Raises:
        ValueError: if the pickle, of the file `name`, is damaged or holds anything else.

    Example:

    >>> data = pickle.dumps({"a": {"b": np.ones(2)}}, protocol=4)
    >>> read_pickled_arrays(data, "example")
    {'a/b': array([1., 1.])}
    """
    try:
        _check_opcodes(data)
        arrays = _flatten(_Unpickler(io.BytesIO(data)).load())
    except _Refused as refused:
        raise ValueError(
            f"{name} {refused}. It is no pickle of arrays alone; nothing in it was executed."
        ) from None
    except Exception as error:  # damage makes the reader stumble in many ways
        raise ValueError(f"{name} is damaged, or no pickle: {error}") from error
    if not arrays:
        raise ValueError(f"{name} holds no arrays.")
    return arrays


class _Refused(Exception):
    """A pickle holds what an array does not need."""


def _check_opcodes(data: bytes) -> None:
    for opcode, argument, position in pickletools.genops(data):
        if opcode.name not in OPCODES:
            asked = "" if argument is None else f" {argument!r:.80}"
            raise _Refused(f"asks for {opcode.name}{asked} at byte {position}")


class _Type:
    """Stands in for `numpy.dtype`."""

    def __init__(self, code: str, *_: bool):
        self.code = code

    def __setstate__(self, state: tuple) -> None:
        self.byte_order = state[1]

    def dtype(self) -> np.dtype:
        if self.code not in FLOATS:
            raise _Refused(f"holds an array of type {self.code!r}, not of {', '.join(FLOATS)}")
        return np.dtype(f"{'>' if self.byte_order == '>' else '<'}{self.code}")


class _Array:
    """Stands in for `numpy.ndarray`."""

    value: np.ndarray

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, by_columns, content = state
        dtype = kind.dtype()
        if math.prod(shape) * dtype.itemsize != len(content) or min(shape, default=0) < 0:
            raise _Refused(f"holds an array of shape {shape} with {len(content)} bytes")
        value = np.frombuffer(content, dtype)
        self.value = value.reshape(shape[::-1]).T if by_columns else value.reshape(shape)


class _Construct:
    """Stands in for `numpy.core.multiarray._reconstruct`, which makes an empty array."""

    def __call__(self, kind: type, shape: tuple, code: bytes) -> _Array:
        return kind()

    def __setstate__(self, state: Any) -> None:
        raise _Refused("changes what it may only call")


STAND_INS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _Construct(),
    ("numpy._core.multiarray", "_reconstruct"): _Construct(),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STAND_INS:
            raise _Refused(f"asks for {module}.{name}")
        return STAND_INS[module, name]


def _flatten(content: Any) -> dict[str, np.ndarray]:
    """Nested dictionaries to arrays by their paths; a loop or a bomb of references is refused."""
    arrays: dict[str, np.ndarray] = {}
    waiting = [("", content)]
    for _ in range(MOST):
        if not waiting:
            return arrays
        path, item = waiting.pop()
        if isinstance(item, _Array) and path not in arrays:
            arrays[path] = item.value
        elif type(item) is dict:
            waiting += [(f"{path}/{key}".lstrip("/"), value) for key, value in item.items()]
        else:
            raise _Refused(f"holds {type(item).__name__.strip('_')} at {path or 'its top'!r}")
    raise _Refused(f"holds more than {MOST} arrays and dictionaries")
