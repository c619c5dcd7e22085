"""Grad-CAM for clips: which places and moments speak for a class."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from keras_mtnet.explain.kept_frames import trace_frames
from keras_mtnet.layers.trilinear_resize import interpolation_matrix
from keras_mtnet.surgery.rebuild import has_graph

# Colors from no to full saliency, RGB.
_COLORS = np.array([(40, 20, 90), (160, 40, 120), (240, 80, 60), (255, 170, 40), (255, 250, 160)])


def grad_cam(
    model: keras.Model, clip: Any, label: int | None = None, layer: str | None = None
) -> np.ndarray:
    """Computes which places and moments of a clip speak for a class.

    Feature maps in front of the head are weighed by the gradient of the class's logit, averaged
    over the map, and added up; what is below 0 is cut. Several streams, as of SlowFast, are added
    on the clip's grid. Frames that a frame selection dropped get what lies between those it kept.

    Args:
        model: any functional classifier of clips, on any backend.
        clip: RGB of 0 to 255, `(T, H, W, 3)`.
        label: index of the class; None for the one with the highest score. Of one sigmoid, 1 is
            the class that it is the score of.
        layer: name of the layer whose output is weighed, as `"stage3_block11"`; None for the last
            feature maps. All paths to the scores must lead through it.

    Returns:
        float32 `(T, H, W)`, not negative, in no unit.

    Raises:
        ValueError: for a wrong clip, label or layer, and for a model whose layers are not known.

    Source: Selvaraju et al., "Grad-CAM", ICCV 2017, with one more axis.

    Example:

    >>> import numpy as np, keras_mtnet as mt
    >>> model = mt.MTNet((8, 16), (1, 1), classes=3)
    >>> mt.explain.grad_cam(model, np.ones((8, 32, 32, 3), "uint8"), label=2).shape
    (8, 32, 32)
    """
    maps, head = split_at_features(model, layer)
    trace, features = trace_frames(model, clip, keras.Model(model.inputs[0], maps))
    features = tree.flatten(features)
    logits = ops.convert_to_numpy(_apply(head, features))[0]
    label, sign = _check_label(label, logits)
    gradients = score_gradients(head, features, label)
    heights: Any = 0
    for stream, (x, gradient) in enumerate(zip(features, gradients, strict=True)):
        x, gradient = (ops.convert_to_numpy(ops.cast(t, "float32"))[0] for t in (x, gradient))
        # The sum, not the mean, of the gradient: so the streams of a head that averages each
        # over its own number of places add up to the score.
        height = x @ gradient.sum(axis=(0, 1, 2), dtype="float64")  # (T', H', W')
        times = trace.positions(stream, len(height))
        heights = heights + _resize(height, times, np.shape(clip)[:3])
    return np.maximum(sign * heights, 0).astype("float32")


def overlay(clip: Any, saliency: Any, strength: float = 0.7) -> np.ndarray:
    """Lays a saliency over a clip: dark red to yellow where it is high, clear where it is low.

    Args:
        clip: RGB of 0 to 255, `(T, H, W, 3)`.
        saliency: `(T, H, W)`, not negative; its highest value gets the brightest color.
        strength: how much of a pixel the brightest color covers, 0 to 1.

    Returns:
        RGB uint8 `(T, H, W, 3)`.

    Example:

    >>> overlay(np.zeros((1, 1, 2, 3)), [[[0.0, 5.0]]], strength=1).tolist()
    [[[[0, 0, 0], [255, 250, 160]]]]
    """
    share = np.asarray(saliency) / max(float(np.max(saliency)), 1e-30)
    steps = np.linspace(0, 1, len(_COLORS))
    color = np.stack([np.interp(share, steps, channel) for channel in _COLORS.T], axis=-1)
    cover = strength * share[..., None]
    return np.round(np.asarray(clip) * (1 - cover) + color * cover).astype("uint8")


def split_at_features(model: keras.Model, layer: str | None = None) -> tuple[list[Any], Any]:
    """The symbolic feature maps `(N, T, H, W, C)` in front of the head, and the head to logits."""
    if not has_graph(model):
        raise ValueError(
            "Grad-CAM follows the graph of a functional model: build it with keras.Model(inputs, "
            f"outputs). Received: model={model!r}"
        )
    view = keras.Model(model.inputs, model.outputs)
    producers = {id(t): op for op in view.operations for t in tree.flatten(op.output)}
    logits = _logits(producers[id(view.outputs[0])])
    if layer is not None:
        if layer not in [each.name for each in model.layers]:
            raise ValueError(f"{model.name} has no layer of that name. Received: layer={layer!r}")
        maps = tree.flatten(model.get_layer(layer).output)
    else:
        maps = _last_maps(view.outputs[0], producers)
    if not maps or any(len(x.shape) != 5 for x in maps):
        raise ValueError(
            f"{model.name} has no feature maps (N, T, H, W, C) there: name a layer of its own, and "
            f"of a model that wraps a network pass the network. Received: layer={layer!r}"
        )
    try:
        return maps, keras.Model(maps if len(maps) > 1 else maps[0], logits)
    except ValueError as error:  # Keras says which tensor is not reached
        raise ValueError(f"Not all paths to the scores lead through layer={layer!r}") from error


def _last_maps(output: Any, producers: dict[int, Any]) -> list[Any]:
    """The feature maps nearest to an output, on all paths to it."""
    found: dict[int, Any] = {}
    waiting = [output]
    while waiting:
        tensor = waiting.pop(0)
        if len(tensor.shape) == 5:
            found[id(tensor)] = tensor
        elif id(tensor) in producers and not isinstance(
            producers[id(tensor)], keras.layers.InputLayer | keras.Model
        ):
            waiting += tree.flatten(producers[id(tensor)].input)
    return list(found.values())


def _logits(last: Any) -> Any:
    """The output of the last operation of a classifier before its softmax or sigmoid."""
    if isinstance(last, keras.layers.Activation | keras.layers.Softmax):
        return last.input
    if getattr(last, "activation", None) in (None, keras.activations.linear):
        return last.output
    plain = type(last).from_config({**last.get_config(), "activation": None})
    logits = plain(last.input)
    plain.set_weights(last.get_weights())
    return logits


def _check_label(label: int | None, logits: np.ndarray) -> tuple[int, int]:
    """Which output stands for a class, and whether for it (1) or against it (-1)."""
    classes = max(2, len(logits))
    if label is not None and not 0 <= label < classes:
        raise ValueError(f"label must be None or in 0..{classes - 1}. Received: label={label!r}")
    if len(logits) == 1:
        present = logits[0] > 0 if label is None else label == 1
        return 0, 1 if present else -1
    return int(logits.argmax()) if label is None else int(label), 1


def score_gradients(head: keras.Model, features: Sequence[Any], label: int) -> Sequence[Any]:
    """The gradients of one output of a head with respect to the tensors that it is given.

    >>> dense = keras.layers.Dense(1, kernel_initializer="ones")
    >>> head = keras.Sequential([keras.Input((2,)), dense])
    >>> keras.ops.convert_to_numpy(score_gradients(head, [keras.ops.ones((1, 2))], 0)[0]).tolist()
    [[1.0, 1.0]]
    """
    backend, features = keras.backend.backend(), list(features)
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(features)
            score = _apply(head, features)[0, label]
        return tape.gradient(score, features)
    if backend == "jax":
        import jax

        weights = [[v.value for v in head.trainable_variables]]
        weights.append([v.value for v in head.non_trainable_variables])

        def score(features: Sequence[Any]) -> Any:
            given = features if len(features) > 1 else features[0]
            return head.stateless_call(*weights, given, training=False)[0][0, label]

        return jax.grad(score)(features)
    import torch

    with torch.enable_grad():
        leaves = [x.detach().requires_grad_() for x in features]
        return torch.autograd.grad(_apply(head, leaves)[0, label], leaves)


def _apply(head: keras.Model, features: Sequence[Any]) -> Any:
    """What a head makes of its tensors, of which Keras takes a single one without a list."""
    return head(features if len(features) > 1 else features[0], training=False)


def _resize(height: np.ndarray, times: Sequence[float], shape: Sequence[int]) -> np.ndarray:
    """`(T', H', W')`, whose frames lie at `times` of the clip, interpolated to its `shape`."""
    frames = np.arange(shape[0])
    rows = np.eye(len(height))
    matrix = np.stack([np.interp(frames, times, row) for row in rows], axis=1)  # (T, T')
    height = np.einsum("ab,bij->aij", matrix, height)
    height = np.einsum("ab,tbj->taj", interpolation_matrix(shape[1], height.shape[1]), height)
    return np.einsum("ab,tib->tia", interpolation_matrix(shape[2], height.shape[2]), height)
