"""What every layer promises: configuration, saving, unknown sizes, precisions, XLA, shapes."""

import keras
import numpy as np
import pytest
from layer_cases import LAYERS, SHAPE, clip, make, model_of

# Slow to trace: MTBlock is tested as a part of a network there, in models/test_mtnet.py.
WITHOUT_BLOCKS = [name for name in LAYERS if not name.startswith("mt_block")]


@pytest.mark.parametrize("name", LAYERS)
def test_config_round_trip(name):
    layer = make(name, name="own_name", dtype="mixed_bfloat16")
    config = layer.get_config()
    for argument, value in LAYERS[name][1].items():
        if argument not in ("activation", "kernel_initializer"):
            assert np.all(config[argument] == value), argument
    copy = type(layer).from_config(config)
    assert copy.get_config() == config
    assert copy.dtype_policy.name == "mixed_bfloat16"
    copy.build(SHAPE)
    copy.set_weights(layer.get_weights())
    x = clip()
    np.testing.assert_array_equal(
        keras.ops.cast(copy(x), "float32"), keras.ops.cast(layer(x), "float32")
    )


@pytest.mark.parametrize("name", LAYERS)
def test_keras_file_round_trip(name, tmp_path):
    layer = make(name)
    model, x = model_of(layer), clip()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    ours = {weight.path: weight.numpy() for weight in model.weights}
    theirs = {weight.path: weight.numpy() for weight in loaded.weights}
    assert ours.keys() == theirs.keys()


@pytest.mark.parametrize("name", LAYERS)
def test_no_property_holds_layers(name):
    """Keras walks all attributes to save a layer: such a property would rearrange its files."""
    layer = make(name)
    own = [kind for kind in type(layer).__mro__ if kind.__module__.startswith("keras_mtnet")]
    properties = {
        n for kind in own for n, value in vars(kind).items() if isinstance(value, property)
    }
    values = {n: getattr(layer, n) for n in properties}
    held = (keras.Layer, list, tuple, dict, set)
    assert [n for n, value in values.items() if isinstance(value, held)] == []


@pytest.mark.parametrize("name", LAYERS)
def test_shapes(name):
    """`compute_output_shape` tells the shape of the result, for known, odd and unknown sizes."""
    layer = make(name)
    for shape in (SHAPE, (1, 5, 7, 3, 8), (3, 1, 1, 1, 8)):
        assert tuple(layer(clip(shape)).shape) == tuple(layer.compute_output_shape(shape))
    unknown = (None, None, None, None, 8)
    *sizes, channels = layer.compute_output_shape(unknown)
    assert sizes == [None] * 4 and channels == layer(clip()).shape[-1]


@pytest.mark.parametrize("name", WITHOUT_BLOCKS)
def test_unknown_sizes_change_nothing(name):
    """One graph of unknown frames, rows and columns, for clips of several sizes."""
    layer = make(name)
    model = model_of(layer, (None, None, None))
    for shape in (SHAPE, (1, 5, 7, 3, 8), (3, 1, 1, 1, 8)):
        x = clip(shape)
        y = model.predict_on_batch(x)
        assert y.shape == tuple(layer.compute_output_shape(shape))
        np.testing.assert_allclose(y, layer(x), rtol=1e-4, atol=1e-5)


# Relative to the largest value: a rounding is 2^-11 and 2^-8, and the blocks round some 20 times.
ERRORS = {"float16": 0.01, "bfloat16": 0.06, "float64": 1e-5}
POLICIES = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64")


def call(layer, x, training):
    takes_training = "training" in layer._call_signature.parameters
    return layer(x, training=training) if takes_training else layer(x)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", LAYERS)
def test_every_policy_is_near_float32(name, policy, training):
    full, other = make(name), make(name, dtype=policy)
    other.set_weights(full.get_weights())
    kept = {weight.dtype for weight in other.weights if "seed" not in weight.path}
    assert kept <= {other.variable_dtype}
    x = clip()
    y = call(other, x, training)
    assert keras.backend.standardize_dtype(y.dtype) == other.compute_dtype
    y = np.array(keras.ops.cast(y, "float64"))
    assert np.isfinite(y).all()
    if training and "stochastic" in name:
        return  # draws in one type are not those in another
    expected, error = np.array(call(full, x, training)), ERRORS[other.compute_dtype]
    np.testing.assert_allclose(y, expected, rtol=0, atol=error * np.abs(expected).max())
    for weight, same in zip(other.get_weights(), full.get_weights(), strict=True):
        np.testing.assert_allclose(  # moving statistics, too
            weight.astype("float64"), same, rtol=0, atol=error * max(1, np.abs(same).max())
        )


@pytest.mark.parametrize("name", LAYERS)
def test_a_batch_of_no_clips_gives_none_or_is_refused(name):
    layer, x = make(name), np.zeros((0, *SHAPE[1:]), "float32")
    if name.startswith(("mt_conv", "mt_block", "grouped", "depthwise")):
        with pytest.raises(ValueError, match="needs at least one clip"):
            layer(x)
    else:
        assert tuple(layer(x).shape) == tuple(layer.compute_output_shape(x.shape))


@pytest.mark.parametrize("name", WITHOUT_BLOCKS)
def test_xla_changes_nothing(name):
    layer = make(name)
    model, x = model_of(layer), clip()
    model.compile(jit_compile=True)
    np.testing.assert_allclose(model.predict_on_batch(x), layer(x), rtol=1e-4, atol=1e-5)
