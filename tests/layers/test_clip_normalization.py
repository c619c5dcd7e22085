"""ClipNormalization against NumPy in float64."""

import keras
import numpy as np
import pytest

from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.layers import ClipNormalization

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def pixels(dtype="uint8"):
    return np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3)).astype(dtype)


def expected(clips, order):
    clips = clips.astype("float64") / 255
    if order == "bgr":
        clips = clips[..., ::-1]
    return (clips - MEAN) / STD


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_values(order, dtype):
    clips = pixels(dtype)
    y = keras.ops.convert_to_numpy(ClipNormalization(MEAN, STD, order)(clips))
    assert y.dtype == "float32"
    np.testing.assert_allclose(y, expected(clips, order), rtol=1e-5, atol=1e-6)


def test_float64_is_exact():
    y = ClipNormalization(MEAN, STD, dtype="float64")(pixels())
    np.testing.assert_allclose(y, expected(pixels(), "rgb"), rtol=1e-14, atol=1e-15)


def test_without_numbers_clips_stay_as_they_are():
    y = ClipNormalization()(pixels())
    np.testing.assert_array_equal(y, pixels("float32"))
    flipped = ClipNormalization(channel_order="bgr")(pixels())
    np.testing.assert_array_equal(flipped, pixels("float32")[..., ::-1])


@pytest.mark.parametrize("policy, error", [("mixed_float16", 2**-11), ("mixed_bfloat16", 2**-8)])
def test_is_rounded_once_at_the_end(policy, error):
    """A mean near white: float16 of x / 255 - mean would lose the last bits of a pixel."""
    layer = ClipNormalization((0.99,) * 3, (0.001,) * 3, dtype=policy)
    y = layer(pixels())
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    wanted = (pixels().astype("float64") / 255 - 0.99) / 0.001
    y = keras.ops.convert_to_numpy(keras.ops.cast(y, "float32"))
    np.testing.assert_allclose(y, wanted, rtol=error + 1e-6, atol=1e-3)


def test_a_model_takes_uint8_and_mixed_clips():
    """The input is float32: uint8 would truncate what MixUp makes."""
    inputs = keras.Input((3, 4, 5, 3), dtype="float32")
    model = keras.Model(inputs, ClipNormalization(MEAN, STD, dtype="mixed_float16")(inputs))
    mixed = 0.5 * pixels("float32") + 0.25
    for clips in (pixels(), mixed):
        y = model.predict_on_batch(clips)
        np.testing.assert_allclose(y, expected(clips, "rgb"), rtol=1e-3, atol=2e-3)


def test_config_round_trip(tmp_path):
    spec = ClipSpec(frames=3, stride=2, size=4, class_names=["a", "b"])
    layer = ClipNormalization(MEAN, STD, "bgr", clip_spec=spec, dtype="mixed_bfloat16", name="n")
    copy = ClipNormalization.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert copy.clip_spec == spec and copy.dtype_policy.name == "mixed_bfloat16"
    inputs = keras.Input((3, 4, 5, 3))
    model = keras.Model(inputs, layer(inputs))
    layer.clip_spec = spec.merge(fps=12.5)  # as training does
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("n").clip_spec == spec.merge(fps=12.5)
    np.testing.assert_array_equal(
        *(keras.ops.cast(m(pixels("float32")), "float32") for m in (model, loaded))
    )


def test_empty_spec():
    assert ClipNormalization().clip_spec == ClipSpec()
    assert ClipNormalization.from_config(ClipNormalization().get_config()).clip_spec == ClipSpec()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"mean": MEAN}, "mean and std, or neither"),
        ({"mean": MEAN, "std": (1, 1)}, "three numbers"),
        ({"mean": MEAN, "std": (1, 1, 0)}, "above 0"),
        ({"channel_order": "gbr"}, "channel_order.*gbr"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ClipNormalization(**arguments)


@pytest.mark.parametrize("shape", [(2, 3, 4, 3), (2, 3, 4, 5, 1)])
def test_refuses_what_is_no_rgb_clip(shape):
    with pytest.raises(ValueError, match="Clips must have shape"):
        ClipNormalization()(np.zeros(shape, "float32"))


def test_refuses_a_batch_of_no_clips():
    with pytest.raises(ValueError, match="at least one clip"):
        ClipNormalization()(np.zeros((0, 3, 4, 5, 3), "float32"))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a tf.function")
def test_clips_that_a_function_captured():
    """They are constants of the graph; their values cannot be looked at there."""
    import tensorflow as tf

    layer, clips = ClipNormalization(MEAN, STD), tf.constant(pixels("float32"))
    found = tf.function(lambda: layer(clips))()
    np.testing.assert_allclose(found, expected(pixels(), "rgb"), rtol=1e-5, atol=1e-6)
