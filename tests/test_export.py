import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_mtnet import MTNet, export_savedmodel, preprocess_input

NAMES = ["jump", "run", "walk"]

# What a server has: TensorFlow and NumPy, nothing of this package.
SERVE = """
import sys
import numpy as np, tensorflow as tf
served = tf.saved_model.load(sys.argv[1])
clips = np.load(sys.argv[2])
result = served.signatures["serving_default"](clips=tf.constant(clips))
names = served.signatures["class_names"]()["class_names"].numpy()
np.savez(sys.argv[3], scores=result["scores"], labels=result["labels"].numpy().astype(str),
         direct=served.serve(clips)["scores"], names=names.astype(str))
assert not [name for name in sys.modules if name.split(".")[0] == "keras_mtnet"]
"""


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = MTNet((8,), (1,), classes=3)  # clips of any size
    rng = np.random.default_rng(0)  # batch statistics as after a training, not 0 and 1
    model.set_weights([w + 0.1 * np.abs(rng.normal(size=w.shape)) for w in model.get_weights()])
    return model


def test_tensorflow_alone_serves_the_models_own_scores(model, tmp_path):
    path = export_savedmodel(model, tmp_path / "out" / "export", NAMES)
    clips = np.random.default_rng(0).integers(0, 256, (2, 4, 24, 32, 3), "uint8")
    np.save(tmp_path / "clips.npy", clips)
    subprocess.run(
        [sys.executable, "-c", SERVE, path, tmp_path / "clips.npy", tmp_path / "result.npz"],
        check=True,
        cwd=tmp_path,
    )
    served = np.load(tmp_path / "result.npz")
    expected = model.predict_on_batch(preprocess_input(clips))
    np.testing.assert_allclose(served["scores"], expected, atol=1e-4)
    np.testing.assert_allclose(served["direct"], expected, atol=1e-4)
    assert served["labels"].tolist() == [NAMES[i] for i in expected.argmax(axis=1)]
    assert served["names"].tolist() == NAMES
    assert [p.name for p in path.parent.iterdir()] == ["export"]


def test_nothing_is_overwritten(model, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        export_savedmodel(model, tmp_path, NAMES)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_names_must_fit(model, tmp_path):
    with pytest.raises(ValueError, match=r"each of the 3 classes.*2 names"):
        export_savedmodel(model, tmp_path / "export", NAMES[:2])
    assert not (tmp_path / "export").exists()
