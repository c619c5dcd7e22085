"""Rebuilds a network with some of its layers replaced and others left out."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
from absl import logging


@dataclasses.dataclass(frozen=True)
class Surgery:
    """What was done to a network, by the name of the layer; inside nested models `"outer/name"`.

    Attributes:
        changed: what became of the layers that were replaced.
        left: why others of their kind were left as they are.
    """

    changed: dict[str, str] = dataclasses.field(default_factory=dict)
    left: dict[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        rows = list(self.changed.items())
        rows += [(name, f"left: {reason}") for name, reason in self.left.items()]
        width = max((len(name) for name, _ in rows), default=0)
        return "\n".join(f"{name.ljust(width)}  {text}" for name, text in rows)


@dataclasses.dataclass(frozen=True)
class Plan(Surgery):
    """What to do to the layers of one model, by name; nested models have plans of their own."""

    new: dict[str, Any] = dataclasses.field(default_factory=dict)  # stand in for others
    absorbed: set[str] = dataclasses.field(default_factory=set)  # new ones do their work
    # Functions that give new layers their weights, once those are built.
    weights: dict[str, Callable[[Any], None]] = dataclasses.field(default_factory=dict)


class Graph:
    """Which layers of a model read which."""

    def __init__(self, model: keras.Model):
        # The same graph without what subclasses add or hide.
        view = keras.Model(model.inputs, model.outputs)
        config = view.get_config()
        self.layers: dict[str, Any] = {each.name: each for each in view.operations}
        self.calls: dict[str, int] = {}  # how often the model calls each
        self.shapes: dict[str, tuple] = {}  # of what each receives, in its first call
        self._sources: dict[str, list[str]] = {}
        self._readers: dict[str, list[str]] = {name: [] for name in self.layers}
        for layer in config["layers"]:
            name, received = layer["name"], list(_tensors(layer["inbound_nodes"]))
            self.calls[name] = len(layer["inbound_nodes"])
            self.shapes[name] = tuple(received[0]["shape"]) if received else ()
            self._sources[name] = [tensor["keras_history"][0] for tensor in received]
            for source in self._sources[name]:
                self._readers[source].append(name)
        for part in keras.tree.flatten(config["output_layers"]):
            if isinstance(part, str):  # else the number of a call or of a tensor
                self._readers[part].append("")

    def alone_after(self, name: str) -> Any:
        """The only reader of a layer, if each of the two is called once; else None."""
        readers = self._readers[name]
        if readers in ([], [""]) or len(readers) > 1 or self.calls[readers[0]] != 1:
            return None
        return self.layers[readers[0]]

    def alone_before(self, name: str) -> Any:
        """The only layer that another reads, if nothing else reads it; else None."""
        sources = self._sources[name]
        if len(sources) != 1 or self.alone_after(sources[0]) is not self.layers[name]:
            return None
        return self.layers[sources[0]]


def is_known(layer: Any) -> bool:
    """Whether a layer is of Keras or of this package; a user's subclass may compute anything."""
    return type(layer).__module__.split(".")[0] in ("keras", "keras_mtnet")


def _tensors(value: Any) -> Iterator[dict[str, Any]]:
    """The tensors among the arguments of a saved call."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield value["config"]
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _tensors(inner)


def rebuild(model: keras.Model, plan_of: Callable[[Graph], Plan], caller: str) -> keras.Model:
    """Builds a model anew by the plan that `plan_of` makes of it, and of each model in it.

    `model` is functional, or a `Sequential` that knows its input. Layers without a plan are copied
    with their weights. The new model is of the same class and has an attribute `surgery`.

    Raises:
        ValueError: for other models, naming `caller`.
    """
    if not has_graph(model):
        raise ValueError(
            f"{caller} follows the graph of a functional model, or of a Sequential that begins "
            "with keras.Input. What a subclassed model does in its call cannot be seen: build it "
            f"with keras.Model(inputs, outputs). Received: model={model!r}"
        )
    surgery = Surgery()
    rebuilt = _rebuild(model, plan_of, surgery, "")
    logging.info("%s of %s:\n%s", caller, model.name, surgery)
    rebuilt.surgery = surgery
    return rebuilt


def has_graph(model: Any) -> bool:
    """Whether it is a model whose layers and tensors are known, as a subclassed one's are not."""
    return isinstance(model, keras.Model) and bool(getattr(model, "inputs", None))


def _rebuild(
    model: keras.Model, plan_of: Callable[[Graph], Plan], surgery: Surgery, outer: str
) -> keras.Model:
    plan = plan_of(Graph(model))
    surgery.changed.update({outer + name: text for name, text in plan.changed.items()})
    surgery.left.update({outer + name: text for name, text in plan.left.items()})
    copies = []

    def copy(layer: Any) -> Any:
        if layer.name in plan.absorbed:
            return layer  # and is not called
        if has_graph(layer):
            return _rebuild(layer, plan_of, surgery, f"{outer}{layer.name}/")
        new = plan.new.get(layer.name)
        if new is None:
            new = type(layer).from_config(layer.get_config())
            copies.append((layer, new))
        return new

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name in plan.absorbed else layer(*args, **kwargs)

    if isinstance(model, keras.Sequential):
        (given,) = model.inputs
        layers = [copy(layer) for layer in model.layers if layer.name not in plan.absorbed]
        start = keras.Input(batch_shape=given.shape, dtype=given.dtype, name=given.name)
        rebuilt = keras.Sequential([start, *layers], name=model.name)
        if model.compiled:  # as clone_model does
            rebuilt.compile_from_config(model.get_compile_config())
    else:
        rebuilt = keras.models.clone_model(model, clone_function=copy, call_function=call)
    for old, new in copies:
        if getattr(old, "weights", None):
            new.set_weights(old.get_weights())
    for name, fill in plan.weights.items():
        fill(plan.new[name])
    return rebuilt
