"""A narrow MTNet and its exports in all formats, made once."""

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_mtnet as mt


@pytest.fixture(scope="session")
def clips() -> np.ndarray:
    """Noise of three brightnesses, so that the network tells the clips apart."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 4, 24, 24, 3), "uint8")
    return noise // np.array([1, 2, 5], "uint8")[:, None, None, None, None]


@pytest.fixture(scope="session")
def scores(model, clips) -> np.ndarray:
    """Of the clips, `(3, 3)`: no two alike."""
    return keras.ops.convert_to_numpy(keras.ops.softmax(model(clips)))


@pytest.fixture(scope="session")
def model(clips) -> keras.Model:
    """With random batch statistics, and logits that differ between clips and classes."""
    keras.utils.set_random_seed(0)
    model = mt.MTNet((8,), (1,), classes=3, input_shape=(4, 24, 24, 3), classifier_activation=None)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.split("/")[-1] in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.split("/")[-1] in ("beta", "moving_mean"):
            weight.assign(rng.uniform(-0.1, 0.1, weight.shape))
    logits = np.asarray(model(clips))
    kernel, bias = model.get_layer("predictions").weights
    kernel.assign(kernel / logits.std(axis=0))
    bias.assign(-logits.mean(axis=0) / logits.std(axis=0))
    model.clip_spec = mt.ClipSpec(stride=2, fps=12.5, class_names=("jump", "run", "walk"))
    return model


@pytest.fixture(scope="session")
def exports(model, tmp_path_factory) -> dict[str, Path]:
    pytest.importorskip("tf2onnx")
    folder = tmp_path_factory.mktemp("exports")
    return {
        "savedmodel": mt.export_savedmodel(model, folder / "out" / "savedmodel", num_clips=2),
        "onnx": mt.export_onnx(model, folder / "m.onnx"),
        "litert": mt.export_litert(model, folder / "m.tflite"),
    }
