"""The class of every network here: a functional `keras.Model` that knows its clips."""

from typing import Any

import keras

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.layers.clip_normalization import ClipNormalization


@keras.saving.register_keras_serializable(package="keras_mtnet")
class VideoModel(keras.Model):
    """A functional `keras.Model`; its `ClipNormalization` layer carries its `clip_spec`."""

    @property
    def clip_spec(self) -> ClipSpec:
        """The clips that the network was trained on."""
        return clip_spec_of(self)

    @clip_spec.setter
    def clip_spec(self, spec: ClipSpec) -> None:
        layer = _normalization(self)
        if layer is None:
            raise ValueError(f"{self.name} has no ClipNormalization layer to carry a clip spec.")
        layer.clip_spec = spec

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As `keras.Model.fit`; takes over the clip spec of a data set of this package.

        Raises:
            ValueError: also, if the data contradict what the network was trained for.
        """
        data_spec = getattr(x, "clip_spec", None)
        if data_spec is not None and _normalization(self) is not None:
            self.clip_spec = self.clip_spec.merge(**vars(data_spec))
        return super().fit(x, *args, **kwargs)


def clip_spec_of(model: keras.Model) -> ClipSpec:
    """The clip spec of any model, also one that wraps a network of this package.

    Returns:
        A `ClipSpec`; an empty one where no `ClipNormalization` layer is found.
    """
    layer = _normalization(model)
    return ClipSpec() if layer is None else layer.clip_spec


def _normalization(model: keras.Model) -> ClipNormalization | None:
    for layer in model.layers:
        if isinstance(layer, ClipNormalization):
            return layer
        if isinstance(layer, keras.Model) and (found := _normalization(layer)) is not None:
            return found
    return None
