"""The class of every network here: a functional `keras.Model` that knows its clips."""

import functools
import os
import re
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
from keras import tree

from keras_mtnet import graphs
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.layers.clip_normalization import ClipNormalization
from keras_mtnet.models.blocks import in_blocks

# A recurrence over one frame has no state yet to multiply: its recurrent kernel gets no gradient.
# Keras would ask at every `fit` whether a loss was forgotten; of other variables it still does.
warnings.filterwarnings(
    "ignore",
    r"Gradients do not exist for variables \[('[^']*/recurrent_kernel'(, )?)+\]",
)


@keras.saving.register_keras_serializable(package="keras_mtnet")
class VideoModel(keras.Model):
    """A functional `keras.Model` that knows which clips it takes.

    Attributes:
        training_data: the data set that `fit` is running on, for callbacks; else None.
        torch_keys: by name of a published code base, how it names the weights; empty for a model
            that no builder made.
    """

    training_data: Any = None
    train_function: Any
    torch_keys: Mapping[str, Any] = MappingProxyType({})

    @property
    def clip_spec(self) -> ClipSpec:
        """The clips that the network was trained on; its `ClipNormalization` layer carries it."""
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
        if data_spec is not None and len(args) < 8:  # else `shuffle` is among them
            kwargs.setdefault("shuffle", False)  # they shuffle themselves; Keras would warn
        if data_spec is not None and _normalization(self) is not None:
            try:
                self.clip_spec = self.clip_spec.merge(**vars(data_spec))
            except ValueError as error:
                raise ValueError(
                    f"{error}. To train it for other clips, first set model.clip_spec = "
                    "keras_mtnet.ClipSpec()."
                ) from error
        self._check_range(x)
        object.__setattr__(self, "training_data", x)  # Keras would track and export it
        if isinstance(x, keras.utils.PyDataset) and hasattr(x, "position"):
            kwargs.setdefault("shuffle", False)  # it is shuffled, and Keras would do it again
        try:
            return super().fit(x, *args, **kwargs)
        finally:
            object.__setattr__(self, "training_data", None)

    def make_train_function(self, force: bool = False) -> None:
        """As Keras' own; on TensorFlow, the first step of each shape takes a fifth of the time.

        Keras makes the optimizer's variables in the step, which is then traced a second time
        without. Here they are made before, and each graph is of one shape, and run as it is traced.
        """
        make = super().make_train_function
        if keras.backend.backend() != "tensorflow" or (self.train_function and not force):
            return make(force)
        graphs.warn_without_onednn()
        if self.optimizer is not None and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

        def make_another() -> Any:
            current = self.train_function
            make(force=True)
            another, self.train_function = self.train_function, current
            return another

        self.train_function = graphs.for_each_shape(make_another)
        return None

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras' own, but nothing of it happens before its batch is there.

        The last step of an epoch of unknown length finds no batch. TensorFlow would count it all
        the same, in the optimizer and in the generators of dropout, unless XLA compiles the step.
        """
        tensors = [] if self.jit_compile else keras.tree.flatten(args[-1:])
        waiting = [x for x in tensors if getattr(x, "graph", None)]
        after = waiting[0].graph.control_dependencies(waiting) if waiting else nullcontext()
        with after:
            return super().train_step(*args, **kwargs)

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras' own."""
        with graphs.kept_functions():
            return super().test_step(*args, **kwargs)

    def predict_step(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras' own."""
        with graphs.kept_functions():
            return super().predict_step(*args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`."""
        self._check_range(x)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.predict`."""
        self._check_range(x)
        return super().predict(x, *args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.__call__`."""
        if args:
            self._check_range(args[0])
        return super().__call__(*args, **kwargs)

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None, **kwargs: Any
    ) -> Any:
        """As Keras' own, but where a graph is traced, blocks alike share a function."""
        plain = mask is None and not kwargs
        if plain and graphs.is_shareable(tree.flatten(inputs)[0]) and self._in_blocks:
            return self._in_blocks(inputs, training=training)
        return super().call(inputs, training=training, mask=mask, **kwargs)

    # In the dict of the instance, where Keras does not see it: it has the layers already.
    _in_blocks = functools.cached_property(in_blocks)

    def _check_range(self, x: Any) -> None:
        """Warns, once, of float clips that look as if they were scaled to 0..1 already.

        The layer looks at what it is called with, too. In a graph it cannot, so this comes first.
        """
        layer = _normalization(self)
        if layer is not None:
            layer.check_range(x)


def clip_spec_of(model: keras.Model) -> ClipSpec:
    """The clip spec of any model, also one that wraps a network of this package.

    Returns:
        A `ClipSpec`; an empty one where no `ClipNormalization` layer is found.

    Example:

    >>> clip_spec_of(keras.Sequential([keras.Input((8, 32, 32, 3))]))
    ClipSpec(frames=None, stride=None, size=None, fps=None, sampling=None, class_names=None)
    """
    layer = _normalization(model)
    return ClipSpec() if layer is None else layer.clip_spec


def _normalization(model: keras.Model) -> ClipNormalization | None:
    for layer in model.layers:
        if isinstance(layer, ClipNormalization):
            return layer
        found = _normalization(layer) if isinstance(layer, keras.Model) else None
        if found is not None:  # without an assignment in it, which AutoGraph cannot read
            return found
    return None


def feature_extractor(model: keras.Model) -> VideoModel:
    """The same network with the output of every stage, sharing its layers and weights.

    All families name their layers by position: `stem_...`, `stage1_...`, `stage2_...` and so on.
    The output of a stage is that of its last layer.

    Args:
        model: a network of this package.

    Returns:
        A model from clips to a dict of stage name to feature map `(N, T, H, W, C)`; a list of them
        where a stage hands over several streams.

    Raises:
        ValueError: if the model has no layer of such a name.

    Example:

    >>> import keras_mtnet as mt
    >>> model = mt.MTNet((8, 16), (1, 1), classes=4, input_shape=(8, 32, 32, 3))
    >>> {name: y.shape[1:] for name, y in mt.feature_extractor(model).output.items()}
    {'stem': (4, 16, 16, 24), 'stage1': (4, 8, 8, 8), 'stage2': (2, 4, 4, 16)}
    """
    stages = {}
    for layer in model.layers:
        if match := re.match(r"(stem|stage\d+)_", layer.name):
            stages[match[1]] = layer.output
    if not stages:
        raise ValueError(f"{model.name} has no layers that are named stem_... or stage1_...")
    return VideoModel(model.inputs, stages, name=f"{model.name}_features")


def load_model(path: str | os.PathLike, **kwargs: Any) -> keras.Model:
    """Loads a saved model: `keras.saving.load_model` with all layers of this package known.

    Args:
        path: a `.keras` file, or the folder of a run, of which `model.keras` is loaded.
        **kwargs: of `keras.saving.load_model`, as `compile`.

    Example:

    >>> import tempfile, keras_mtnet as mt
    >>> path = tempfile.mkdtemp() + "/model.keras"
    >>> mt.MTNet((8,), (1,), classes=4).save(path)
    >>> mt.load_model(path).output_shape
    (None, 4)
    """
    path = Path(path).expanduser()
    return keras.saving.load_model(path / "model.keras" if path.is_dir() else path, **kwargs)
