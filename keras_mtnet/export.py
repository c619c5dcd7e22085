"""Exports that other programs serve without Keras and without this package."""

import contextlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import keras

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.files import check_new_folder, write_beside, write_text
from keras_mtnet.models.video_model import clip_spec_of
from keras_mtnet.scoring import Scorer


def export_savedmodel(
    model: keras.Model,
    path: str | os.PathLike,
    class_names: Sequence[str] | None = None,
    activation: str | None = None,
) -> Path:
    """Writes a TensorFlow SavedModel that takes clips as a decoder gives them.

    Signature `serve` (also `serving_default`): uint8 RGB clips `(N, T, H, W, 3)`, of the size the
    model takes, to a dict of

    - `scores`: float32 `(N, classes)` in [0, 1]. Logits go through a softmax; of one sigmoid, the
      two scores are those of the first and the second class;
    - `labels`: string `(N,)`, the name of each clip's best class.

    Signature `class_names`: no argument, to a dict of `class_names`, string `(classes,)`, in the
    order of the scores. Signature `clip_spec`: no argument, to a dict of `clip_spec`, JSON with
    the `frames`, `stride`, `size`, `fps`, `sampling` and `class_names` that are known. The file
    `assets.extra/clip_spec.json` holds the same. Normalization is part of the model; choosing,
    resizing and cropping frames is left to the caller (`keras_mtnet.data.read_clip` shows how
    training does it).

    Args:
        model: as for `predict_video`.
        path: a new or an empty folder.
        class_names: in label order; those of `model.clip_spec` when None.
        activation: as for `predict_video`.

    Returns:
        The folder.

    Raises:
        RuntimeError: on another backend than TensorFlow.
        ValueError: if the names are not known, are not one per class, or contradict the model's.
        OSError: if the folder is taken or cannot be written.

    Example:

    >>> import tempfile
    >>> import keras_mtnet as mt
    >>> model = mt.MTNet((8,), (1,), classes=2, input_shape=(4, 32, 32, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mt.export_savedmodel(model, folder + "/export", ["jump", "run"]).name
    'export'
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "export_savedmodel needs the TensorFlow backend. Save the model as a .keras file, set "
            "KERAS_BACKEND=tensorflow and load it there. "
            f"Received: the {keras.backend.backend()} backend"
        )
    path = check_new_folder(path, "an export")
    scorer = Scorer(model, activation)
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
    archive = _archive(scorer, spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Keras prints every captured weight, under the path that is about to be renamed.
    with write_beside(path) as beside, contextlib.redirect_stdout(io.StringIO()):
        archive.write_out(str(beside))
        (beside / "assets.extra").mkdir()
        write_text(beside / "assets.extra" / "clip_spec.json", json.dumps(spec.to_dict()) + "\n")
    return path


def _archive(scorer: Scorer, spec: ClipSpec) -> keras.export.ExportArchive:
    """The model and the three signatures."""
    import tensorflow as tf

    def serve(clips: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = tf.cast(scorer.to_scores(scorer.model(clips, training=False)), tf.float32)
        best = tf.argmax(scores, axis=-1)
        return {"scores": scores, "labels": tf.gather(tf.constant(spec.class_names), best)}

    archive = keras.export.ExportArchive()
    archive.track(scorer.model)
    clips = tf.TensorSpec((None, *scorer.model.input_shape[1:]), tf.uint8, name="clips")
    archive.add_endpoint("serve", serve, input_signature=[clips])
    constants = {"class_names": spec.class_names, "clip_spec": json.dumps(spec.to_dict())}
    for name, value in constants.items():
        function = tf.function(lambda k=name, v=value: {k: tf.constant(v)}, input_signature=[])
        function.get_concrete_function()  # Keras asks that it is traced already
        archive.add_endpoint(name, function)
    return archive
