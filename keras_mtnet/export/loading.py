"""Exports back: SavedModel, ONNX and LiteRT as models that `predict_video` takes."""

import importlib.util
import json
import os
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.export.exported_model import ExportedModel, Run
from keras_mtnet.export.preparation import check_installed

METADATA = "metadata.json"  # in the zip at the end of a LiteRT file
_LARGEST_METADATA = 2**24  # bytes

Loaded = tuple[Run, Sequence[int | None], dict[str, Any]]


def is_export(path: str | os.PathLike) -> bool:
    """Whether a path names an export: a SavedModel's folder, or a file by its suffix."""
    path = Path(path)
    return path.suffix in (".onnx", ".tflite") or (path / "saved_model.pb").is_file()


def load_export(path: str | os.PathLike) -> ExportedModel:
    """Loads what `export_savedmodel`, `export_onnx` or `export_litert` wrote, for inference.

    Args:
        path: the folder of a SavedModel, or a file that ends in `.onnx` or `.tflite`.

    Returns:
        A model that `predict_video` and `evaluate_views` take, with the clip spec of the export.

    Raises:
        ImportError: if the program that runs the format is not installed.
        OSError: if there is nothing to read.
        ValueError: if it is no export of this package.

    Example:

    >>> import tempfile
    >>> model = mt.MTNet((8,), (1,), classes=2, input_shape=(2, 8, 8, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = mt.export_savedmodel(model, folder + "/export", ["jump", "run"])
    ...     load_export(path).clip_spec.class_names
    ('jump', 'run')
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no export at {path}.")
    if not is_export(path):
        raise ValueError(f"{path} is no export: neither .onnx, .tflite nor a SavedModel's folder.")
    load = {".onnx": _load_onnx, ".tflite": _load_litert}.get(path.suffix, _load_savedmodel)
    try:
        run, shape, metadata = load(path)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} holds no clip spec: it is no export of keras_mtnet.") from error
    spec = ClipSpec(**metadata["clip_spec"])
    return ExportedModel(run, shape, spec, bool(metadata["multi_label"]), path.name)


def _load_savedmodel(path: Path) -> Loaded:
    check_installed("A SavedModel", "tensorflow")
    import tensorflow as tf

    served = tf.saved_model.load(os.fspath(path))
    serve, told = served.signatures["serve"], served.signatures["clip_spec"]()
    metadata = {
        "clip_spec": json.loads(told["clip_spec"].numpy()),
        "multi_label": told["multi_label"].numpy(),
    }
    shape = serve.structured_input_signature[1]["clips"].shape

    def run(clips: np.ndarray) -> np.ndarray:
        # By its name: variables live as long as what was loaded, not as long as a signature.
        return served.signatures["serve"](clips=tf.constant(clips))["scores"].numpy()

    return run, tuple(shape), metadata


def _load_onnx(path: Path) -> Loaded:
    check_installed("An ONNX file", "onnxruntime")
    import onnxruntime

    try:
        # Without a list of its own it would try every device that it was built for.
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # those of onnxruntime have no public class in common
        raise ValueError(f"{path} cannot be read as ONNX: {error}") from error
    told = session.get_modelmeta().custom_metadata_map
    metadata = {name: json.loads(told[name]) for name in ("clip_spec", "multi_label")}
    shape = [n if isinstance(n, int) else None for n in session.get_inputs()[0].shape]
    return lambda clips: session.run(["scores"], {"clips": clips})[0], shape, metadata


def _load_litert(path: Path) -> Loaded:
    with zipfile.ZipFile(path) as appended:
        if appended.getinfo(METADATA).file_size > _LARGEST_METADATA:
            raise ValueError(f"{path}: its {METADATA} is too large.")
        metadata = json.loads(appended.read(METADATA))
    interpreter = _interpreter(path.read_bytes())
    (given,) = interpreter.get_input_details()
    (result,) = interpreter.get_output_details()

    def run(clips: np.ndarray) -> np.ndarray:
        if tuple(interpreter.get_input_details()[0]["shape"]) != clips.shape:
            interpreter.resize_tensor_input(given["index"], clips.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], clips)
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    shape = [None if n < 0 else int(n) for n in given["shape_signature"]]
    return run, shape, metadata


def _interpreter(content: bytes) -> Any:
    """Of the package ai-edge-litert, or else of TensorFlow, which has an older one."""
    if importlib.util.find_spec("ai_edge_litert"):
        from ai_edge_litert.interpreter import Interpreter
    elif importlib.util.find_spec("tensorflow"):
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter
    else:
        check_installed("A LiteRT file", "ai_edge_litert")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
        return Interpreter(model_content=content, num_threads=os.cpu_count())
