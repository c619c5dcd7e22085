"""Looks at what layers deep inside a network receive and give, without changing the network."""

import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np


def inner_layers(layer: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """All layers inside a model or a layer as (path, layer, owner), in the order of the network.

    >>> import keras_mtnet as mt
    >>> model = mt.MTNet((8,), (1,), classes=2)
    >>> [path for path, _, _ in inner_layers(model) if path.endswith("selection")][:2]
    ['stem_selection', 'stage1_block1/conv1/selection']
    """
    seen: set[int] = set()
    # Whatever a layer holds in attributes, Keras' own list of the layers in it among them.
    held = layer.layers if isinstance(layer, keras.Model) else vars(layer).values()
    for value in held:
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, keras.layers.Layer) and id(each) not in seen:
                seen.add(id(each))
                yield path + each.name, each, layer
                yield from inner_layers(each, f"{path}{each.name}/")


@contextlib.contextmanager
def watched(layers: Iterable[Any], see: Callable[[Any, Any, Any], None]) -> Iterator[None]:
    """Calls `see(layer, input, output)` after each call of a layer. Not thread-safe.

    The network must run operation by operation, as `model(clips)` does: a compiled one does not
    call its layers.
    """
    changed = []
    try:
        for layer in layers:
            # Not by setattr: Keras would track it.
            object.__setattr__(layer, "call", _seeing(layer, see))
            changed.append(layer)
        yield
    finally:
        for layer in changed:
            object.__delattr__(layer, "call")


def _seeing(layer: Any, see: Callable[[Any, Any, Any], None]) -> Callable[..., Any]:
    call = layer.call

    @functools.wraps(call)
    def seeing(x: Any, *args: Any, **kwargs: Any) -> Any:
        y = call(x, *args, **kwargs)
        see(layer, x, y)
        return y

    return seeing


def stage_of(path: str) -> str:
    """The stage that a layer belongs to, by its path; outside of networks here, its first name.

    >>> stage_of("stage2_block1/conv1/selection"), stage_of("conv3d_4/selection")
    ('stage2', 'conv3d_4')
    """
    match = re.match(r"(.*/)?(stem|stage\d+|head)_", path)
    return match[2] if match else path.split("/")[0]


def check_clip(clip: Any) -> np.ndarray:
    """A clip `(T, H, W, 3)` as a batch of one; ValueError for anything else."""
    clip = np.asarray(clip)
    if clip.ndim != 4 or clip.shape[-1] != 3:
        raise ValueError(f"clip must be one clip (T, H, W, 3). Received: shape {clip.shape}")
    return clip[None]
