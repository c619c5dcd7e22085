import json

import keras
import numpy as np
import pytest

import keras_mtnet as mt
from keras_mtnet.data.clip_reader import ClipReader

pytest.importorskip("matplotlib")
VIDEO = np.random.default_rng(0).integers(0, 256, (20, 40, 48, 3), dtype="uint8")
NAMES = ["jump", "run", "<b>"]


@pytest.fixture(scope="module")
def model():
    model = mt.MTNet((8, 16), (1, 1), classes=3, input_shape=(8, 32, 32, 3))
    model.clip_spec = mt.ClipSpec(frames=8, stride=2, size=32, class_names=NAMES)
    return model


@pytest.fixture(scope="module")
def found(model):
    return mt.explain.explain_video(model, VIDEO, "run", top=2)


def test_what_is_explained_is_what_is_predicted(model, found):
    assert found.best == mt.predict_video(model, VIDEO, top=2, num_clips=1, num_crops=1)
    assert found.label == "run" and mt.explain.explain_video(model, VIDEO).label == found.best[0][0]
    assert found.frames.shape == (8, 224, 224, 3) and found.saliency.shape == (8, 224, 224)
    clip = ClipReader(model.clip_spec).views(VIDEO)[0]
    np.testing.assert_array_equal(found.saliency[:, ::7, ::7], mt.explain.grad_cam(model, clip, 1))
    assert found.first_kept == mt.explain.kept_frames(model, clip)[0].frames


def test_files(found, tmp_path):
    folder = found.write(tmp_path / "new" / "folder")
    names = "branches.png explanation.json kept_frames.png saliency.gif saliency.mp4 saliency.png"
    assert sorted(path.name for path in folder.iterdir()) == names.split()
    for name in ("saliency.gif", "saliency.mp4"):
        shown = mt.video.read_frames(folder / name, range(8)).astype(float)
        assert shown.shape == (8, 224, 224, 3)
        expected = mt.explain.overlay(found.frames, found.saliency)
        assert np.abs(shown - expected).mean() < 20 < np.abs(shown - shown[::-1]).mean()
    stored = json.loads((folder / "explanation.json").read_text())
    assert stored["label"] == "run" and len(stored["saliency_per_frame"]) == 8
    assert stored["kept_frames"][0]["frames"] == list(found.first_kept)
    assert stored["branch_energy"][1]["prolonged_share"] == found.energies[1].share
    with pytest.raises(FileExistsError, match="not empty"):
        found.write(folder)


def test_networks_of_other_kinds(tmp_path):
    conv = keras.layers.Conv3D(4, 3, activation="relu")
    pool, dense = keras.layers.GlobalAveragePooling3D(), keras.layers.Dense(3, "softmax")
    model = keras.Sequential([keras.Input((4, 32, 32, 3)), conv, pool, dense])
    found = mt.explain.explain_video(model, VIDEO, 2, stride=1)
    assert (found.label, found.kept, found.energies) == ("2", [], [])
    folder = found.write(tmp_path / "out")
    assert {path.suffix for path in folder.iterdir()} == {".png", ".gif", ".mp4", ".json"}
    assert not (folder / "branches.png").exists()


def test_unknown_labels(model):
    with pytest.raises(ValueError, match=r"a class of the model \('jump'.* Received: 'swim'"):
        mt.explain.explain_video(model, VIDEO, "swim")
    with pytest.raises(ValueError, match=r"a class of the model .* Received: 3"):
        mt.explain.explain_video(model, VIDEO, 3)
