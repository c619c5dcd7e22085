"""Batch normalization folded into the layer before it, for inference."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtnet.layers.depthwise_conv3d import DepthwiseConv3D
from keras_mtnet.layers.mt_block import MTBlock
from keras_mtnet.layers.mt_conv import MTConv
from keras_mtnet.surgery.rebuild import Graph, Plan, has_graph, is_known, rebuild

# The last axis of their kernels is that of the channels they put out.
_PRODUCTS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Dense)
# The last two are: channels, and channels put out for each.
_DEPTHWISE = (DepthwiseConv3D, keras.layers.DepthwiseConv2D)


def fuse(model: keras.Model) -> keras.Model:
    """Folds batch normalization into the convolution or dense layer before it, for inference.

    The scores are the same but for rounding. A fused network has no batch statistics: train the
    one that it was made of.

    Args:
        model: a functional model or a `Sequential` that knows its input, of this package or not.
            Models in it are fused as well. It is not changed itself.

    Returns:
        A new model of the same class, with the clip spec of the old one. Its attribute `surgery`
        is a `Surgery`, which tells what was folded, and which normalizations were left for which
        reason. It is logged, too.

    Raises:
        ValueError: for a model whose graph is not known (subclassed, or without an input).

    Example:

    >>> import keras_mtnet as mt
    >>> model = mt.MTNet((8,), (1,), classes=4)
    >>> fused = fuse(model)
    >>> print(fused.surgery)
    stem_temporal  with stem_bn
    stage1_block1  with 13 normalizations
    head_conv      with head_bn
    >>> fused.count_params() < model.count_params()
    True
    """

    def plan(graph: Graph) -> Plan:
        found = Plan()
        for name, layer in graph.layers.items():
            if isinstance(layer, keras.layers.BatchNormalization):
                conv = graph.alone_before(name)
                reason = _why_not_folded(graph, layer, conv)
                if reason is not None:
                    found.left[name] = reason
                    continue
                found.absorbed.add(name)
                found.new[conv.name] = _with(conv, use_bias=True)
                found.changed[conv.name] = f"with {name}"
                found.weights[conv.name] = _folder(conv, layer)
            elif isinstance(layer, MTConv | MTBlock) and not layer.fused:
                found.new[name] = _with(layer, fused=True)
                found.changed[name] = f"with {len(layer.conv_norms())} normalizations"
                found.weights[name] = _block_folder(layer)
            elif not has_graph(layer):
                if any("moving_variance" in w.path for w in getattr(layer, "weights", ())):
                    found.left[name] = f"{type(layer).__name__}: what is in there is not known"
        return found

    return rebuild(model, plan, "fuse")


def _with(layer: Any, **changes: Any) -> Any:
    """A new layer of the same configuration but for some arguments."""
    return type(layer).from_config({**layer.get_config(), **changes})


def _why_not_folded(graph: Graph, norm: Any, conv: Any) -> str | None:
    """Why a normalization is left as it is; None where it can be folded."""
    if graph.calls[norm.name] > 1:
        return f"shared: called {graph.calls[norm.name]} times"
    if conv is None:
        return "what it reads is read elsewhere, too, or comes from a shared layer"
    if not isinstance(conv, _PRODUCTS + _DEPTHWISE) or not is_known(conv):
        return f"follows {conv.name} ({type(conv).__name__})"
    if getattr(conv, "activation", None) not in (None, keras.activations.linear):
        return f"follows the activation of {conv.name}"
    axis = norm.axis if isinstance(norm.axis, int) else norm.axis[0]
    if axis not in (-1, len(graph.shapes[norm.name]) - 1):
        return f"normalizes over axis {axis}"
    return None


def _folder(conv: Any, norm: Any) -> Callable[[Any], None]:
    """Gives a convolution with bias the weights of one and its normalization."""

    def fold(fused: Any) -> None:
        kernel, *bias = (w.astype("float64") for w in conv.get_weights())
        mean, variance = map(ops.convert_to_numpy, (norm.moving_mean, norm.moving_variance))
        scale = 1 / np.sqrt(variance.astype("float64") + norm.epsilon)
        if norm.gamma is not None:
            scale = scale * ops.convert_to_numpy(norm.gamma)
        shift = -scale * (mean - bias[0] if bias else mean)
        if norm.beta is not None:
            shift = shift + ops.convert_to_numpy(norm.beta)
        of_kernel = scale.reshape(kernel.shape[-2:]) if isinstance(conv, _DEPTHWISE) else scale
        fused.set_weights([kernel * of_kernel, shift])

    return fold


def _block_folder(block: Any) -> Callable[[Any], None]:
    """Gives a fused `MTConv` or `MTBlock` the weights of one with normalizations."""

    def fold(fused: Any) -> None:
        weights = {weight.path: weight for weight in block.weights}
        for weight in fused.weights:
            if weight.path in weights:
                weight.assign(weights[weight.path])
        for (conv, norm), (folded, _) in zip(block.conv_norms(), fused.conv_norms(), strict=True):
            _folder(conv, norm)(folded)

    return fold
