"""TensorFlow SavedModel, for TensorFlow Serving and every other program with TensorFlow."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from absl import logging

from keras_mtnet import graphs
from keras_mtnet.checks import check_counts
from keras_mtnet.export.comparison import compare_and_log
from keras_mtnet.export.preparation import Exportable, frozen_scores, prepare, quiet
from keras_mtnet.export.video_views import clip_frames, crops
from keras_mtnet.files import check_new_folder, write_beside, write_text
from keras_mtnet.layers.numerics import without_gradients

_BEST = 5  # classes that `serve_video` names
# Numbers of a weight that is a constant: nine of ten weights, a hundredth of all numbers.
_LARGEST = 4096


def export_savedmodel(
    model: keras.Model,
    path: str | os.PathLike,
    class_names: Sequence[str] | None = None,
    activation: str | None = None,
    check: Sequence[Any] = (),
    num_clips: int = 10,
    num_crops: int = 3,
) -> Path:
    """Writes a TensorFlow SavedModel that takes clips as a decoder gives them, and whole videos.

    Signature `serve` (also `serving_default`): uint8 RGB `clips` `(N, T, H, W, 3)`, any N and the
    T, H and W that the model takes, to a dict of

    - `scores`: float32 `(N, classes)` in [0, 1]. Logits go through a softmax; of one sigmoid, the
      two scores are those of the first and the second class;
    - `labels`: string `(N,)`, the name of each clip's best class.

    Signature `serve_video`: all `frames` of one video, uint8 RGB `(T, H, W, 3)`, any T, H and W,
    to a dict of `labels`, string `(5,)`, and `scores`, float32 `(5,)`: the best five classes, best
    first, by the mean over `num_clips` x `num_crops` views, as `predict_video` takes them. Frames
    are expected at `clip_spec.fps` per second where that is known. Resizing can differ from
    FFmpeg's by a few of 255 levels. A model that does not know the size and stride of its clips
    has no such signature.

    Signature `class_names`: no argument, to a dict of `class_names`, string `(classes,)`, in the
    order of the scores. Signature `clip_spec`: no argument, to a dict of `clip_spec`, JSON with
    the `frames`, `stride`, `size`, `fps`, `sampling` and `class_names` that are known, and
    `multi_label`, whether the scores are those of several sigmoids. The file
    `assets.extra/clip_spec.json` holds the same JSON. Normalization is part of the model.

    The export is loaded again and compared with the model; the largest difference is logged.

    Args:
        model: as for `predict_video`.
        path: a new or an empty folder.
        class_names: in label order; those of `model.clip_spec` when None.
        activation: as for `predict_video`.
        check: videos, as for `predict_video`, on whose middle clips export and model are compared;
            two clips of noise when empty.
        num_clips, num_crops: views of `serve_video`, as for `predict_video`.

    Returns:
        The folder.

    Raises:
        RuntimeError: on another backend than TensorFlow.
        ValueError: if the names are not known, are not one per class, or contradict the model's.
        VideoError: if a video of `check` cannot be read.
        OSError: if the folder is taken or cannot be written.

    Example:

    >>> import tempfile
    >>> import keras_mtnet as mt
    >>> model = mt.MTNet((8,), (1,), classes=2, input_shape=(4, 32, 32, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mt.export_savedmodel(model, folder + "/export", ["jump", "run"]).name
    'export'
    """
    check_counts(num_clips=num_clips, num_crops=num_crops)
    exportable = prepare(model, class_names, activation, check, "export_savedmodel")
    path = check_new_folder(path, "an export")
    archive = _archive(exportable, num_clips, num_crops)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Keras would print what it writes, under the path that is about to be renamed.
    with write_beside(path) as beside, quiet():
        archive.write_out(str(beside))
        (beside / "assets.extra").mkdir()
        text = json.dumps(exportable.spec.to_dict()) + "\n"
        write_text(beside / "assets.extra" / "clip_spec.json", text)
    compare_and_log(exportable, path)
    return path


def _archive(exportable: Exportable, num_clips: int, num_crops: int) -> keras.export.ExportArchive:
    """The model and its signatures."""
    import tensorflow as tf

    model, scorer, spec = exportable.model, exportable.scorer, exportable.spec
    names = tf.constant(spec.class_names)
    clip = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="clips")
    video = tf.TensorSpec((None, None, None, 3), tf.uint8, name="frames")

    # TensorFlow traces what it saves once more, so the signatures call a function that is traced.
    # To save gradients would take most of the time.
    with without_gradients(), graphs.kept_functions():
        scores = tf.function(frozen_scores(exportable, _LARGEST), autograph=False)
        traced = scores.get_concrete_function(clip)

    @tf.function(input_signature=[clip], autograph=False)
    def serve(clips: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = traced(clips)
        return {"scores": scores, "labels": tf.gather(names, tf.argmax(scores, axis=-1))}

    @tf.function(input_signature=[video], autograph=False)
    def serve_video(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        def score(numbers: tf.Tensor) -> tf.Tensor:  # one clip at a time, so that memory is bounded
            views = crops(tf.gather(frames, numbers), spec.size, num_crops)
            return traced(views)

        numbers = clip_frames(tf.shape(frames)[0], spec, num_clips)
        shape = tf.TensorSpec((num_crops, len(names)), tf.float32)
        scores = tf.map_fn(score, numbers, fn_output_signature=shape)
        best = tf.math.top_k(tf.reduce_mean(scores, axis=(0, 1)), min(_BEST, len(names)))
        return {"labels": tf.gather(names, best.indices), "scores": best.values}

    # Not told of the model, whose weights Keras would store once more.
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serve", _traced(serve))
    if None in (spec.frames, spec.size) or (spec.stride is None and spec.sampling != "uniform"):
        logging.info("No signature serve_video: %s does not know its clips: %s", model.name, spec)
    else:
        archive.add_endpoint("serve_video", _traced(serve_video))
    told = {"clip_spec": json.dumps(spec.to_dict()), "multi_label": scorer.multi_label}
    for name, values in {
        "class_names": {"class_names": spec.class_names},
        "clip_spec": told,
    }.items():
        constants = tf.function(
            lambda values=values: {key: tf.constant(value) for key, value in values.items()},
            input_signature=[],
        )
        archive.add_endpoint(name, _traced(constants))
    return archive


def _traced(function: Any) -> Any:
    """The function, traced, as Keras asks of one that it is given with a signature of its own."""
    function.get_concrete_function()
    return function
