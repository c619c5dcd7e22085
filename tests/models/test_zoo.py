"""Every network and every preset, at a depth of one block per stage: that all parts meet."""

import json

import keras
import numpy as np
import pytest

import keras_mtnet as mt
from keras_mtnet import cli
from keras_mtnet.models import build
from keras_mtnet.models.builder import BUILDERS
from keras_mtnet.weights.hub import cache_folder

ROWS = {f"{row.model}-{row.weights}": row for row in mt.list_presets()}
# One network of each code path, but for MTNets, of which test_builder.py and test_export.py train
# and export both variants; the others differ from it in depth.
DISTINCT = {
    "I3D": {},
    "S3D": {},
    "MFNet": {},
    "X3DXS": {},
    "X3DXL": {"shortcut_norm": True},
    "R3D18": {},
    "MC3_18": {},
    "ResNet3D50": {},
    "R2Plus1D18": {},
    "R2Plus1D50": {},
    "NarrowR2Plus1D50": {},
    "SRTGR3D34": {},
    "SRTGR2Plus1D50": {},
    "IRCSN101": {},
    "IPCSN152": {},
    "SlowOnly50": {},
    "SlowFast50": {"variant": "4x16"},
    "SlowFast101": {"non_local": True},
    "TSM50": {},
    "BLVNetTAM50": {},
}


pytestmark = pytest.mark.usefixtures("shallow")


@pytest.mark.parametrize("name", sorted(BUILDERS.keys() - {"MTNet"}))
def test_info(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["info", name, "--input", "4x32x32"])
    assert not stopped.value.code
    assert "one clip of 4x32x32x3" in capsys.readouterr().out


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_preset(row, home):
    """What a user gets who has converted its checkpoint: weights, normalization, clip spec."""
    if row.package:
        pytest.skip("its weights are tested where they can be installed")
    keras.utils.set_random_seed(0)
    model = build(row.model, classes=row.classes, **row.options)
    cache_folder().mkdir(parents=True)
    model.save_weights(cache_folder() / row.file)
    loaded = build(row.model, weights=row.weights)
    for one, other in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert loaded.clip_spec == row.clip_spec
    assert np.isfinite(loaded(np.zeros((2, 1, 1, 1, 3), "uint8"))).all()
    scores = loaded(clips(1)[:, :3, :29, :21], training=False)
    assert scores.shape == (1, row.classes) and np.allclose(np.sum(scores), 1, atol=1e-4)


@pytest.mark.parametrize("name", DISTINCT)
def test_training_saving_and_export(name, tmp_path):
    keras.utils.set_random_seed(0)
    spec = mt.ClipSpec(4, stride=2, size=32, class_names=("run", "jump"))
    model = build(name, classes=2, input_shape=(4, 32, 32, 3), **DISTINCT[name])
    model.clip_spec = spec
    ends = [model.trainable_weights[i] for i in (0, -1)]  # between them, scales may begin with 0
    before = [np.array(weight) for weight in ends]
    # Eagerly, as tracing a step takes most of the time; the export traces the network.
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    assert np.isfinite(model.train_on_batch(clips(2), np.array([0, 1])))
    assert all(np.isfinite(weight).all() for weight in model.weights)
    assert not any(map(np.array_equal, ends, before))
    scores = np.asarray(model(clips(2), training=False))

    model.save(tmp_path / "model.keras")
    loaded = mt.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded(clips(2), training=False), scores)
    assert loaded.clip_spec == spec
    # A graph of known sizes, which TensorFlow rewrites most.
    np.testing.assert_allclose(loaded.predict_on_batch(clips(2)), scores, atol=1e-5)

    import tensorflow as tf

    served = tf.saved_model.load(mt.export_savedmodel(loaded, tmp_path / "served"))
    result = served.signatures["serve"](clips=tf.constant(clips(2)))
    np.testing.assert_allclose(result["scores"], scores, atol=1e-5)
    stored = served.signatures["clip_spec"]()["clip_spec"].numpy()
    assert mt.ClipSpec(**json.loads(stored)) == spec


def clips(count):
    return np.random.default_rng(0).integers(0, 256, (count, 4, 32, 32, 3), "uint8")
