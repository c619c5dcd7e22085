import doctest
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_mtnet import MTNet, export, export_savedmodel
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.models.video_model import clip_spec_of

NAMES = ["jump", "run", "walk"]

# What a server has: TensorFlow and NumPy, nothing of this package.
SERVE = """
import sys
import numpy as np, tensorflow as tf
served = tf.saved_model.load(sys.argv[1])
clips = np.load(sys.argv[2])
result = served.signatures["serving_default"](clips=tf.constant(clips))
names = served.signatures["class_names"]()["class_names"].numpy()
spec = served.signatures["clip_spec"]()["clip_spec"].numpy()
np.savez(sys.argv[3], scores=result["scores"], labels=result["labels"].numpy().astype(str),
         direct=served.serve(clips)["scores"], names=names.astype(str), spec=spec.decode())
assert not [name for name in sys.modules if name.split(".")[0] == "keras_mtnet"]
"""


def make(classes=3, **options) -> keras.Model:
    """A network for clips of any size, with batch statistics as after a training."""
    keras.utils.set_random_seed(0)
    model = MTNet((8,), (1,), classes=classes, **options)
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.1 * np.abs(rng.normal(size=w.shape)) for w in model.get_weights()])
    return model


def serve(path, clips, folder) -> dict[str, np.ndarray]:
    np.save(folder / "clips.npy", clips)
    command = [sys.executable, "-c", SERVE, path, folder / "clips.npy", folder / "result.npz"]
    subprocess.run(command, check=True, cwd=folder)
    return dict(np.load(folder / "result.npz"))


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return make()


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 4, 24, 32, 3), "uint8")


def test_examples():
    assert doctest.testmod(export).failed == 0


def test_tensorflow_alone_serves_the_models_own_scores(model, clips, tmp_path):
    model.clip_spec = ClipSpec(stride=2, fps=12.5, class_names=NAMES)
    path = export_savedmodel(model, tmp_path / "out" / "export")
    served = serve(path, clips, tmp_path)
    expected = model.predict_on_batch(clips)
    np.testing.assert_allclose(served["scores"], expected, atol=1e-4)
    np.testing.assert_allclose(served["direct"], expected, atol=1e-4)
    assert served["labels"].tolist() == [NAMES[i] for i in expected.argmax(axis=1)]
    assert served["names"].tolist() == NAMES
    assert ClipSpec(**json.loads(str(served["spec"]))) == clip_spec_of(model)
    stored = json.loads((path / "assets.extra" / "clip_spec.json").read_text())
    assert ClipSpec(**stored) == clip_spec_of(model)
    assert [p.name for p in path.parent.iterdir()] == ["export"]


def test_scores_of_every_head_are_probabilities(clips, tmp_path):
    logits = make(classifier_activation=None)
    served = serve(export_savedmodel(logits, tmp_path / "logits", NAMES), clips, tmp_path)
    outputs = logits.predict_on_batch(clips)
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(served["scores"], expected, atol=1e-4)
    binary = make(1, classifier_activation="sigmoid")
    served = serve(export_savedmodel(binary, tmp_path / "binary", ["no", "yes"]), clips, tmp_path)
    yes = binary.predict_on_batch(clips)
    np.testing.assert_allclose(served["scores"], np.concatenate([1 - yes, yes], 1), atol=1e-4)
    assert served["labels"].tolist() == [["no", "yes"][int(p > 0.5)] for p in yes[:, 0]]


def test_nothing_is_overwritten(model, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        export_savedmodel(model, tmp_path, NAMES)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_names_must_fit(tmp_path):
    plain = make()
    with pytest.raises(ValueError, match=r"each of the 3 classes.*2 names"):
        export_savedmodel(plain, tmp_path / "export", NAMES[:2])
    with pytest.raises(ValueError, match="does not know its classes: pass class_names"):
        export_savedmodel(plain, tmp_path / "export")
    plain.clip_spec = ClipSpec(class_names=NAMES)
    with pytest.raises(ValueError, match=r"class_names=\('jump'.*Received: class_names=\('a'"):
        export_savedmodel(plain, tmp_path / "export", list("abc"))
    relu = keras.Model(plain.input, keras.layers.ReLU()(plain.output))
    with pytest.raises(ValueError, match="pass activation='softmax'"):
        export_savedmodel(relu, tmp_path / "export", NAMES)
    assert not (tmp_path / "export").exists()


def test_other_backends_are_told_what_to_do(tmp_path):
    script = (
        "import keras_mtnet as mt, sys\n"
        "model = mt.MTNet((8,), (1,), classes=2, input_shape=(4, 16, 16, 3))\n"
        "mt.export_savedmodel(model, sys.argv[1], ['a', 'b'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "export"],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert "needs the TensorFlow backend" in done.stderr
    assert "set KERAS_BACKEND=tensorflow and load it there. Received: the jax" in done.stderr
    assert not (tmp_path / "export").exists()


# --- LiteRT through Keras and TensorFlow ---------------------------------------------------------


def run_lite(content: bytes, clips: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=content)
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, clips.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, clips)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.filterwarnings("ignore")
def test_litert_of_any_shape_needs_no_operation_of_tensorflow(tmp_path):
    """Shapes are unknown when it is converted: frames go through a loop, windows by index."""
    model = make(cell="lstm")
    model.export(tmp_path / "any.tflite", format="litert", verbose=False)
    content = (tmp_path / "any.tflite").read_bytes()
    rng = np.random.default_rng(0)
    for shape in ((1, 8, 32, 32, 3), (2, 5, 24, 40, 3)):
        clips = rng.uniform(0, 255, shape).astype("float32")
        np.testing.assert_allclose(run_lite(content, clips), model.predict(clips), atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_litert_in_int8(capfd):
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = MTNet((8, 16), (1, 1), classes=3, input_shape=(8, 32, 32, 3))
    rng = np.random.default_rng(0)
    clips = rng.uniform(0, 255, (1, 8, 32, 32, 3)).astype("float32")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([clips] for _ in range(4))
    found = run_lite(converter.convert(), clips)
    np.testing.assert_allclose(found, model.predict(clips), atol=0.02)
