"""3-D pooling by 2-D pooling, which LiteRT can do."""

from typing import Any

import keras
from keras import ops

from keras_mtnet.layers.max_pooling import CenteredMaxPooling3D
from keras_mtnet.surgery.rebuild import Graph, Plan, has_graph, rebuild

_KINDS = (keras.layers.MaxPooling3D, keras.layers.AveragePooling3D)
# Lower than what any network computes; padding of minus infinity has no number in int8.
_LOWEST = -3.0e38


class SeparablePooling3D(keras.layers.Layer):
    """Pools rows and columns, then frames: a maximum or mean over a box is one over its sides.

    Args:
        pooling: the layer whose work it does.

    Input: `(N, T, H, W, C)`. Output: that of `pooling`.

    Example:

    >>> layer = keras.layers.MaxPooling3D(2, padding="same")
    >>> SeparablePooling3D(layer)(keras.ops.ones((1, 4, 7, 8, 6))).shape
    TensorShape([1, 2, 4, 4, 6])
    """

    def __init__(self, pooling: keras.layers.Layer, **kwargs: Any) -> None:
        super().__init__(**{"name": pooling.name, "dtype": pooling.dtype_policy, **kwargs})
        self._layer = pooling
        self._pool = ops.max_pool if isinstance(pooling, _KINDS[0]) else ops.average_pool

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self._layer.compute_output_shape(input_shape)

    def call(self, x: Any) -> Any:
        sizes, strides, padding = self._layer.pool_size, self._layer.strides, self._layer.padding
        if isinstance(self._layer, CenteredMaxPooling3D) and tuple(strides) != (1, 1, 1):
            ends = [[0, 0], *([size // 2, size // 2] for size in sizes), [0, 0]]
            x, padding = ops.pad(x, ends, constant_values=_LOWEST), "valid"
        _, t, h, w, c = ops.shape(x)
        frames = ops.reshape(x, (-1, h, w, c))
        frames = self._pool(frames, sizes[1:], strides[1:], padding, data_format="channels_last")
        _, h, w, _ = ops.shape(frames)
        if sizes[0] == strides[0] == 1:
            return ops.reshape(frames, (-1, t, h, w, c))
        lines = ops.reshape(frames, (-1, t, h * w, c))  # frames as rows of one picture
        window = (sizes[0], 1), (strides[0], 1)
        lines = self._pool(lines, *window, padding, data_format="channels_last")
        return ops.reshape(lines, (-1, ops.shape(lines)[1], h, w, c))


def with_separable_pooling(model: keras.Model) -> keras.Model:
    """The same network with `SeparablePooling3D`; itself where it has no 3-D pooling.

    A subclassed model is returned as it is: what it calls cannot be seen.
    """

    def plan(graph: Graph) -> Plan:
        found = Plan()
        for name, layer in graph.layers.items():
            if isinstance(layer, _KINDS):
                found.new[name] = SeparablePooling3D(layer)
                found.changed[name] = "by 2-D pooling"
        return found

    return rebuild(model, plan, "export_litert") if _pools(model) and has_graph(model) else model


def _pools(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, keras.Model):
        return any(map(_pools, layer.layers))
    return isinstance(layer, _KINDS)
