import json
import math
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from small_networks import stand_in

import keras_mtnet as mt

# What a server has: TensorFlow and NumPy. The LiteRT file needs its interpreter alone.
SERVE = """
import sys
sys.modules["keras_mtnet"] = sys.modules["keras"] = None  # importing them raises
import json, zipfile
import numpy as np, tensorflow as tf
saved, lite, clips, frames, found = sys.argv[1:]
clips, frames = np.load(clips), np.load(frames)
served = tf.saved_model.load(saved)
result = served.signatures["serving_default"](clips=tf.constant(clips))
video = served.signatures["serve_video"](frames=tf.constant(frames))
told = served.signatures["clip_spec"]()
interpreter = tf.lite.Interpreter(lite)
shape = interpreter.get_input_details()[0]["shape_signature"]
interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], clips.shape)
lite_scores = interpreter.get_signature_runner()(clips=clips)["scores"]
with zipfile.ZipFile(lite) as appended:
    labels = appended.read("labels.txt").decode().split()
    metadata = json.loads(appended.read("metadata.json"))
np.savez(
    found, scores=result["scores"], labels=result["labels"].numpy().astype(str),
    direct=served.serve(clips)["scores"], video_labels=video["labels"].numpy().astype(str),
    video_scores=video["scores"], spec=told["clip_spec"].numpy().decode(),
    names=served.signatures["class_names"]()["class_names"].numpy().astype(str),
    multi_label=told["multi_label"], lite_scores=lite_scores, lite_labels=labels,
    lite_spec=json.dumps(metadata["clip_spec"]), lite_shape=shape,
)
"""


def test_tensorflow_alone_serves_the_models_own_scores(model, exports, clips, scores, tmp_path):
    frames = np.random.default_rng(1).integers(0, 256, (23, 30, 40, 3), "uint8")
    np.save(tmp_path / "clips.npy", clips)
    np.save(tmp_path / "frames.npy", frames)
    inputs = [exports["savedmodel"], exports["litert"], tmp_path / "clips.npy"]
    inputs += [tmp_path / "frames.npy", tmp_path / "found.npz"]
    subprocess.run([sys.executable, "-c", SERVE, *inputs], check=True, cwd=tmp_path)
    found = dict(np.load(tmp_path / "found.npz"))
    names = model.clip_spec.class_names
    for kind in ("scores", "direct", "lite_scores"):
        np.testing.assert_allclose(found[kind], scores, atol=1e-4)
    assert found["labels"].tolist() == [names[i] for i in scores.argmax(axis=1)]
    assert found["names"].tolist() == found["lite_labels"].tolist() == list(names)
    for spec in ("spec", "lite_spec"):
        assert mt.ClipSpec(**json.loads(str(found[spec]))) == model.clip_spec.merge(
            frames=4, size=24
        )
    assert not found["multi_label"]
    assert found["lite_shape"].tolist() == [-1, 4, 24, 24, 3]
    # The crop of 24 of 30 pixels is not resized, so the views are those of `predict_video`.
    best = mt.predict_video(model, frames, num_clips=2)
    assert found["video_labels"].tolist() == [name for name, _ in best]
    np.testing.assert_allclose(found["video_scores"], [score for _, score in best], atol=1e-4)


def test_the_network_is_stored_once_and_without_gradients(exports):
    """Both signatures call one function, and its block another; gradients take long to export."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    stored = SavedModel()
    stored.ParseFromString((exports["savedmodel"] / "saved_model.pb").read_bytes())
    (graph,) = (meta.graph_def for meta in stored.meta_graphs)
    functions = graph.library.function
    nodes = [node for function in functions for node in function.node_def]
    assert not [node.name for node in nodes if "_gradient_op_type" in node.attr]
    networks = [f.signature.name for f in functions if any(n.op == "Softmax" for n in f.node_def)]
    assert len(networks) == 1, networks
    (block,) = (function for function in functions if "_noinline" in function.attr)
    assert any(node.op == "Conv3D" for node in block.node_def)


def test_small_weights_are_constants(tmp_path):
    """Thousands of variables take long to load."""
    network = mt.MTNet((16,), (1,), classes=2, input_shape=(2, 8, 8, 3))
    path = mt.export_savedmodel(network, tmp_path / "export", ["jump", "run"])
    stored = tf.train.list_variables(path / "variables" / "variables")
    sizes = [math.prod(shape) for name, shape in stored if "VARIABLE_VALUE" in name]
    large = [math.prod(w.shape) for w in network.weights if math.prod(w.shape) > 4096]
    assert sorted(sizes) == sorted(large) != []


def test_the_folder_holds_the_spec_and_nothing_is_left_beside(model, exports):
    path = exports["savedmodel"]
    stored = json.loads((path / "assets.extra" / "clip_spec.json").read_text())
    assert mt.ClipSpec(**stored).class_names == model.clip_spec.class_names
    assert [p.name for p in path.parent.iterdir()] == ["savedmodel"]
    weights = sum(weight.numpy().nbytes for weight in model.weights)
    assert next(path.glob("variables/*.data*")).stat().st_size < 1.5 * weights  # stored once


def test_clips_of_any_size(tmp_path):
    """As many frames and pixels as the network takes; without a size there is no `serve_video`."""
    free = stand_in(2, (None, None, None, 3), spec=mt.ClipSpec(class_names=["a", "b"]))
    path = mt.export_savedmodel(free, tmp_path / "export")
    served = tf.saved_model.load(path)
    assert "serve_video" not in served.signatures
    for shape in ((1, 3, 20, 24, 3), (2, 7, 33, 9, 3)):
        clips = np.random.default_rng(0).integers(0, 256, shape, "uint8")
        np.testing.assert_allclose(
            served.serve(clips)["scores"], free.predict_on_batch(clips), 1e-4
        )
    with pytest.raises(ValueError, match="num_crops must be an integer of at least 1"):
        mt.export_savedmodel(free, tmp_path / "other", num_crops=0)


@pytest.mark.parametrize("head", ["logits", "binary", "several"])
def test_scores_of_every_head_are_those_of_predict_video(head, clips, tmp_path):
    network = {
        "logits": lambda: stand_in(3, (4, 24, 24, 3), None),
        "binary": lambda: stand_in(1, (4, 24, 24, 3), "sigmoid"),
        "several": lambda: stand_in(3, (4, 24, 24, 3), "sigmoid"),
    }[head]()
    names = ["no", "yes"] if head == "binary" else ["jump", "run", "walk"]
    export = mt.load_export(mt.export_savedmodel(network, tmp_path / "export", names))
    outputs = network.predict_on_batch(clips)
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    expected = {
        "logits": powers / powers.sum(axis=1, keepdims=True),
        "binary": np.concatenate([1 - outputs, outputs], 1)[:, :2],
        "several": outputs,
    }[head]
    np.testing.assert_allclose(export(clips), expected, atol=1e-4)
    assert export.output_activation == ("sigmoid" if head == "several" else "softmax")
