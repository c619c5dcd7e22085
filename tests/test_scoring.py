import doctest
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import keras_mtnet as mt
from keras_mtnet import scoring
from keras_mtnet.scoring import Scorer

CLIPS = np.random.default_rng(0).integers(0, 256, (5, 2, 4, 4, 3)).astype("uint8")


def net(*head, seed: int = 3) -> keras.Model:
    """Random features of a clip behind the given layers."""
    keras.utils.set_random_seed(seed)
    features = layers.Rescaling(1 / 50), layers.Conv3D(4, (2, 4, 4)), layers.Flatten()
    return keras.Sequential([keras.Input((2, 4, 4, 3)), *features, *head])


def functional(*head) -> keras.Model:
    inputs = keras.Input((2, 4, 4, 3))
    return keras.Model(inputs, net(*head)(inputs))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


def test_examples():
    assert doctest.testmod(scoring).failed == 0


@pytest.mark.parametrize("make", [net, functional])
@pytest.mark.parametrize(
    "head",
    [
        lambda: (layers.Dense(3, "softmax"),),
        lambda: (layers.Dense(3), layers.Softmax()),
        lambda: (layers.Dense(3), layers.Activation("softmax", dtype="float32")),
        lambda: (layers.Dense(3, "softmax"), layers.Activation("linear", dtype="float32")),
        lambda: (
            layers.Reshape((1, 1, 1, 4)),
            layers.Conv3D(3, 1, activation="softmax"),
            layers.GlobalAveragePooling3D(),
        ),
    ],
)
def test_probabilities_stay_as_they_are(make, head):
    model = make(*head())
    scores = Scorer(model)(CLIPS)
    np.testing.assert_allclose(scores, model.predict(CLIPS, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("make", [net, functional])
@pytest.mark.parametrize(
    "head",
    [
        lambda: (layers.Dense(3),),
        lambda: (layers.Dense(3), layers.Activation("linear", dtype="float32")),
        lambda: (layers.Dense(3), layers.Dropout(0.5)),
        lambda: (
            layers.Reshape((1, 1, 1, 4)),
            layers.Conv3D(3, 1),
            layers.GlobalAveragePooling3D(),
        ),
    ],
)
def test_logits_are_softmaxed(make, head):
    model = make(*head())
    scorer = Scorer(model, batch_size=2)
    logits = model.predict(CLIPS, verbose=0)
    assert np.abs(logits.sum(axis=1) - 1).max() > 0.1  # no probabilities by chance
    np.testing.assert_allclose(scorer(CLIPS), softmax(logits), rtol=1e-4)
    assert (scorer.classes, scorer.binary, scorer.multi_label) == (3, False, False)


def test_one_sigmoid_is_two_classes():
    for model in (net(layers.Dense(1, "sigmoid")), net(layers.Dense(1))):
        scorer, outputs = Scorer(model), model.predict(CLIPS, verbose=0)[:, 0]
        if model.layers[-1].activation is keras.activations.linear:
            outputs = 1 / (1 + np.exp(-outputs))
        assert (scorer.classes, scorer.binary, scorer.multi_label) == (2, True, False)
        np.testing.assert_allclose(scorer(CLIPS)[:, 1], outputs, rtol=1e-4)
        np.testing.assert_allclose(scorer(CLIPS).sum(axis=1), 1, rtol=1e-5)


def test_several_sigmoids_are_independent():
    model = net(layers.Dense(3, "sigmoid"))
    scorer = Scorer(model)
    assert scorer.multi_label and not scorer.binary
    np.testing.assert_allclose(scorer(CLIPS), model.predict(CLIPS, verbose=0), rtol=1e-5)
    logits = net(layers.Dense(3))
    assert not Scorer(logits).multi_label
    logits.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
    assert Scorer(logits).multi_label and Scorer(net(layers.Dense(3)), "sigmoid").multi_label
    expected = 1 / (1 + np.exp(-logits.predict(CLIPS, verbose=0)))
    np.testing.assert_allclose(Scorer(logits)(CLIPS), expected, rtol=1e-4)


class Own(keras.Model):
    """A subclass of Model whose layers do not tell what it computes."""

    def __init__(self, function):
        super().__init__()
        self.net, self.function = net(layers.Dense(3)), function

    def call(self, x):
        return self.function(self.net(x))


def test_heads_that_do_not_tell():
    assert Scorer(Own(keras.ops.softmax))(CLIPS).shape == (5, 3)
    for model in (Own(keras.ops.sigmoid), Own(lambda x: x), net(layers.Dense(3, "relu"))):
        with pytest.raises(ValueError, match=r"lie in \[.*activation='softmax'"):
            Scorer(model)(CLIPS)
    logits = Own(lambda x: x)
    expected = softmax(logits.predict(CLIPS, verbose=0))
    np.testing.assert_allclose(Scorer(logits, "softmax")(CLIPS), expected, rtol=1e-4)
    assert Scorer(logits, "linear")(CLIPS).min() < 0


def test_heads_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="softmax over one class"):
        Scorer(net(layers.Dense(1, "softmax")))
    for kind in ("softmax", "sigmoid"):
        for activation in ("softmax", "sigmoid"):
            with pytest.raises(ValueError, match=f"ends in a {kind} already.*{activation!r}"):
                Scorer(net(layers.Dense(3, kind)), activation)
        assert Scorer(net(layers.Dense(3, kind)), "linear").multi_label == (kind == "sigmoid")
    one = net(layers.Dense(1, "tanh"))  # may lie in [0, 1] by chance
    with pytest.raises(ValueError, match="does not tell what its outputs are"):
        Scorer(one)(CLIPS)
    named = keras.Model(one.inputs, {"scores": one.outputs[0]})
    with pytest.raises(ValueError, match="one output"):
        Scorer(named)


def test_a_network_that_scales_its_own_input_gets_clips_as_they_are():
    inputs = keras.Input((2, 4, 4, 3), dtype="uint8")
    x = layers.GlobalAveragePooling3D()(layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, x)
    white = np.full((1, 2, 4, 4, 3), 255, "uint8")
    np.testing.assert_allclose(Scorer(model, "linear")(white), 1, rtol=1e-6)


def test_a_few_batches_of_an_mtnet_are_not_worth_a_trace():
    model = mt.MTNet((8,), (1,), classes=3, input_shape=CLIPS.shape[1:])
    expected = Scorer(model, batch_size=1)(CLIPS)
    assert model.predict_function is None
    for _ in range(4):  # the model counts, whoever asks
        found = Scorer(model, batch_size=1)(CLIPS)
    assert model.predict_function is not None
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_other_networks_are_traced():
    """Eagerly, Keras keeps the outputs of all layers, which of large clips are gigabytes."""
    model = net(layers.Dense(3))
    for batch_size in (1, 3, 1):
        Scorer(model, batch_size=batch_size)(CLIPS)
        assert 1 <= model.predict_function.experimental_get_tracing_count() <= 3


def test_bad_input():
    model = net(layers.Dense(3))
    for value in (0, -1, 2.5, None):
        with pytest.raises(ValueError, match=r"batch_size must be .* Received: batch_size="):
            Scorer(model, batch_size=value)
    with pytest.raises(ValueError, match=r"must be a Keras model\. .*model='model'"):
        Scorer("model")
    with pytest.raises(ValueError, match="activation='tanh'"):
        Scorer(model, "tanh")
    with pytest.raises(ValueError, match="one output"):
        Scorer(keras.Model(model.inputs, [model.outputs[0], model.outputs[0]]))
    with pytest.raises(ValueError, match="one output"):
        Scorer(keras.Model(model.inputs, model.layers[0].output))
    with pytest.raises(ValueError, match=r"each of the 3 classes of the model\. Received: 2 names"):
        Scorer(model).check_classes(["a", "b"])


def test_averaging_logits():
    """The means are those of the logits themselves, for every head."""
    for head, final in (
        ((layers.Dense(3),), softmax),
        ((layers.Dense(1),), lambda x: 1 / (1 + np.exp(-x))),
        ((layers.Dense(3), layers.Activation("sigmoid")), lambda x: 1 / (1 + np.exp(-x))),
    ):
        model = net(*head)
        logits = keras.Sequential(model.layers[:4])(CLIPS).numpy()
        expected = final(logits.mean(axis=0, keepdims=True))[0]
        scorer = Scorer(model)
        found = scorer.mean(scorer(CLIPS), "logits")
        np.testing.assert_allclose(found[1:] if len(expected) == 1 else found, expected, rtol=1e-4)
        plain = scorer.mean(scorer(CLIPS))
        np.testing.assert_array_equal(plain, scorer(CLIPS).mean(axis=0))
        assert np.abs(plain - found).max() > 1e-3  # the two differ
    # A score of 0 in one view does not decide alone beyond what float32 can tell.
    assert np.isfinite(
        Scorer(net(layers.Dense(3))).mean(np.eye(3, dtype="float32"), "logits")
    ).all()
    with pytest.raises(ValueError, match="averaging='max'"):
        Scorer(net(layers.Dense(3))).check_averaging("max")
    with pytest.raises(ValueError, match="needs scores that are probabilities"):
        Scorer(net(layers.Dense(3)), "linear").check_averaging("logits")


# Scores of clips whose number no number of devices divides, in a process with two CPU devices.
ON_DEVICES = """
import os, sys
backend, path = sys.argv[1:]
os.environ["KERAS_BACKEND"] = backend
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
import contextlib, numpy as np, keras
from keras_mtnet.scoring import Scorer
scope = contextlib.nullcontext()
if backend == "jax":
    devices = keras.distribution.list_devices()
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
else:
    import tensorflow as tf
    parts = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    scope = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
with scope:
    model = keras.saving.load_model(path)
scorer = Scorer(model, batch_size=4)
assert scorer.devices == 2, scorer.devices
clips = np.random.default_rng(0).integers(0, 256, (7, 2, 4, 4, 3)).astype("uint8")
np.save(path + ".npy", np.concatenate([scorer(clips), scorer(clips[:1])]))
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_several_devices_share_a_batch(backend, tmp_path):
    pytest.importorskip(backend)
    model = net(layers.Dense(3))
    path = str(tmp_path / "model.keras")
    model.save(path)
    command = [sys.executable, "-c", ON_DEVICES, backend, path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    clips = np.random.default_rng(0).integers(0, 256, (7, 2, 4, 4, 3)).astype("uint8")
    expected = Scorer(model)(clips)
    np.testing.assert_allclose(np.load(path + ".npy"), [*expected, expected[0]], atol=1e-6)
