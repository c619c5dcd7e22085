"""What all exports share: checks of their arguments, and the network as one TensorFlow function."""

import contextlib
import dataclasses
import importlib.util
import io
import json
import logging as standard_logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging

from keras_mtnet import graphs
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.data.clip_reader import ClipReader
from keras_mtnet.export.exported_model import ExportedModel
from keras_mtnet.layers.numerics import without_gradients
from keras_mtnet.models.video_model import clip_spec_of
from keras_mtnet.scoring import Scorer

# package that is imported -> extra that installs it
_EXTRAS = {
    **dict.fromkeys(("onnx", "onnxruntime", "tf2onnx"), "onnx"),
    "ai_edge_litert": "litert",
    "tensorflow": "",
}
COMPARED = 2  # clips in network and export at a time, which both are in memory
# Clips of noise, and their frames, height and width where neither network nor clip spec tells.
_NOISE = 2, 8, 64, 64


@dataclasses.dataclass(frozen=True)
class Exportable:
    """A network that can be exported: what makes scores of its outputs, and what it knows."""

    model: keras.Model
    scorer: Scorer
    spec: ClipSpec  # its class names are known
    clips: np.ndarray  # uint8 `(N, T, H, W, 3)`, on which export and network are compared

    @property
    def clip_shape(self) -> tuple[int | None, ...]:
        """Of the clips of a file: the size they were trained on where the network takes any."""
        return _clip_shape(self.model, self.spec)

    def metadata(self) -> dict[str, Any]:
        """What an export tells of itself, for JSON."""
        names = {"class_names": list(self.spec.class_names or ())}
        multi_label = {"multi_label": self.scorer.multi_label}
        return {"clip_spec": self.spec.to_dict(), **names, **multi_label}


def prepare(
    model: keras.Model,
    class_names: Sequence[str] | None,
    activation: str | None,
    check: Sequence[Any],
    caller: str,
) -> Exportable:
    """Checks what every export is given and reads the videos; errors as of `export_savedmodel`."""
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"{caller} needs the TensorFlow backend. Save the model as a .keras file, set "
            "KERAS_BACKEND=tensorflow and load it there. "
            f"Received: the {keras.backend.backend()} backend"
        )
    if isinstance(model, ExportedModel):
        raise ValueError(f"{model.name} is an export already: give {caller} the network itself.")
    scorer = Scorer(model, activation, COMPARED)
    if not scorer.certain:
        raise ValueError(
            f"The last layer of {model.name} does not tell what its outputs are: pass "
            "activation='softmax' or 'sigmoid' for logits, 'linear' for scores as they are."
        )
    _, frames, height, _, _ = model.input_shape
    spec = clip_spec_of(model).merge(frames=frames, size=height, class_names=class_names)
    if spec.class_names is None:
        raise ValueError(f"{model.name} does not know its classes: pass class_names.")
    scorer.check_classes(spec.class_names)
    if check:
        clips = np.concatenate([ClipReader(spec).views(video) for video in check])
    else:
        sizes = [n or m for n, m in zip(_clip_shape(model, spec)[1:4], _NOISE[1:], strict=True)]
        clips = np.random.default_rng(0).integers(0, 256, (_NOISE[0], *sizes, 3), "uint8")
    return Exportable(model, scorer, spec, clips)


def _clip_shape(model: keras.Model, spec: ClipSpec) -> tuple[int | None, ...]:
    _, *own, _ = model.input_shape
    known = spec.frames, spec.size, spec.size
    return None, *(n or m for n, m in zip(own, known, strict=True)), 3


def check_new_file(path: str | os.PathLike, suffix: str) -> Path:
    """Raises an error unless `path` ends in `suffix`, is free and its folder can be made."""
    path = Path(path)
    if path.suffix != suffix:
        raise ValueError(f"The path must end in {suffix}. Received: path={os.fspath(path)}")
    if path.exists():
        raise FileExistsError(f"{path} exists; nothing was written. Name a new file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def check_installed(purpose: str, *modules: str) -> None:
    """Raises ImportError with the line that installs what is missing."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        extra = _EXTRAS[missing[0]]
        package = f"keras-mtnet[{extra}]" if extra else missing[0]
        raise ImportError(f'{purpose} needs {" and ".join(missing)}: pip install "{package}"')


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides what TensorFlow, Keras and the converters tell of their steps; warnings stay."""
    logger, converter = logging.get_absl_logger(), standard_logging.getLogger("tf2onnx")
    levels = logger.level, converter.level
    logger.setLevel(max(levels[0], standard_logging.WARNING))
    converter.setLevel(standard_logging.ERROR)  # it warns of operations that it knows to rewrite
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(levels[0])
        converter.setLevel(levels[1])


def frozen_scores(exportable: Exportable, largest: float = math.inf) -> Callable[[Any], Any]:
    """The network with its weights as constants: from uint8 clips to float32 `(N, classes)`.

    Tracing with constants makes one graph at once. Freezing the variables of a traced function
    afterwards takes longer than tracing it, and so do saving and loading a thousand variables.
    Weights of more than `largest` numbers stay variables: TensorFlow holds several copies of a
    constant.
    """
    import tensorflow as tf

    model = exportable.model

    def small(variable: keras.Variable) -> bool:
        return math.prod(variable.shape) <= largest

    # Read before the function is traced: it would save all that it saw, constants or not.
    kinds = [
        [keras.ops.convert_to_numpy(weight) if small(weight) else weight for weight in kind]
        for kind in (model.trainable_variables, model.non_trainable_variables)
    ]

    def value(weight: np.ndarray | keras.Variable) -> Any:
        return tf.constant(weight) if isinstance(weight, np.ndarray) else graphs.read(weight)

    def scores(clips: Any) -> Any:
        weights = [list(map(value, kind)) for kind in kinds]
        outputs, _ = model.stateless_call(*weights, tf.cast(clips, tf.float32), training=False)
        return tf.cast(exportable.scorer.to_scores(outputs), tf.float32)

    return scores


def frozen_function(exportable: Exportable) -> Any:
    """`frozen_scores` for clips of one size, of a network that a file can hold.

    Returns:
        A concrete function from uint8 `clips` `(N, T, H, W, 3)` to a dict of `scores`, float32
        `(N, classes)`.

    Raises:
        ValueError: for a network that does not compute in float32, or whose weights are not finite.
    """
    import tensorflow as tf

    model = exportable.model
    other = next((layer for layer in model.layers if layer.compute_dtype != "float32"), None)
    if other is not None:
        raise ValueError(
            f"Files are exported of networks that compute in float32. {other.name} of {model.name} "
            f"computes in {other.compute_dtype}: build the network with dtype='float32' and give "
            "it the weights, with new.set_weights(old.get_weights())."
        )
    lost = [v.path for v in model.weights if not np.isfinite(keras.ops.convert_to_numpy(v)).all()]
    if lost:  # the converter of LiteRT would end the process
        raise ValueError(f"Weights of {model.name} are not finite: {lost[0]}, {len(lost)} in all.")
    scores = frozen_scores(exportable)
    clips = tf.TensorSpec(exportable.clip_shape, tf.uint8, name="clips")
    function = tf.function(
        lambda clips: {"scores": scores(clips)}, input_signature=[clips], autograph=False
    )
    with without_gradients():
        return function.get_concrete_function()


def to_json(metadata: dict[str, Any]) -> dict[str, str]:
    """Each value as JSON."""
    return {name: json.dumps(value) for name, value in metadata.items()}
