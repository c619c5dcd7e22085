import keras
import numpy as np
import pytest
from keras import layers

import keras_mtnet as mt
from keras_mtnet.explain.grad_cam import split_at_features
from keras_mtnet.layers import TripletCosineSelection

CLIP = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype="uint8")
ZOO = ("I3D", "MC3_18", "SlowFast50")


def network(activation="softmax", classes=3, strides=1):
    """A convolution and a classifier of its averages, for which Grad-CAM is plain CAM."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 16, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv3D(4, 3, strides, padding="same", activation="tanh", name="maps"),
            layers.GlobalAveragePooling3D(),
            layers.Dropout(0.5),
            layers.Dense(classes, activation, name="predictions"),
        ]
    )


def class_map(model, label):
    """Zhou et al. 2016: the classifier applied to each place."""
    maps = keras.Model(model.inputs[0], model.get_layer("maps").output)(CLIP[None])
    kernel = model.get_layer("predictions").get_weights()[0]
    return keras.ops.convert_to_numpy(maps)[0] @ kernel[:, label]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_is_the_class_activation_map(activation):
    model = network(activation)
    found = mt.explain.grad_cam(model, CLIP, label=1)
    np.testing.assert_allclose(found, np.maximum(class_map(model, 1), 0), atol=1e-5)
    assert found.max() > 0


def test_label_is_the_best_one_by_default():
    model = network()
    best = int(model.predict(CLIP[None], verbose=0).argmax())
    same = mt.explain.grad_cam(model, CLIP, label=best)
    np.testing.assert_array_equal(mt.explain.grad_cam(model, CLIP), same)


def test_one_sigmoid_speaks_for_two_classes():
    model = network("sigmoid", classes=1)
    expected = class_map(model, 0)
    for label, sign in ((0, -1), (1, 1)):
        found = mt.explain.grad_cam(model, CLIP, label)
        np.testing.assert_allclose(found, np.maximum(sign * expected, 0), atol=1e-5)
    own = int(model.predict(CLIP[None], verbose=0)[0, 0] > 0.5)
    np.testing.assert_array_equal(
        mt.explain.grad_cam(model, CLIP), mt.explain.grad_cam(model, CLIP, own)
    )


def test_softmax_of_its_own_layer():
    model = network(None)
    wrapped = keras.Model(model.inputs[0], layers.Softmax()(model.outputs[0]))
    found = mt.explain.grad_cam(wrapped, CLIP, 2)
    np.testing.assert_allclose(found, mt.explain.grad_cam(model, CLIP, 2), atol=1e-5)


def test_small_maps_are_interpolated():
    model = network(strides=2)
    found = mt.explain.grad_cam(model, CLIP, 0)
    small = class_map(model, 0)
    assert small.shape == (4, 8, 8) and found.shape == (8, 16, 16)
    grid = np.clip((np.arange(16) + 0.5) / 2 - 0.5, 0, 7)
    rows = np.stack([np.interp(grid, np.arange(8), row) for row in small.reshape(-1, 8)])
    rows = rows.reshape(4, 8, 16).swapaxes(1, 2)
    both = np.stack([np.interp(grid, np.arange(8), row) for row in rows.reshape(-1, 8)])
    both = both.reshape(4, 16, 16).swapaxes(1, 2)
    # Frame 3 of the clip lies a quarter behind the second map, which stands for frames 2 and 3.
    np.testing.assert_allclose(found[3], np.maximum(0.75 * both[1] + 0.25 * both[2], 0), atol=1e-5)


def test_frames_lie_where_the_selection_took_them():
    inputs = keras.Input((8, 16, 16, 3))
    x = TripletCosineSelection(name="selection")(inputs)
    x = layers.Conv3D(4, 1, activation="relu", name="maps")(x)
    x = layers.Dense(2, kernel_initializer="ones")(layers.GlobalAveragePooling3D()(x))
    model = keras.Model(inputs, x)
    found = mt.explain.grad_cam(model, CLIP, 0)
    kept = mt.explain.kept_frames(model, CLIP)[0].frames
    features = keras.Model(inputs, model.get_layer("maps").output)(CLIP[None])
    expected = keras.ops.convert_to_numpy(features)[0].sum(axis=-1)
    np.testing.assert_allclose(found[list(kept)], expected, rtol=1e-5)


def test_streams_add_up_to_the_score():
    inputs = keras.Input((8, 16, 16, 3))
    slow = layers.Conv3D(3, 1, (4, 1, 1), activation="relu")(inputs)
    fast = layers.Conv3D(2, 1, activation="relu")(inputs)
    pooled = [layers.GlobalAveragePooling3D()(x) for x in (slow, fast)]
    ones = {"kernel_initializer": "ones", "use_bias": False}
    model = keras.Model(inputs, layers.Dense(1, **ones)(layers.Concatenate()(pooled)))
    found = mt.explain.grad_cam(model, np.repeat(CLIP[:1], 8, axis=0), 1)
    score = float(model(np.repeat(CLIP[None, :1], 8, axis=1))[0, 0])
    assert found.mean() == pytest.approx(score, rel=1e-4)


def test_layer_by_name():
    model = mt.MTNet((8, 16), (1, 1), classes=3, input_shape=(8, 32, 32, 3))
    clip = CLIP.repeat(2, axis=1).repeat(2, axis=2)
    maps = split_at_features(model)[0]
    assert [x.shape[1:] for x in maps] == [(2, 4, 4, 432)]
    found = mt.explain.grad_cam(model, clip, 1, layer="stage1_block1")
    assert found.shape == (8, 32, 32) and np.isfinite(found).all()
    with pytest.raises(ValueError, match=r"no layer of that name. Received: layer='stage9'"):
        mt.explain.grad_cam(model, clip, layer="stage9")
    with pytest.raises(ValueError, match=r"no feature maps .* Received: layer='head_fc'"):
        mt.explain.grad_cam(model, clip, layer="head_fc")


@pytest.mark.parametrize("name", ZOO)
def test_zoo(name):
    clip = CLIP.repeat(2, axis=1).repeat(2, axis=2)
    model = getattr(mt, name)(classes=2)
    both = [mt.explain.grad_cam(model, clip, label) for label in (0, 1)]
    assert all(np.isfinite(each).all() and each.shape == (8, 32, 32) for each in both)
    assert len(split_at_features(model)[0]) == (2 if name == "SlowFast50" else 1)


def test_wrong_arguments():
    model = network()
    with pytest.raises(ValueError, match=r"label must be None or in 0..2. Received: label=3"):
        mt.explain.grad_cam(model, CLIP, 3)
    with pytest.raises(ValueError, match=r"one clip \(T, H, W, 3\). Received: shape"):
        mt.explain.grad_cam(model, CLIP[..., :1])

    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="functional model"):
        mt.explain.grad_cam(Own(), CLIP)
    wrapped = keras.Sequential([keras.Input((8, 16, 16, 3)), model])
    with pytest.raises(ValueError, match="pass the network"):
        mt.explain.grad_cam(wrapped, CLIP)


def test_overlay():
    clip = np.full((2, 4, 4, 3), 100, "uint8")
    heat = np.zeros((2, 4, 4))
    np.testing.assert_array_equal(mt.explain.overlay(clip, heat), clip)
    heat[1, 2, 3] = 7.0
    found = mt.explain.overlay(clip, heat)
    changed = np.argwhere((found != clip).any(axis=-1))
    assert changed.tolist() == [[1, 2, 3]] and found[1, 2, 3, 0] > 200
