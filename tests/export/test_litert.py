import keras
import numpy as np
import pytest
from small_networks import stand_in

import keras_mtnet as mt
from keras_mtnet.layers.max_pooling import CenteredMaxPooling3D

NAMES = ["jump", "run", "walk"]


@pytest.mark.parametrize("precision, tolerance", [("float16", 0.01), ("int8", 0.1)])
def test_smaller_weights(model, exports, clips, scores, tmp_path, precision, tolerance):
    path = mt.export_litert(model, tmp_path / "m.tflite", precision=precision)
    found = mt.load_export(path)(clips)
    assert 0 < np.abs(found - scores).max() < tolerance
    assert path.stat().st_size < exports["litert"].stat().st_size


def test_loops_and_clips_of_any_size(tmp_path):
    """Shapes are unknown when it is converted: frames go through a loop, windows by index."""
    keras.utils.set_random_seed(0)
    free = mt.MTNet((8,), (1,), classes=3, cell="lstm")
    export = mt.load_export(mt.export_litert(free, tmp_path / "any.tflite", NAMES))
    assert export.input_shape == (None, None, None, None, 3)
    clips = np.random.default_rng(0).integers(0, 256, (2, 5, 24, 40, 3), "uint8")
    np.testing.assert_allclose(export(clips), free(clips), atol=1e-4)  # that of the check is other


def test_3d_pooling_needs_no_operation_of_tensorflow(tmp_path):
    """Of any window, stride and padding."""
    inputs = keras.Input((7, 15, 18, 3))
    x = keras.layers.Conv3D(4, 3)(inputs)  # of both signs
    x = keras.layers.MaxPooling3D((1, 3, 3), (1, 2, 2), padding="same")(x)
    x = CenteredMaxPooling3D((3, 3, 3), (2, 2, 1))(x)
    x = CenteredMaxPooling3D(3, 1)(x)
    x = keras.layers.AveragePooling3D((2, 2, 3), (1, 1, 2), padding="same")(x)
    x = keras.layers.AveragePooling3D((1, 2, 2))(keras.Model(inputs, x, name="inner")(inputs))
    scores = keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(x))
    network = keras.Model(inputs, scores)
    path = mt.export_litert(network, tmp_path / "m.tflite", NAMES)
    clips = np.random.default_rng(0).integers(0, 256, (2, 7, 15, 18, 3), "uint8")
    np.testing.assert_allclose(
        mt.load_export(path)(clips), network.predict_on_batch(clips), atol=1e-4
    )


def test_what_litert_lacks_is_named(tmp_path):
    inputs = keras.Input((4, 16, 16, 3))
    x = keras.layers.Lambda(lambda x: keras.ops.erfinv(x / 300))(inputs)
    x = keras.layers.Dense(3, "softmax")(keras.layers.GlobalAveragePooling3D()(x))
    with pytest.raises(ValueError, match=r"LiteRT has no operation for Erfinv, which .* needs"):
        mt.export_litert(keras.Model(inputs, x), tmp_path / "m.tflite", NAMES)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"precision must be one of .* precision='int4'"):
        mt.export_litert(stand_in(3), tmp_path / "m.tflite", NAMES, precision="int4")
