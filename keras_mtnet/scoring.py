"""From the outputs of a network to scores in [0, 1], on any Keras backend and with any head."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_mtnet.checks import check_counts
from keras_mtnet.layers.stateless_block import StatelessBlock

ACTIVATIONS = ("softmax", "sigmoid", "linear")
AVERAGING = ("probabilities", "logits")
# Tracing a deep MTNet costs about as much as running 6 batches eagerly.
_EAGER_BATCHES = 6
# Layers after an activation that leave the meaning of its outputs.
_TRANSPARENT = ("Dropout", "Flatten", "GlobalAveragePooling3D", "Identity", "Reshape")


class Scorer:
    """Scores in [0, 1] of clips, by any network; arguments as for `keras_mtnet.predict_video`.

    Attributes:
        classes: how many scores a clip has, None where the model does not tell. One sigmoid has
            two: those of the first and the second class.
        binary: whether the head is one sigmoid.
        multi_label: whether it is several sigmoids, whose scores are independent.
        certain: whether it is known what the outputs are; else they are looked at.
        devices: how many share a batch: those of the `tf.distribute` strategy that the model was
            made under, or of `keras.distribution.DataParallel`.

    Example:

    >>> layers = [keras.layers.GlobalAveragePooling3D(), keras.layers.Dense(3)]
    >>> scorer = Scorer(keras.Sequential([keras.Input((2, 8, 8, 3)), *layers]))
    >>> scorer(np.zeros((5, 2, 8, 8, 3), "uint8")).sum(axis=1).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """

    def __init__(
        self, model: keras.Model, activation: str | None = None, batch_size: int = 8
    ) -> None:
        check_counts(batch_size=batch_size)
        if activation not in (None, *ACTIVATIONS):
            raise ValueError(
                f"activation must be None or one of {ACTIVATIONS}. "
                f"Received: activation={activation!r}"
            )
        if not isinstance(model, keras.Model):
            raise ValueError(f"model must be a Keras model. Received: model={model!r}")
        shape = getattr(model, "output_shape", (None, None))
        named = isinstance(getattr(model, "output", None), dict)
        if named or isinstance(shape, list | dict) or len(shape) != 2:
            raise ValueError(
                "The model must have one output, scores (N, classes). "
                f"Received: {model.name} with output_shape={shape}"
            )
        own = _last_activation(model)
        if own == "softmax" and shape[-1] == 1:
            raise ValueError(
                f"{model.name} ends in a softmax over one class, which is 1 for every clip: give "
                "it a sigmoid, or two classes."
            )
        if own in ("softmax", "sigmoid") and activation in ("softmax", "sigmoid"):
            raise ValueError(
                f"{model.name} ends in a {own} already. Received: activation={activation!r}"
            )
        self._apply = activation
        if activation is None and own in ("softmax", "sigmoid"):
            self._apply = "linear"
        elif activation is None and own == "linear":
            independent = shape[-1] == 1 or _trained_on_binary(model)
            self._apply = "sigmoid" if independent else "softmax"
        self.model, self.batch_size, self.certain = model, batch_size, self._apply is not None
        self.binary = shape[-1] == 1
        self.classes = 2 if self.binary else shape[-1]
        self.multi_label = "sigmoid" in (own, self._apply) and not self.binary
        self._probabilities = own in ("softmax", "sigmoid") or self._apply != "linear"
        self.devices = _count_devices(model)

    def check_classes(self, names: Sequence[str]) -> None:
        """Raises ValueError unless there is a name for each class."""
        if self.classes not in (None, len(names)):
            raise ValueError(
                f"class_names must hold a name for each of the {self.classes} classes of the "
                f"model. Received: {len(names)} names"
            )

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Scores float32 `(N, classes)` of clips uint8 `(N, T, H, W, 3)`."""
        if self.devices > 1:
            outputs = self._outputs_of_devices(clips).astype("float32")
        else:
            # Batches of two sizes at most, so the model is traced twice at most.
            starts = range(0, len(clips), self.batch_size)
            parts = [self._outputs(clips[i : i + self.batch_size]) for i in starts]
            outputs = np.concatenate(parts).astype("float32")
        if self._apply is None:
            self._check_probabilities(outputs)
        return keras.ops.convert_to_numpy(self.to_scores(outputs))

    def mean(self, scores: np.ndarray, averaging: str = "probabilities") -> np.ndarray:
        """The scores of a video `(classes,)` from those of its views `(views, classes)`.

        The mean of logits is taken of those that the scores tell: up to a number that is the same
        for all classes, which a softmax does not see, they are the scores' logarithms.
        """
        self.check_averaging(averaging)
        if averaging == "probabilities":
            return scores.mean(axis=0)
        logs = np.log(np.maximum(scores, np.finfo("float32").tiny)).astype("float64")
        if self.multi_label:
            rest = np.log(np.maximum(1 - scores, np.finfo("float32").tiny)).astype("float64")
            return (1 / (1 + np.exp((rest - logs).mean(axis=0)))).astype("float32")
        logits = logs.mean(axis=0)
        shares = np.exp(logits - logits.max())
        return (shares / shares.sum()).astype("float32")

    def check_averaging(self, averaging: str) -> None:
        """Raises ValueError unless scores can be averaged so."""
        if averaging not in AVERAGING:
            raise ValueError(
                f"averaging must be one of {AVERAGING}. Received: averaging={averaging!r}"
            )
        if averaging == "logits" and not self._probabilities:
            raise ValueError(
                "averaging='logits' needs scores that are probabilities, from a softmax or a "
                f"sigmoid. Received: {self.model.name} with activation='linear'"
            )

    def to_scores(self, outputs: Any) -> Any:
        """Scores `(N, classes)` of the model's outputs, both tensors."""
        if self._apply in ("softmax", "sigmoid"):
            outputs = getattr(keras.ops, self._apply)(outputs)
        if outputs.shape[-1] == 1:
            outputs = keras.ops.concatenate([1 - outputs, outputs], axis=-1)
        return outputs

    def _outputs(self, clips: np.ndarray) -> np.ndarray:
        """The model's outputs; TensorFlow runs the first batches of MTNets operation by operation.

        Their blocks are of hundreds of operations, which take long to trace. Other networks take
        less long, and eagerly Keras would keep the output of each layer: 12 GB of I3D for 8 clips.
        """
        # The model counts, so that it is traced in a loop over `predict_video`, too.
        done = getattr(self.model, "_eager_batches", 0)
        early = keras.backend.backend() == "tensorflow" and done < _EAGER_BATCHES
        if not (early and any(isinstance(layer, StatelessBlock) for layer in self.model.layers)):
            return self.model.predict_on_batch(clips)
        self.model._eager_batches = done + 1
        return keras.ops.convert_to_numpy(self.model(clips, training=False))

    def _outputs_of_devices(self, clips: np.ndarray) -> np.ndarray:
        """The model's outputs from several devices, each of which takes a part of a batch."""
        count = self.devices
        # Every device gets clips: layers need not take none, and JAX wants equal parts.
        padded = clips[np.arange(-(-len(clips) // count) * count) % len(clips)]
        size = -(-self.batch_size // count) * count
        outputs: np.ndarray = self.model.predict(padded, batch_size=size, verbose=0)
        return outputs[: len(clips)]

    def _check_probabilities(self, outputs: np.ndarray) -> None:
        inside = outputs.min() >= -1e-3 and outputs.max() <= 1 + 1e-3
        whole = outputs.shape[1] > 1 and np.abs(outputs.sum(axis=1) - 1).max() < 1e-2
        if np.isfinite(outputs).all() and not (inside and whole):
            raise ValueError(
                f"The last layer of {self.model.name} does not tell what its outputs are, and they "
                f"lie in [{outputs.min():.3g}, {outputs.max():.3g}]. Pass activation='softmax' or "
                "'sigmoid' for logits, 'linear' for scores as they are."
            )


def _last_activation(model: keras.Model) -> str | None:
    """What a model ends in: `"softmax"`, `"sigmoid"`, `"linear"` (logits), or None for others."""
    told = getattr(model, "output_activation", None)  # by an export
    if told is not None:
        return told
    chain = getattr(model, "operations", None)
    if chain is None:  # a subclass of Model may call its layers in any order
        chain = model.layers if isinstance(model, keras.Sequential) else []
    for operation in reversed(chain):
        if isinstance(operation, keras.Model):
            return _last_activation(operation)
        kind = type(operation).__name__
        activation = getattr(operation, "activation", None)
        name = kind.lower() if activation is None else getattr(activation, "__name__", None)
        if kind in _TRANSPARENT or (kind == "Activation" and name == "linear"):
            continue
        return name if name in ACTIVATIONS else None
    return None


def _count_devices(model: keras.Model) -> int:
    if keras.backend.backend() == "tensorflow":
        strategy = getattr(model, "distribute_strategy", None)
        return getattr(strategy, "num_replicas_in_sync", 1)
    distribution = keras.distribution.distribution()
    if isinstance(distribution, keras.distribution.DataParallel):
        return int(distribution.device_mesh.devices.size)
    return 1


def _trained_on_binary(model: keras.Model) -> bool:
    loss = getattr(model, "loss", None)
    return "binary" in str(getattr(loss, "name", loss)).lower()
