"""Tests of I3D against its published code, by vectors that tests/vectors/make_i3d.py stored."""

from pathlib import Path

import keras
import numpy as np
import pytest
from make_i3d import SHAPES, random_clip, random_state

import keras_mtnet as mt
from keras_mtnet.models.i3d import FramePairAverage
from keras_mtnet.weights.i3d import TORCH_KEYS, adapt_state
from keras_mtnet.weights.torch import from_state_dict, to_state_dict

VECTORS = Path(__file__).parents[1] / "vectors"
RULES = TORCH_KEYS["pytorch-i3d"]


def softmax(logits):
    values = np.exp(logits - logits.max())
    return values / values.sum()


@pytest.fixture(scope="module")
def real(i3d_checkpoint):
    """I3D with DeepMind's weights, for logits."""
    return mt.I3D(weights=i3d_checkpoint, classifier_activation=None)


@pytest.mark.parametrize("name", SHAPES)
def test_logits_are_those_of_pytorch_i3d(name):
    network = mt.I3D(classes=5, classifier_activation=None)
    shapes = {key: value.shape for key, value in to_state_dict(network, RULES).items()}
    state = random_state({key: shape for key, shape in shapes.items() if shape})
    from_state_dict(network, adapt_state(state), RULES)
    with np.load(VECTORS / "i3d_torch.npz") as stored:
        expected = stored[name]
    logits = network(random_clip(name), training=False)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", SHAPES)
def test_real_logits_are_those_of_the_flax_original(real, name):
    with np.load(VECTORS / "i3d_flax.npz") as stored:
        expected = stored[name]
    logits = real(random_clip(name), training=False)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def test_real_weights_recognize_deepminds_clip(real, real_data):
    names = real.clip_spec.class_names
    assert list(names) == (real_data / "i3d/kinetics400_labels.txt").read_text().splitlines()
    with mt.video.VideoFile(real_data / "i3d/v_CricketShot_g04_c01_rgb.gif") as video:
        frames = video.read(range(79))
    for count, expected in ((16, 0.956), (64, 0.997)):
        scores = softmax(np.asarray(real(frames[None, :count], training=False))[0])
        assert names[scores.argmax()] == "playing cricket"
        assert scores.max() == pytest.approx(expected, abs=0.01)


def test_costs_are_the_published_ones():
    network = mt.I3D()
    assert network.count_params() == 12_704_544
    for frames, macs in ((16, 27.79e9), (64, 111.2e9)):
        costs = mt.count_costs(network, (frames, 224, 224, 3))
        assert costs.macs == pytest.approx(macs, rel=0.005)


def test_stages():
    features = mt.feature_extractor(mt.I3D(input_shape=(16, 64, 96, 3))).output
    assert {name: tuple(y.shape[1:]) for name, y in features.items()} == {
        "stem": (8, 8, 12, 192),
        "stage1": (8, 8, 12, 480),
        "stage2": (4, 4, 6, 832),
        "stage3": (2, 2, 3, 1024),
    }


@pytest.mark.parametrize("frames", [1, 2, 3, 6])
@pytest.mark.parametrize("known", [True, False])
def test_average_is_that_of_pairs(frames, known):
    clip = np.random.default_rng(0).normal(size=(2, frames, 2, 3, 4)).astype("float32")
    x = clip.mean((2, 3))
    pairs = (x[:, 1:] + x[:, :-1]) / 2 if frames > 1 else x
    inputs = keras.Input((frames if known else None, None, None, 4))
    model = keras.Model(inputs, FramePairAverage()(inputs))
    assert model.output_shape == (None, 4)
    np.testing.assert_allclose(model.predict(clip, verbose=0), pairs.mean(1), atol=1e-6)


def test_small_and_odd_clips():
    network = mt.I3D(classes=3)
    for shape in ((1, 1, 1), (1, 32, 32), (7, 33, 49)):
        scores = network(np.zeros((2, *shape, 3), "uint8"))
        np.testing.assert_allclose(np.sum(scores, -1), np.ones(2), rtol=1e-5)


def test_without_top():
    network = mt.I3D(include_top=False, pooling="max")
    assert network.output_shape == (None, 1024)
    assert network.layers[-1].input.shape == (None, None, None, None, 1024)


def test_saving(tmp_path):
    network = mt.I3D(classes=3, input_shape=(8, 32, 32, 3))
    clips = np.random.default_rng(0).integers(0, 256, (2, 8, 32, 32, 3), "uint8")
    network.save(tmp_path / "i3d.keras")
    loaded = mt.load_model(tmp_path / "i3d.keras")
    np.testing.assert_array_equal(loaded(clips, training=False), network(clips, training=False))
