"""Costs of a network: parameters, multiply-adds and activations, stage by stage."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_mtnet.checks import check_counts
from keras_mtnet.layers.clip_normalization import ClipNormalization
from keras_mtnet.layers.non_local import NonLocalProduct
from keras_mtnet.layers.recurrence import Recurrence

Shape = Sequence[Any]  # None where a size is not known
_NORMALIZATIONS = (keras.layers.BatchNormalization, keras.layers.LayerNormalization)


@dataclass(frozen=True)
class StageCosts:
    """Costs of one stage, for one clip."""

    name: str  # "stem", "stage1", ..., "head", or the layer's own name
    output_shape: tuple[int, ...] | tuple[tuple[int, ...], ...]  # a tuple where streams stay apart
    params: int  # the moving statistics of batch normalization included
    macs: int  # multiply-adds of convolutions, dense layers, recurrent and non-local products
    activations: int  # numbers those put out


@dataclass(frozen=True)
class Costs:
    """Costs of a network for one clip; `str(costs)` is a table of its stages."""

    name: str
    input_shape: tuple[int, ...]
    params: int
    macs: int
    activations: int
    stages: list[StageCosts] = field(repr=False)

    def __str__(self) -> str:
        header = ("stage", "output", "params", "MACs", "activations")
        rows = [(s.name, _text(s.output_shape), *_figures(s)) for s in self.stages]
        rows = [header, *rows, ("total", "", *_figures(self))]
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = [
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        rule = "-" * max(map(len, lines))
        title = f"{self.name}, one clip of {_text(self.input_shape)}"
        return "\n".join([title, rule, lines[0], rule, *lines[1:-1], rule, lines[-1]])


def count_costs(model: keras.Model, input_shape: Shape | None = None) -> Costs:
    """Counts the parameters, multiply-adds and activations of a network for one clip.

    Multiply-adds of convolutions, dense layers, and recurrent and non-local products are counted,
    as in the paper's tables ("GFLOPs" there). Pooling, frame selection, resizing, normalization and
    activations count nothing.

    Args:
        model: a functional model of this package or of plain Keras layers.
        input_shape: `(frames, height, width, channels)` of the clip; the model's own when None.

    Returns:
        `Costs`; `str(costs)` is a table.

    Raises:
        ValueError: if the shape is not fully known, or the model holds a layer with weights whose
            multiply-adds this function does not know.

    Example:

    >>> import keras_mtnet as mt
    >>> costs = mt.count_costs(mt.MTNetM(classes=400), (16, 256, 256, 3))
    >>> round(costs.params / 1e6, 1), round(costs.macs / 1e9, 1)
    (25.3, 9.2)
    """
    shape = tuple(model.input_shape[1:] if input_shape is None else input_shape)
    if len(shape) != len(model.input_shape) - 1 or None in shape:
        raise ValueError(
            "Costs depend on the clip: pass input_shape=(frames, height, width, channels). "
            f"Received: input_shape={shape}"
        )
    check_counts(**{f"input_shape[{place}]": size for place, size in enumerate(shape)})
    shapes = _layer_shapes(model, (1, *shape))
    stages: dict[str, list] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer | ClipNormalization):
            continue
        received, put_out = shapes[layer.name]
        macs, activations = _layer_costs(layer, received)
        stage = stages.setdefault(_stage(layer.name), [0, 0, 0, ()])
        stage[0] += layer.count_params()
        stage[1] += macs
        stage[2] += activations
        outputs = tuple(tuple(output[1:]) for output in put_out)
        stage[3] = outputs if len(outputs) > 1 else outputs[0]
    rows = [StageCosts(n, shape, p, m, a) for n, (p, m, a, shape) in stages.items()]
    params, macs, activations = (
        sum(getattr(row, figure) for row in rows) for figure in ("params", "macs", "activations")
    )
    return Costs(model.name, shape, params, macs, activations, rows)


def _stage(layer_name: str) -> str:
    """stage2_block1 -> stage2, head_conv -> head; other layers stand for themselves."""
    first = layer_name.split("_")[0]
    if layer_name == "predictions":
        return "head"
    return first if first.startswith("stage") or first in ("stem", "head") else layer_name


def _layer_shapes(model: keras.Model, input_shape: Shape) -> dict[str, tuple[Any, list[Shape]]]:
    """Walks a functional model with shapes alone: what each layer receives, and all it puts out."""
    of_tensor: dict[int, Shape] = {}
    shapes: dict[str, tuple[Any, list[Shape]]] = {}
    for layer in model.layers:  # in the order of the graph
        if isinstance(layer, keras.layers.InputLayer):
            received: Any = input_shape
            put_out: Any = [input_shape]
        else:
            sources = [of_tensor.get(id(t)) for t in keras.tree.flatten(layer.input)]
            if None in sources:
                raise ValueError(
                    f"count_costs follows layers only: the input of {layer.name!r} comes from a "
                    "plain operation. Wrap the operation in a layer."
                )
            received = sources[0] if len(sources) == 1 else sources
            put_out = layer.compute_output_shape(received)
            put_out = put_out if isinstance(put_out, list) else [put_out]  # a list for streams
        shapes[layer.name] = (received, put_out)
        of_tensor.update(zip(map(id, keras.tree.flatten(layer.output)), put_out, strict=True))
    return shapes


def _layer_costs(layer: keras.layers.Layer, received: Shape) -> tuple[int, int]:
    """Multiply-adds and activations of a layer that receives this shape (batch of 1)."""
    if hasattr(layer, "inner_layers"):
        costs = [_layer_costs(inner, shape) for inner, shape in layer.inner_layers(received)]
        return sum(macs for macs, _ in costs), sum(activations for _, activations in costs)
    if isinstance(layer, NonLocalProduct):
        return layer.count_products(received), math.prod(layer.compute_output_shape(received))
    if isinstance(layer, Recurrence):
        weights = layer.cell.kernel.shape[0] + layer.cell.recurrent_kernel.shape[0]
        products = received[1] * layer.cell.kernel.shape[1]  # frames x gates
        return weights * products, products
    if not layer.weights or isinstance(layer, _NORMALIZATIONS):
        return 0, 0
    if hasattr(layer, "kernel"):  # each of its numbers is used once per position
        output = layer.compute_output_shape(received)
        return math.prod(layer.kernel.shape) * math.prod(output[:-1]), math.prod(output)
    raise ValueError(
        f"count_costs does not know the multiply-adds of {type(layer).__name__} "
        f"(layer {layer.name!r})."
    )


def _text(shape: tuple) -> str:
    """16x56x56x24, or both streams with a plus between."""
    if shape and isinstance(shape[0], tuple):
        return " + ".join(map(_text, shape))
    return "x".join(map(str, shape))


def _figures(costs: StageCosts | Costs) -> tuple[str, str, str]:
    return (f"{costs.params:,}", f"{costs.macs:,}", f"{costs.activations:,}")
