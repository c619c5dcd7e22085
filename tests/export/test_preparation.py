"""What every format refuses, before anything is written."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from small_networks import stand_in

import keras_mtnet as mt

NAMES = ["jump", "run", "walk"]
FORMATS = pytest.mark.parametrize(
    "export, name",
    [
        (mt.export_savedmodel, "export"),
        (mt.export_onnx, "m.onnx"),
        (mt.export_litert, "m.tflite"),
    ],
    ids=("savedmodel", "onnx", "litert"),
)


@FORMATS
def test_names_must_fit(export, name, tmp_path):
    plain = stand_in(3)
    with pytest.raises(ValueError, match=r"each of the 3 classes.*2 names"):
        export(plain, tmp_path / name, NAMES[:2])
    with pytest.raises(ValueError, match="does not know its classes: pass class_names"):
        export(plain, tmp_path / name)
    known = stand_in(3, spec=mt.ClipSpec(class_names=NAMES))
    with pytest.raises(ValueError, match=r"class_names=\('jump'.*Received: class_names=\('a'"):
        export(known, tmp_path / name, list("abc"))
    relu = keras.Model(plain.input, keras.layers.ReLU()(plain.output))
    with pytest.raises(ValueError, match="pass activation='softmax'"):
        export(relu, tmp_path / name, NAMES)
    with pytest.raises(mt.video.VideoError, match=r"gone\.mp4"):
        export(plain, tmp_path / name, NAMES, check=[tmp_path / "gone.mp4"])
    assert not list(tmp_path.iterdir())


@FORMATS
def test_nothing_is_overwritten(export, name, tmp_path):
    place = tmp_path / name
    if export is mt.export_savedmodel:
        place.mkdir()
        (place / "mine.txt").write_text("mine")
    else:
        place.write_text("mine")
    with pytest.raises(FileExistsError, match=r"not empty|nothing was written"):
        export(stand_in(3), place, NAMES)
    assert (place / "mine.txt" if place.is_dir() else place).read_text() == "mine"
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize(
    "export, suffix", [(mt.export_onnx, ".onnx"), (mt.export_litert, ".tflite")]
)
def test_files_compute_in_float32_and_end_as_they_should(export, suffix, tmp_path):
    with pytest.raises(ValueError, match=f"must end in {suffix}. Received: path=.*m.bin"):
        export(stand_in(3), tmp_path / "m.bin", NAMES)
    inputs = keras.Input((4, 16, 16, 3))
    x = keras.layers.GlobalAveragePooling3D()(inputs)
    half = keras.Model(inputs, keras.layers.Dense(3, "softmax", dtype="mixed_bfloat16")(x))
    with pytest.raises(ValueError, match=r"computes in bfloat16: build the network with dtype='fl"):
        export(half, tmp_path / f"m{suffix}", NAMES)
    half.layers[-1].dtype_policy = "float32"
    half.layers[-1].kernel.assign(np.full((3, 3), np.nan))
    with pytest.raises(ValueError, match=r"Weights of .* are not finite: dense.*/kernel, 1 in all"):
        export(half, tmp_path / f"m{suffix}", NAMES)
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_is_named(tmp_path, exports, monkeypatch):
    find = importlib.util.find_spec
    missing = ("tf2onnx", "onnxruntime", "ai_edge_litert", "tensorflow")
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n in missing else find(n))
    with pytest.raises(ImportError, match=r'onnxruntime and tf2onnx: pip install "keras-mtnet\[on'):
        mt.export_onnx(stand_in(3), tmp_path / "m.onnx", NAMES)
    with pytest.raises(ImportError, match=r'needs onnxruntime: pip install "keras-mtnet\[onnx\]"'):
        mt.load_export(exports["onnx"])
    with pytest.raises(ImportError, match=r'ai_edge_litert: pip install "keras-mtnet\[litert\]"'):
        mt.load_export(exports["litert"])
    with pytest.raises(ImportError, match=r'tensorflow: pip install "tensorflow"'):
        mt.load_export(exports["savedmodel"])


def test_other_backends_are_told_what_to_do(tmp_path):
    script = (
        "import keras, keras_mtnet as mt, sys\n"
        "model = keras.Sequential([keras.Input((4, 16, 16, 3)), keras.layers.Flatten()])\n"
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
