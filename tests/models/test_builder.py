"""What all builders share, held to every builder: signature, errors, stages, clip spec."""

import inspect

import keras
import numpy as np
import pytest

import keras_mtnet as mt
from keras_mtnet.clip_spec import ClipSpec
from keras_mtnet.models import builder
from keras_mtnet.models.builder import BUILDERS, build

COMMON = (
    *("include_top", "weights", "input_tensor", "input_shape", "pooling", "classes"),
    *("classifier_activation", "name"),
)
TWO_STAGES = {"stage_filters": (8, 16), "stage_depths": (1, 1)}
# Narrow networks of every family; whoever adds a family adds a line.
NARROW = {
    "MTNet": {"model": "MTNet", **TWO_STAGES},
    "released": {"model": "MTNet", "variant": "released", **TWO_STAGES},
}
CLIP = (8, 32, 32, 3)
families = pytest.mark.parametrize("family", NARROW)


def narrow(family, **options):
    return build(**{"classes": 4, **NARROW[family], **options})


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype("uint8")


@pytest.mark.parametrize("name", BUILDERS)
def test_signature_is_that_of_keras_applications(name):
    parameters = inspect.signature(BUILDERS[name]).parameters
    positional = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert tuple(positional[-len(COMMON) :]) == COMMON
    assert {"include_preprocessing", "dtype"} <= parameters.keys()
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters.values())
    assert BUILDERS[name].__doc__ and getattr(mt.models, name) is BUILDERS[name]


@pytest.mark.parametrize(
    "wrong, right",
    [("num_classes", "classes"), ("input_shapes", "input_shape"), ("pretrained", "weights")],
)
def test_a_wrong_keyword_is_answered(wrong, right):
    for name in ("MTNetM", "MTNet"):
        with pytest.raises(TypeError, match=rf"{name}\(\).*'{wrong}': did you mean '{right}'\?"):
            BUILDERS[name](**{wrong: 10})
    with pytest.raises(TypeError, match=r"no argument 'xyzzy'\. It has: include_top, weights"):
        mt.MTNetM(xyzzy=1)


def test_refuses_unknown_networks():
    with pytest.raises(ValueError, match=r"Did you mean 'MTNet\w*'\? Received: 'MTNetXXL'"):
        build("MTNetXXL")


@families
def test_with_and_without_the_top(family):
    model, x = narrow(family), pixels(2, *CLIP)
    assert model.input_shape == (None, None, None, None, 3) and model.input_dtype == "float32"
    assert [layer.name for layer in model.layers[:2]] == ["clips", "normalization"]
    assert model.layers[-1].name == "predictions"
    scores = model.predict(x, verbose=0)
    assert scores.dtype == "float32" and scores.shape == (2, 4)
    np.testing.assert_allclose(scores.sum(-1), 1, rtol=1e-5)
    maps = narrow(family, include_top=False)
    average, largest = (narrow(family, include_top=False, pooling=p) for p in ("avg", "max"))
    for other in (average, largest):
        other.set_weights(maps.get_weights())
        assert other(x).shape == (2, maps.output_shape[-1])
    assert maps(x).ndim == 5


@families
def test_input_tensor(family):
    raw = keras.Input((None, None, None, 3), name="raw", dtype="uint8")
    model, plain = narrow(family, input_tensor=raw), narrow(family)
    plain.set_weights(model.get_weights())
    x = pixels(1, *CLIP)
    np.testing.assert_allclose(model(x), plain(x), rtol=1e-5, atol=1e-6)
    assert [tensor.name for tensor in model.inputs] == ["raw"]


@families
def test_sizes_may_change(family):
    model = narrow(family)
    for shape in ((1, 8, 32, 32, 3), (2, 5, 19, 23, 3), (1, 1, 8, 8, 3)):
        assert np.isfinite(model(pixels(*shape))).all()


@families
def test_clip_spec_travels(family, tmp_path):
    """Through files, clones, features and networks around it."""
    model = narrow(family, input_shape=CLIP)
    assert model.clip_spec == ClipSpec()
    spec = ClipSpec(frames=8, stride=2, size=32, class_names=("a", "b", "c", "d"))
    model.clip_spec = spec
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = pixels(2, *CLIP)
    np.testing.assert_array_equal(again(x), model(x))
    assert type(again) is mt.models.VideoModel
    for other in (again, keras.models.clone_model(model), mt.feature_extractor(model)):
        assert other.clip_spec == spec
    around = keras.Sequential([model, keras.layers.Dense(2)])
    assert mt.models.clip_spec_of(around) == spec


@families
def test_stage_outputs(family):
    model = narrow(family, input_shape=CLIP)
    features = mt.feature_extractor(model)
    assert list(features.output) == ["stem", "stage1", "stage2"]
    outputs = features(pixels(1, *CLIP))
    for name, expected in features.output.items():
        for y, tensor in zip(
            keras.tree.flatten(outputs[name]), keras.tree.flatten(expected), strict=True
        ):
            assert y.shape[1:] == tensor.shape[1:]
    with pytest.raises(ValueError, match="no layers that are named stem"):
        mt.feature_extractor(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]))


@families
@pytest.mark.parametrize("policy", ["float16", "bfloat16"])
def test_weights_in_half_precision_are_refused(family, policy):
    with pytest.raises(ValueError, match=rf"dtype='mixed_{policy}'.*Received: dtype='{policy}'"):
        narrow(family, dtype=policy)
    keras.config.set_dtype_policy(policy)
    try:
        with pytest.raises(ValueError, match=f"Received: dtype='{policy}'"):
            narrow(family)
    finally:
        keras.config.set_dtype_policy("float32")


@families
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_other_precisions_train(family, policy):
    model = narrow(family, dtype=policy, input_shape=(4, 16, 16, 3))
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    x, y = pixels(2, 4, 16, 16, 3), np.array([0, 1])
    assert np.isfinite(model.train_on_batch(x, y))
    scores = model.predict_on_batch(x)
    assert scores.dtype == "float32" and np.isfinite(scores).all()


@families
def test_without_preprocessing(family):
    """The layer stays, to carry the clip spec."""
    model = narrow(family, include_preprocessing=False)
    layer = model.get_layer("normalization")
    assert layer.mean is None
    x = np.random.default_rng(0).normal(size=(1, 2, 3, 4, 3)).astype("float32")
    np.testing.assert_array_equal(layer(x), x)


def test_default_clip(tiny):
    assert builder.default_clip("MTNetS") == (16, 200)
    assert builder.default_clip("MTNetS", "tiny") == (4, 16)
    assert builder.default_clip("MTNetM", "hacs") == (16, 256)
