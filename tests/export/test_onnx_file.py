import json
import subprocess
import sys

import numpy as np
import pytest
from small_networks import stand_in

import keras_mtnet as mt

onnx = pytest.importorskip("onnx")
pytest.importorskip("tf2onnx")

# ONNX Runtime and NumPy, nothing else.
RUN = """
import sys
sys.modules.update(keras_mtnet=None, keras=None, tensorflow=None)  # importing them raises
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
told = session.get_modelmeta().custom_metadata_map
scores, = session.run(["scores"], {"clips": np.load(sys.argv[2])})
np.savez(sys.argv[3], scores=scores, **told)
"""


def test_onnx_runtime_alone_runs_it(model, exports, clips, scores, tmp_path):
    np.save(tmp_path / "clips.npy", clips)
    inputs = [exports["onnx"], tmp_path / "clips.npy", tmp_path / "found.npz"]
    subprocess.run([sys.executable, "-c", RUN, *inputs], check=True, cwd=tmp_path)
    found = dict(np.load(tmp_path / "found.npz"))
    np.testing.assert_allclose(found["scores"], scores, atol=1e-4)
    assert json.loads(str(found["class_names"])) == list(model.clip_spec.class_names)
    spec = mt.ClipSpec(**json.loads(str(found["clip_spec"])))
    assert spec == model.clip_spec.merge(frames=4, size=24)


def test_operations_are_standard_and_constants_are_stored_once(exports):
    proto = onnx.load(exports["onnx"])
    onnx.checker.check_model(proto, full_check=True)
    assert {node.domain for node in proto.graph.node} == {""}
    assert next(each.version for each in proto.opset_import if each.domain == "") == 18
    stored = [each.raw_data + bytes(str(each.dims), "ascii") for each in proto.graph.initializer]
    assert len(stored) < 1.2 * len(set(stored))


def test_open_sizes_are_those_of_the_clip_spec(tmp_path):
    spec = mt.ClipSpec(4, 1, 16, class_names=["a", "b"])
    free = stand_in(2, (None, None, None, 3), spec=spec)
    export = mt.load_export(mt.export_onnx(free, tmp_path / "spec.onnx"))
    assert export.input_shape == (None, 4, 16, 16, 3)
    free.layers[1].clip_spec = mt.ClipSpec(class_names=["a", "b"])
    export = mt.load_export(mt.export_onnx(free, tmp_path / "any.onnx"))
    assert export.input_shape == (None, None, None, None, 3)
    clips = np.random.default_rng(0).integers(0, 256, (2, 7, 33, 9, 3), "uint8")
    np.testing.assert_allclose(export(clips), free.predict_on_batch(clips), atol=1e-5)
