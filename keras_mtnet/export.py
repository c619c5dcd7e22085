"""Exports that other programs serve without Keras and without this package."""

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from keras_mtnet.files import check_new_folder, write_beside


def export_savedmodel(
    model: keras.Model, path: str | os.PathLike, class_names: Sequence[str]
) -> Path:
    """Writes a TensorFlow SavedModel that takes clips as a decoder gives them.

    Signature `serve` (also `serving_default`): uint8 RGB clips `(N, T, H, W, 3)` of the size the
    model takes, to a dict of

    - `scores`: float32 `(N, classes)`, the model's own;
    - `labels`: string `(N,)`, the name of each clip's best class.

    Signature `class_names`: no argument, to a dict of `class_names`, string `(classes,)`, in the
    order of the scores. Values are scaled inside; choosing, resizing and cropping frames are left
    to the caller (`keras_mtnet.data.read_clip` shows how training does it).

    Args:
        model: from normalised clips to class probabilities.
        path: a new or an empty folder.
        class_names: in label order.

    Returns:
        The folder.

    Raises:
        ValueError: if there is not one name a class.
        OSError: if the folder is taken or cannot be written.
    """
    path = check_new_folder(path, "an export")
    classes = model.output_shape[-1]
    if len(class_names) != classes:
        raise ValueError(
            f"class_names must hold a name for each of the {classes} classes of the model. "
            f"Received: {len(class_names)} names"
        )
    names = tf.constant(list(class_names))

    def serve(clips: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = tf.cast(model(tf.cast(clips, "float32"), training=False), tf.float32)
        return {"scores": scores, "labels": tf.gather(names, tf.argmax(scores, axis=-1))}

    @tf.function(input_signature=[])
    def list_names() -> dict[str, tf.Tensor]:
        return {"class_names": names}

    list_names()  # Keras takes a function without arguments only once it is traced
    archive = keras.export.ExportArchive()
    archive.track(model)
    clips = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="clips")
    archive.add_endpoint("serve", serve, input_signature=[clips])
    archive.add_endpoint("class_names", list_names)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Keras prints every captured weight, under the path that is about to be renamed.
    with write_beside(path) as beside, contextlib.redirect_stdout(io.StringIO()):
        archive.write_out(str(beside))
    return path
