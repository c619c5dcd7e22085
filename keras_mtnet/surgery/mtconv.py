"""Multi-temporal convolutions in any 3-D CNN (Section III, Table II)."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from absl import logging

from keras_mtnet.layers.convolutions import CenteredConv3D
from keras_mtnet.layers.depthwise_conv3d import DepthwiseConv3D
from keras_mtnet.layers.mt_block import MTBlock
from keras_mtnet.layers.mt_conv import MTConv, split_channels
from keras_mtnet.surgery.rebuild import Graph, Plan, has_graph, is_known, rebuild

ONE = (1, 1, 1)
# Activations that would not be the same in each branch.
_ACROSS_CHANNELS = ("softmax", "log_softmax", "sparsemax", "glu")
# The paper's share of 1/8 of fewer channels is none. RGB is not split, either.
MIN_CHANNELS = 8


def to_mtconv(
    model: keras.Model,
    ratio: float = 7 / 8,
    *,
    pointwise: bool = False,
    keep: Sequence[str] = (),
    min_channels: int = MIN_CHANNELS,
    pooling: str = "soft",
    frame_selection: bool = True,
) -> keras.Model:
    """Replaces the 3-D convolutions of a network by multi-temporal ones (Section III, Table II).

    Each Conv3D becomes an `MTConv` of its name, filters, kernel, strides and padding, and takes
    over the batch normalization and the activation right behind it. All shapes stay as they are.
    The new layers have random weights and the normalization of MTNets (momentum 0.9, epsilon
    1e-5); all others keep their weights.

    Args:
        model: a functional model or a `Sequential` that knows its input, of this package or not.
            Models in it are rebuilt as well. It is not changed itself.
        ratio: share of the channels in the local branches, as in `MTConv`.
        pointwise: whether to replace 1x1x1 convolutions, too. The paper's MTNets do.
        keep: names of convolutions to leave.
        min_channels: convolutions that read or put out fewer channels are left; so is a first one
            that reads RGB.
        pooling, frame_selection: as in `MTConv`.

    Returns:
        A new model of the same class, with the clip spec of the old one. Its attribute `surgery`
        is a `Surgery`, which tells what was replaced, and what was left for which reason: grouped,
        depthwise, dilated and shared convolutions, and those inside layers of other classes. It is
        logged, too.

    Raises:
        ValueError: for a model whose graph is not known (subclassed, or without an input), one
            without any convolution to replace, a name in `keep` that it does not have, and for
            what `MTConv` refuses.

    Example:

    >>> from keras import layers
    >>> model = keras.Sequential([
    ...     keras.Input((8, 32, 32, 3)),
    ...     layers.Conv3D(16, 3, padding="same", use_bias=False, name="conv1"),
    ...     layers.BatchNormalization(name="bn1"),
    ...     layers.ReLU(name="relu1"),
    ...     layers.Conv3D(32, 3, 2, padding="same", use_bias=False, name="conv2"),
    ...     layers.BatchNormalization(name="bn2"),
    ...     layers.ReLU(name="relu2"),
    ... ])
    >>> network = to_mtconv(model)
    >>> print(network.surgery)
    conv2  MTConv of 32 filters, 3x3x3, with bn2, relu2
    conv1  left: reads 3 channels (min_channels=8)
    >>> [layer.name for layer in network.layers]
    ['conv1', 'bn1', 'relu1', 'conv2']
    """
    split_channels(1 << 20, ratio, "channels")  # answers a wrong ratio
    missing = set(keep)
    options = {"ratio": ratio, "pooling": pooling, "frame_selection": frame_selection}

    def plan(graph: Graph) -> Plan:
        found = Plan()
        for name, layer in graph.layers.items():
            if not isinstance(layer, keras.layers.Conv3D):
                if reason := _holds_convolutions(layer):
                    found.left[name] = reason
                continue
            if name in keep:
                missing.discard(name)
                found.left[name] = "in keep"
            elif reason := _why_not(graph, layer, ratio, pointwise, min_channels):
                found.left[name] = reason
            else:
                _replace(graph, layer, options, found)
        return found

    network = rebuild(model, plan, "to_mtconv")
    if missing:
        raise ValueError(f"{model.name} has no Conv3D of these names: keep={sorted(missing)}")
    if not network.surgery.changed:
        hint = " pointwise=True replaces 1x1x1 convolutions." if not pointwise else ""
        found = f"Left were:\n{network.surgery}" if network.surgery.left else "It has none."
        raise ValueError(f"{model.name} has no 3-D convolution to replace.{hint} {found}")
    return network


def _why_not(
    graph: Graph, conv: Any, ratio: float, pointwise: bool, min_channels: int
) -> str | None:
    """Why a convolution is left as it is; None where nothing is against replacing it."""
    channels = conv.kernel.shape[-2] * conv.groups
    if graph.calls[conv.name] > 1:
        return f"shared: called {graph.calls[conv.name]} times"
    if not is_known(conv):
        return f"computes in a way of its own ({type(conv).__name__})"
    if conv.groups > 1:
        return "depthwise" if conv.groups == channels else f"in {conv.groups} groups"
    if conv.dilation_rate != ONE:
        return f"dilated by {'x'.join(map(str, conv.dilation_rate))}"
    if conv.data_format != "channels_last":
        return "channels first"
    if conv.kernel_size == ONE and not pointwise:
        return "1x1x1 (pointwise=False)"
    if conv.kernel_size == graph.shapes[conv.name][1:4] == ONE:
        return "1x1x1, of a single position"
    if (name := getattr(conv.activation, "__name__", "")) in _ACROSS_CHANNELS:
        return f"its {name} looks across channels"
    for what, count in (("reads", channels), ("puts out", conv.filters)):
        if count < min_channels:
            return f"{what} {count} channels (min_channels={min_channels})"
    try:
        split_channels(min(channels, conv.filters), ratio, "channels")
    except ValueError as error:
        return str(error)
    return None


def _holds_convolutions(layer: Any) -> str | None:
    """Why the 3-D convolutions in a layer of another class are out of reach; None without any."""
    if has_graph(layer):  # it has a plan of its own
        return None
    if isinstance(layer, MTConv | MTBlock):
        return "multi-temporal already"
    if isinstance(layer, DepthwiseConv3D):
        return "depthwise"
    kernels = [w for w in getattr(layer, "weights", ()) if len(w.shape) == 5]
    return f"{type(layer).__name__}: what is in there is not known" if kernels else None


def _replace(graph: Graph, conv: Any, options: dict[str, Any], plan: Plan) -> None:
    """Plans an MTConv for a convolution and what belongs to it."""
    padding = "centered" if isinstance(conv, CenteredConv3D) else conv.padding
    taken, activation, synchronized = [], conv.activation, False
    before = graph.alone_before(conv.name)
    half = tuple((size // 2, size // 2) for size in conv.kernel_size)
    if padding == "valid" and isinstance(before, keras.layers.ZeroPadding3D):
        if before.padding == half and all(size % 2 for size in conv.kernel_size):
            padding = "centered"
            plan.absorbed.add(before.name)
    last = conv.name
    if activation is keras.activations.linear:
        norm = graph.alone_after(last)
        if isinstance(norm, keras.layers.BatchNormalization):
            taken, last, synchronized = [norm.name], norm.name, norm.synchronized
        follower = graph.alone_after(last)
        if (function := _activation_of(follower)) is not None:
            taken, activation = [*taken, follower.name], function
    plan.absorbed.update(taken)
    plan.new[conv.name] = MTConv(
        conv.filters,
        conv.kernel_size,
        conv.strides,
        activation=activation,
        synchronized=synchronized,
        padding=padding,
        dtype=conv.dtype_policy,
        name=conv.name,
        **options,
    )
    kernel = "x".join(map(str, conv.kernel_size))
    plan.changed[conv.name] = f"MTConv of {conv.filters} filters, {kernel}"
    if taken:
        plan.changed[conv.name] += f", with {', '.join(taken)}"
    for kind in ("kernel_regularizer", "kernel_constraint"):
        if getattr(conv, kind) is not None:
            logging.warning("The %s of %s has no place in an MTConv.", kind, conv.name)


def _activation_of(layer: Any) -> Callable | None:
    """The function of a layer that activates each number by itself; None for others."""
    if isinstance(layer, keras.layers.Activation):
        across = getattr(layer.activation, "__name__", "") in _ACROSS_CHANNELS
        return None if across else layer.activation
    if isinstance(layer, keras.layers.ReLU):
        plain = layer.max_value is None and not layer.negative_slope and not layer.threshold
        return keras.activations.relu if plain else None
    return None
