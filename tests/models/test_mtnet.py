"""The networks: signature, names, shapes, precisions, and the whole of one in NumPy."""

import keras
import numpy as np
import numpy_layers as reference
import pytest
import tensorflow as tf

import keras_mtnet as mt
from keras_mtnet.clip_spec import MTNET_MEAN, MTNET_STD
from keras_mtnet.models import build

NARROW = {
    "stage_filters": (6, 8),
    "stage_depths": (1, 1),
    "stem_filters": 4,
    "head_filters": 12,
    "head_units": 16,
    "ratio": 0.5,
    "classes": 5,
    "include_preprocessing": False,  # clips here are of small numbers
}
CLIP = (8, 16, 16, 3)


def narrow(**options):
    return mt.MTNet(**{**NARROW, "input_shape": CLIP, **options})


def clip(*shape, seed=0):
    rng = np.random.default_rng(seed)
    offset = rng.normal(size=(shape[0], shape[1], 1, 1, shape[-1]))
    return (offset + rng.normal(size=shape)).astype("float32")


@pytest.fixture(scope="module")
def model():
    """A narrow network with random weights, for any clip."""
    model = narrow(input_shape=None)
    reference.randomize(model)
    return model


@pytest.fixture(scope="module")
def deeper():
    """As `model`, with a second block in its second stage."""
    model = narrow(input_shape=None, stage_depths=(1, 2))
    reference.randomize(model)
    return model


@pytest.mark.parametrize("frames, size", [(8, 16), (5, 19), (1, 8), (16, 1)])
def test_equals_numpy(deeper, frames, size):
    """Stem, selection, blocks, head and classifier, one after the other in float64."""
    x = clip(2, frames, size, size, 3)
    expected = reference.mtnet(x, deeper)
    assert expected.max() < 0.999  # scores tell something
    np.testing.assert_allclose(deeper(x), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "rnn"},
        {"cell": "lstm"},
        {"cell": "peephole_lstm"},
        {"ratio": 1},
        {"frame_selection": False, "branch_pooling": "max"},
        {"bottleneck": 1.5, "branch_pooling": "avg"},
    ],
)
def test_options_equal_numpy(options):
    model, x = narrow(**options), clip(2, *CLIP)
    reference.randomize(model, scale=0.7)
    np.testing.assert_allclose(model(x), reference.mtnet(x, model), rtol=1e-3, atol=1e-5)


def test_sizes_may_change_from_batch_to_batch(model):
    assert model.input_shape == (None, None, None, None, 3)
    short = narrow(input_shape=None, stage_filters=(6,), stage_depths=(1,))
    reference.randomize(short)
    predict = tf.function(short, input_signature=[tf.TensorSpec((None, None, None, None, 3))])
    for batch, frames, size in ((2, 8, 16), (1, 5, 19), (3, 1, 1)):
        x = clip(batch, frames, size, size, 3)
        y = predict(x)
        assert y.shape == (batch, 5)
        np.testing.assert_allclose(y, reference.mtnet(x, short), rtol=1e-3, atol=1e-5)


def test_known_sizes_change_nothing(model):
    fixed, x = narrow(), clip(2, *CLIP)
    fixed.set_weights(model.get_weights())
    np.testing.assert_allclose(fixed(x), model(x), rtol=1e-4, atol=1e-6)


def test_keras_file_round_trip(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    x = clip(2, 6, 12, 12, 3)
    np.testing.assert_array_equal(loaded(x), model(x))


def test_normalizes_pixels(model):
    """uint8 and float32 clips of 0 to 255 give what normalized clips give without."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, *CLIP)).astype("uint8")
    whole = narrow(include_preprocessing=True)
    whole.set_weights(model.get_weights())
    expected = model((pixels / 255 - MTNET_MEAN) / MTNET_STD)
    np.testing.assert_allclose(whole(pixels), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(whole.predict(pixels, verbose=0), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(whole(pixels.astype("float32")), whole(pixels))


@pytest.mark.parametrize("policy, error", [("mixed_float16", 0.02), ("mixed_bfloat16", 0.1)])
def test_half_precision(policy, error):
    """4 frames after the stem's selection of 4: rounding cannot change what is selected."""
    full = narrow(input_shape=(4, 16, 16, 3))
    half = narrow(input_shape=(4, 16, 16, 3), dtype=policy)
    assert half.get_layer("stage1_block1").compute_dtype == policy.removeprefix("mixed_")
    x = clip(2, 4, 16, 16, 3)
    reference.randomize(full)
    half.set_weights(full.get_weights())
    y = half(x)
    assert y.dtype == "float32"
    np.testing.assert_allclose(np.sum(y, axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(y, full(x), rtol=0, atol=error)


def test_the_global_policy_is_followed():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = narrow()
        scores = model.predict_on_batch(20 * clip(2, *CLIP))
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("stage1_block1").compute_dtype == "float16"
    assert scores.dtype == "float32"
    np.testing.assert_allclose(scores.sum(axis=-1), 1, atol=1e-6)


def test_xla_trains_as_without():
    """Two steps under `jit_compile=True` give the losses and weights of two steps without."""
    shape = (4, 8, 8, 3)
    x, y = clip(4, *shape), np.array([0, 1, 2, 3])
    trained = []
    for jit_compile in (False, True):
        copy = narrow(stage_filters=(6,), stage_depths=(1,), input_shape=shape, dropout_rate=0.0)
        reference.randomize(copy)
        copy.compile(
            keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy", jit_compile=jit_compile
        )
        losses = [float(copy.train_on_batch(x, y)) for _ in range(2)]
        assert losses[1] < losses[0]
        trained.append((losses, copy.get_weights()))
    (losses, weights), (xla_losses, xla_weights) = trained
    np.testing.assert_allclose(xla_losses, losses, rtol=1e-3)
    for xla, plain in zip(xla_weights, weights, strict=True):
        np.testing.assert_allclose(xla, plain, rtol=1e-2, atol=1e-3)


def test_every_weight_learns():
    model = narrow()
    with tf.GradientTape() as tape:
        scores = model(clip(2, *CLIP), training=True)
        loss = -tf.reduce_mean(tf.math.log(scores[:, 0]))
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
    statistics = [v for v in model.non_trainable_weights if v.path.endswith("moving_mean")]
    for moving_mean in statistics:  # zeros at first: training reaches every normalization
        assert np.abs(moving_mean.numpy()).max() > 0, moving_mean.path


def test_frozen_normalization_keeps_its_statistics(model):
    """Fine-tuning with `trainable = False` runs batch normalization in inference mode."""
    copy = narrow(dropout_rate=0.0)
    copy.set_weights(model.get_weights())
    copy.trainable = False
    x = clip(4, *CLIP)
    np.testing.assert_allclose(copy(x, training=True), copy(x, training=False), rtol=1e-5)
    before, after = model.get_weights(), copy.get_weights()
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_without_the_top(model):
    x = clip(2, *CLIP)
    features = narrow(include_top=False)
    assert features.output_shape == (None, 2, 2, 2, 12)  # 8 frames, halved by stem and stage 2
    average = narrow(include_top=False, pooling="avg")
    largest = narrow(include_top=False, pooling="max")
    assert average.output_shape == largest.output_shape == (None, 12)
    weights = features.get_weights()
    average.set_weights(weights)
    largest.set_weights(weights)
    y = np.array(features(x))
    np.testing.assert_allclose(average(x), y.mean((1, 2, 3)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(largest(x), y.max((1, 2, 3)), rtol=1e-4, atol=1e-6)


def test_names_do_not_depend_on_what_was_built_before():
    first, other, again = narrow(), narrow(name="other"), narrow()
    assert [model.name for model in (first, other, again)] == ["mtnet", "other", "mtnet"]
    assert [layer.name for layer in first.layers] == [layer.name for layer in again.layers]
    paths = [weight.path for weight in first.weights]
    assert paths == [weight.path for weight in again.weights]
    assert len(set(paths)) == len(paths)


def test_input_tensor(model):
    raw = keras.Input((None, None, None, 3), name="raw")
    scaled = keras.layers.Rescaling(2.0)(raw)
    whole = narrow(input_tensor=scaled)
    whole.set_weights(model.get_weights())
    assert [tensor.name for tensor in whole.inputs] == ["raw"]
    x = clip(2, *CLIP)
    np.testing.assert_allclose(whole(x), model(2 * x), rtol=1e-4, atol=1e-6)
    at_the_input = narrow(input_tensor=raw)
    at_the_input.set_weights(model.get_weights())
    np.testing.assert_allclose(at_the_input(x), model(x), rtol=1e-4, atol=1e-6)


def test_classifier_activation(model):
    logits = narrow(classifier_activation=None)
    logits.set_weights(model.get_weights())
    x = clip(2, *CLIP)
    np.testing.assert_allclose(keras.ops.softmax(logits(x)), model(x), rtol=1e-4, atol=1e-6)


def test_dropout_rate():
    assert narrow(dropout_rate=0.3).get_layer("head_dropout").rate == 0.3
    x = clip(8, *CLIP)  # some 60 features that are not zero: no two masks are equal
    model = narrow(dropout_rate=0.5, classifier_activation=None)
    model.get_layer("predictions").kernel.assign(np.ones((16, 5)))
    assert np.abs(model(x, training=True) - model(x, training=True)).max() > 1e-3


def test_sub_layers_take_the_options():
    model = narrow(
        ratio=0.75, cell="lstm", branch_pooling="avg", frame_selection=False, synchronized=True
    )
    block = model.get_layer("stage1_block1")
    assert (block.ratio, block.cell, block.pooling) == (0.75, "lstm", "avg")
    assert block.frame_selection is False
    norms = [model.get_layer("stem_bn"), model.get_layer("head_bn"), block.shortcut_bn]
    for conv in block.convs:
        norms += [conv.local_bn, conv.prolonged_bn, conv.lateral_bn]
    assert all(norm.synchronized for norm in norms)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"classes": 0}, "classes=0"),
        ({"classes": 2.5}, r"classes=2\.5"),
        ({"pooling": "mean"}, "mean"),
        ({"ratio": 0}, "ratio=0"),
        ({"ratio": 1.5}, "ratio=1.5"),
        ({"cell": "elman"}, "elman"),
        ({"branch_pooling": "median"}, "median"),
        ({"dropout_rate": 1.0}, r"dropout_rate=1\.0"),
        ({"dropout_rate": -0.1}, r"dropout_rate=-0\.1"),
        ({"stage_depths": (1,)}, r"stage_depths=\(1,\)"),
        ({"stage_depths": (1, 0)}, r"stage_depths=\(1, 0\)"),
        ({"stage_filters": (), "stage_depths": ()}, r"stage_filters=\(\)"),
        ({"stage_filters": (8, 0)}, r"\(8, 0\)"),
        ({"stage_filters": 8}, "stage_filters=8"),
        ({"input_shape": (8, 16, 16, 4)}, r"\(8, 16, 16, 4\)"),
        ({"input_shape": (16, 16, 3)}, r"\(16, 16, 3\)"),
        ({"input_shape": (0, 16, 16, 3)}, r"\(0, 16, 16, 3\)"),
        ({"input_tensor": np.zeros((1, 8, 16, 16, 3))}, "input_tensor.*ndarray"),
        ({"stage_filters": (1, 8)}, "ratio=0.5"),  # a branch without channels
    ],
)
def test_refuses_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        narrow(**options)


def test_refuses_unknown_networks():
    with pytest.raises(ValueError, match="MTNetXXL"):
        build("MTNetXXL")


def test_refuses_missing_weights():
    with pytest.raises(FileNotFoundError, match="nowhere"):
        narrow(weights="nowhere.weights.h5")


def test_refuses_channels_first():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="channels_first"):
            narrow()
    finally:
        keras.config.set_image_data_format("channels_last")


def test_build_by_name():
    model = build("MTNet", **NARROW)
    assert model.name == "mtnet" and model.output_shape == (None, 5)
