"""The released networks as PyTorch state dicts: names and layouts on both sides."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_mtnet.layers.two_stream_mt_block import TwoStreamMTBlock
from keras_mtnet.layers.two_stream_mt_conv import TwoStreamMTConv

StateDict = dict[str, np.ndarray]

# Names inside a block, here and in the authors' network.
CONVS = {"conv1": "conv1_1", "conv2": "conv1_2", "conv3": "conv2", "conv4": "conv3"}
GATES = {"local_gate": "sr_short", "prolonged_gate": "sr_long"}
BATCHES = "num_batches_tracked"  # a counter that PyTorch keeps beside the moving statistics


@dataclass(frozen=True)
class Slot:
    """One tensor of a state dict and the Keras variable, or its row, that holds the same numbers.

    Attributes:
        key: name in the state dict.
        variable: Keras variable.
        layout: key of `_TO_KERAS`, how its axes differ.
        row: index into the variable's first axis; None for the whole.
    """

    key: str
    variable: Any
    layout: str
    row: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape on the PyTorch side."""
        shape = self.variable.shape if self.row is None else self.variable.shape[1:]
        return _TO_TORCH[self.layout](np.empty(shape, "bool")).shape


def _swap_gates(rows: np.ndarray) -> np.ndarray:
    """Reset, update, candidate (PyTorch) to update, reset, candidate (Keras), and back."""
    first, second, candidate = np.split(rows, 3)
    return np.concatenate([second, first, candidate])


_TO_KERAS = {
    "vector": lambda a: a,
    "matrix": lambda a: a.T,
    "conv": lambda a: a.transpose(2, 3, 4, 1, 0),
    "gates": lambda a: _swap_gates(a).T,
    "gates_bias": _swap_gates,
}
_TO_TORCH = {
    "vector": lambda a: a,
    "matrix": lambda a: a.T,
    "conv": lambda a: a.transpose(4, 3, 0, 1, 2),
    "gates": lambda a: _swap_gates(a.T),
    "gates_bias": _swap_gates,
}


def slots(model: keras.Model) -> Iterator[Slot]:
    """Lists the tensors of a released network, in the order of its layers.

    Args:
        model: what `ReleasedMTNet` builds.
    """
    yield Slot("stem.0.weight", model.get_layer("stem_conv").kernel, "conv")
    yield from _norm("stem.1", model.get_layer("stem_bn"))
    for layer in model.layers:
        if isinstance(layer, TwoStreamMTBlock):
            stage, block = (int(part.lstrip("stageblock")) for part in layer.name.split("_"))
            yield from _block(f"layer{stage}.{block - 1}", layer)
    if model.layers[-1].name == "predictions":
        yield Slot("fc.weight", model.layers[-1].kernel, "matrix")
        yield Slot("fc.bias", model.layers[-1].bias, "vector")


def _block(prefix: str, block: TwoStreamMTBlock) -> Iterator[Slot]:
    for conv in block.convs:
        yield from _conv(f"{prefix}.{CONVS[conv.name]}", conv)
    if block.shortcut:
        yield from _conv(f"{prefix}.downsample", block.shortcut)
    for gate in block.gates:
        for layer, recurrence in enumerate(gate.recurrences):
            cell = recurrence.cell
            name = f"{prefix}.{GATES[gate.name]}.op.{{}}_l{layer}"
            yield Slot(name.format("weight_ih"), cell.kernel, "gates")
            yield Slot(name.format("weight_hh"), cell.recurrent_kernel, "gates")
            yield Slot(name.format("bias_ih"), cell.bias, "gates_bias", 0)
            yield Slot(name.format("bias_hh"), cell.bias, "gates_bias", 1)


def _conv(prefix: str, conv: TwoStreamMTConv) -> Iterator[Slot]:
    yield Slot(f"{prefix}.conv_short.weight", conv.local_conv.kernel, "conv")
    yield Slot(f"{prefix}.conv_long.weight", conv.prolonged_conv.kernel, "conv")
    if conv.lateral:
        yield Slot(f"{prefix}.conv_short2long.weight", conv.lateral_conv.kernel, "conv")
    yield from _norm(f"{prefix}.norm_short", conv.local_bn)
    yield from _norm(f"{prefix}.norm_long", conv.prolonged_bn)


def _norm(prefix: str, norm: keras.layers.BatchNormalization) -> Iterator[Slot]:
    yield Slot(f"{prefix}.weight", norm.gamma, "vector")
    yield Slot(f"{prefix}.bias", norm.beta, "vector")
    yield Slot(f"{prefix}.running_mean", norm.moving_mean, "vector")
    yield Slot(f"{prefix}.running_var", norm.moving_variance, "vector")


def to_state_dict(model: keras.Model) -> StateDict:
    """Returns the weights of a released network as the authors' PyTorch network names them.

    `load_state_dict` takes it as it is, once each array is a tensor; counters of batches are 0.
    """
    state: StateDict = {}
    for slot in slots(model):
        value = keras.ops.convert_to_numpy(slot.variable)
        value = value if slot.row is None else value[slot.row]
        state[slot.key] = np.ascontiguousarray(_TO_TORCH[slot.layout](value))
        if slot.key.endswith("running_var"):
            state[slot.key.replace("running_var", BATCHES)] = np.zeros((), "int64")
    return state


def from_state_dict(model: keras.Model, state: StateDict) -> None:
    """Fills a released network from the authors' PyTorch network, every tensor of it.

    Args:
        model: what `ReleasedMTNet` builds.
        state: arrays by name, without prefixes.

    Raises:
        ValueError: if a tensor is missing, left over, of another shape, or not finite. The network
            is then as it was.
    """
    expected = {slot.key: slot.shape for slot in slots(model)}
    given = {key: value for key, value in state.items() if not key.endswith(f".{BATCHES}")}
    _compare(model.name, expected, given)
    rows: dict[int, list[np.ndarray]] = {}
    for slot in slots(model):
        value = _TO_KERAS[slot.layout](given[slot.key].astype("float32"))
        if slot.row is None:
            slot.variable.assign(value)
            continue
        rows.setdefault(id(slot.variable), []).append(value)
        if len(rows[id(slot.variable)]) == slot.variable.shape[0]:
            slot.variable.assign(np.stack(rows.pop(id(slot.variable))))


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
            f"The checkpoint does not fit {model} as released by its authors: "
            f"{'; '.join(problems[:5])}{more}."
        )
