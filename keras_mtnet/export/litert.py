"""LiteRT, formerly TensorFlow Lite, for telephones and small computers."""

import dataclasses
import json
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_mtnet.export.comparison import compare_and_log
from keras_mtnet.export.loading import METADATA
from keras_mtnet.export.preparation import (
    Exportable,
    check_new_file,
    frozen_function,
    prepare,
    quiet,
)
from keras_mtnet.export.separable_pooling import with_separable_pooling
from keras_mtnet.files import write_beside

PRECISIONS = ("float32", "float16", "int8")


def export_litert(
    model: keras.Model,
    path: str | os.PathLike,
    class_names: Sequence[str] | None = None,
    activation: str | None = None,
    check: Sequence[Any] = (),
    precision: str = "float32",
) -> Path:
    """Writes a LiteRT file from clips to scores, of LiteRT's own operations only.

    Its one signature has the input and output of `export_onnx`. A zip at the end of the file, as
    LiteRT's metadata standard has it, holds `labels.txt`, one class a line, and `metadata.json`
    with `clip_spec`, `class_names` and `multi_label`: `unzip -p m.tflite labels.txt`.

    Args:
        model, class_names, activation, check: as for `export_savedmodel`.
        path: a new file that ends in `.tflite`.
        precision: of the stored weights: `"float32"`, `"float16"` or `"int8"` (dynamic range: a
            scale for each channel, activations as they come). The scores are computed from float32
            or, where LiteRT can, from 8-bit integers.

    Returns:
        The file.

    Raises:
        FileExistsError: if there is such a file.
        RuntimeError, ValueError: as of `export_onnx`; for another precision; for a network with an
            operation that LiteRT lacks, which is named.

    Example:

    >>> import tempfile
    >>> model = mt.MTNet((8,), (1,), classes=2, input_shape=(2, 8, 8, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export_litert(model, folder + "/m.tflite", ["jump", "run"], precision="int8")
    ...     mt.load_export(path).clip_spec.class_names
    ('jump', 'run')
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision must be one of {PRECISIONS}. Received: precision={precision!r}"
        )
    exportable = prepare(model, class_names, activation, check, "export_litert")
    path = check_new_file(path, ".tflite")
    with quiet():
        content = _convert(exportable, precision)
    with write_beside(path) as beside:
        beside.write_bytes(content)
        with zipfile.ZipFile(beside, "a") as appended:
            appended.writestr("labels.txt", "\n".join(exportable.spec.class_names or ()) + "\n")
            appended.writestr(METADATA, json.dumps(exportable.metadata()))
    compare_and_log(exportable, path)
    return path


def _convert(exportable: Exportable, precision: str) -> bytes:
    import tensorflow as tf

    pooled = dataclasses.replace(exportable, model=with_separable_pooling(exportable.model))
    traced = frozen_function(pooled)
    module = tf.Module()
    # The converter traces what it is given once more, so it is given a call of what is traced.
    module.serve = tf.function(traced, traced.structured_input_signature[0], autograph=False)
    served = module.serve.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([served], module)
    converter.exclude_conversion_metadata = True  # to write it, the file is parsed in Python
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        return converter.convert()
    except Exception as error:  # of a private class
        lacking = re.search(r"^(?:TF Select|Custom) ops: (.*)$", str(error), re.MULTILINE)
        if lacking is None:
            raise
        message = f"LiteRT has no operation for {lacking[1]}, which {exportable.model.name} needs."
        raise ValueError(message) from error
