"""ONNX, for ONNX Runtime and whatever else reads it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_mtnet.export.comparison import compare_and_log
from keras_mtnet.export.preparation import (
    Exportable,
    check_installed,
    check_new_file,
    frozen_function,
    prepare,
    quiet,
    to_json,
)
from keras_mtnet.files import write_beside

# The first with an antialiased Resize; ONNX Runtime reads it since 1.14 (2023).
OPSET = 18


def export_onnx(
    model: keras.Model,
    path: str | os.PathLike,
    class_names: Sequence[str] | None = None,
    activation: str | None = None,
    check: Sequence[Any] = (),
) -> Path:
    """Writes an ONNX file from clips to scores, of standard operations only.

    Input `clips`: uint8 RGB `(N, T, H, W, 3)`, any N. T, H and W are those of `model.input_shape`;
    where that leaves them open, those of `model.clip_spec`; where that does not know them either,
    any. Output `scores`: float32 `(N, classes)` in [0, 1], as of `export_savedmodel`. The file's
    metadata hold `clip_spec`, `class_names` and `multi_label` as JSON.

    Args:
        model, class_names, activation, check: as for `export_savedmodel`.
        path: a new file that ends in `.onnx`.

    Returns:
        The file.

    Raises:
        ImportError: without the extra `keras-mtnet[onnx]`.
        FileExistsError: if there is such a file.
        RuntimeError, ValueError: as of `export_savedmodel`; also for a network that does not
            compute in float32.

    Example:

    >>> import tempfile
    >>> model = mt.MTNet((8,), (1,), classes=2, input_shape=(2, 8, 8, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export_onnx(model, folder + "/m.onnx", ["jump", "run"])
    ...     mt.load_export(path).input_shape
    (None, 2, 8, 8, 3)
    """
    check_installed("ONNX", "onnx", "onnxruntime", "tf2onnx")
    exportable = prepare(model, class_names, activation, check, "export_onnx")
    path = check_new_file(path, ".onnx")
    with quiet():
        proto = _convert(exportable)
    for name, value in to_json(exportable.metadata()).items():
        proto.metadata_props.add(key=name, value=value)
    with write_beside(path) as beside:
        beside.write_bytes(proto.SerializeToString())
    compare_and_log(exportable, path)
    return path


def _convert(exportable: Exportable) -> Any:
    """The ONNX `ModelProto` of a network.

    `tf2onnx.convert.from_function`, which Keras calls, freezes variables, copies the graph for each
    of twelve optimizers, and carries each of thousands of equal constants along.
    """
    import tensorflow as tf
    from tf2onnx.optimizer import optimize_graph
    from tf2onnx.optimizer.merge_duplicated_nodes_optimizer import MergeDuplicatedNodesOptimizer
    from tf2onnx.tf_loader import tf_optimize
    from tf2onnx.tfonnx import process_tf_graph

    function = frozen_function(exportable)
    (clips,), (scores,) = function.inputs, function.outputs
    ends = [clips.name], [scores.name]
    with tf.Graph().as_default():
        graph_def = tf_optimize(*ends, _share(function.graph.as_graph_def()))
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(_share(graph_def), name="")
        converted = process_tf_graph(
            graph,
            opset=OPSET,
            input_names=ends[0],
            output_names=ends[1],
            tensors_to_rename={clips.name: "clips", scores.name: "scores"},
        )
    # ONNX Runtime does the work of the other optimizers, and more, when it loads a file.
    merge = {"merge": MergeDuplicatedNodesOptimizer}
    converted = optimize_graph(converted, catch_errors=False, optimizers=merge)
    return converted.make_model(exportable.model.name)


def _share(graph_def: Any) -> Any:
    """Leaves one of each group of equal constants, in place; MTNet-S has 10,000 in 600 groups."""
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    for node in graph_def.node:
        if node.op == "Const":
            same[node.name] = first.setdefault(
                node.attr["value"].tensor.SerializeToString(deterministic=True), node.name
            )
    kept = [node for node in graph_def.node if same.get(node.name, node.name) == node.name]
    shared = type(graph_def)(node=kept, versions=graph_def.versions, library=graph_def.library)
    for node in shared.node:
        for place, name in enumerate(node.input):
            bare = name.removeprefix("^")  # which marks what must come before
            if same.get(bare, bare) != bare:
                node.input[place] = name[: len(name) - len(bare)] + same[bare]
    return shared
