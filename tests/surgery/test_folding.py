"""fuse: the same scores with fewer layers, with random weights and random statistics."""

import keras
import numpy as np
import pytest
from keras import layers
from numpy_layers import randomize

import keras_mtnet as mt
from keras_mtnet.layers import MTConv
from keras_mtnet.layers.convolutions import PointwiseConv3D
from keras_mtnet.layers.depthwise_conv3d import DepthwiseConv3D

CLIP = (5, 33, 31, 3)
# Logits: a softmax would hide differences.
TOP = {"classes": 5, "classifier_activation": None}
NETWORKS = {
    "paper": lambda: mt.MTNet((8, 16), (1, 1), ratio=3 / 4, **TOP),
    "one branch": lambda: mt.MTNet((8,), (1,), ratio=1, **TOP),
    "released": lambda: mt.MTNet((8, 16), (1, 1), variant="released", ratio=3 / 4, **TOP),
    "i3d": lambda: mt.I3D(**TOP),
    "s3d": lambda: mt.S3D(**TOP),
    "x3d": lambda: mt.X3DXS(shortcut_norm=True, **TOP),
    "mfnet": lambda: mt.MFNet(**TOP),
    "r2plus1d": lambda: mt.R2Plus1D18(**TOP),
    "srtg": lambda: mt.SRTGR3D50(**TOP),
    "csn": lambda: mt.IPCSN101(**TOP),
    "slow_only": lambda: mt.SlowOnly50(**TOP),
    "slowfast": lambda: mt.SlowFast101(non_local=True, **TOP),
    "tsm": lambda: mt.TSM50(**TOP),
    "blvnet_tam": lambda: mt.BLVNetTAM50(**TOP),
}
# Blocks whose local stream hands on what is not normalized yet; normalization before convolutions.
LEFT = {"released": 2, "mfnet": 13}


def check_scores(fused, model, x):
    """The same to 1e-5 of the largest."""
    expected = np.asarray(model(x, training=False))
    np.testing.assert_allclose(
        fused(x, training=False), expected, rtol=0, atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize("name", NETWORKS)
def test_scores_stay(name, tmp_path):
    model = NETWORKS[name]()
    randomize(model, scale=0.7)
    model.clip_spec = mt.ClipSpec(stride=4)
    fused = mt.fuse(model)
    x = np.random.default_rng(0).integers(0, 256, (2, *CLIP), "uint8")
    check_scores(fused, model, x)
    assert type(fused) is type(model) and fused.clip_spec.stride == 4
    assert len(fused.surgery.left) == LEFT.get(name, 0)
    assert fused.count_params() < model.count_params()
    costs = [mt.count_costs(each, CLIP).macs for each in (model, fused)]
    assert costs[0] == costs[1]
    if name == "paper":
        fused.save(tmp_path / "fused.keras")
        loaded = mt.load_model(tmp_path / "fused.keras")
        np.testing.assert_array_equal(loaded(x, training=False), fused(x, training=False))


LAYERS = {
    "conv": lambda: layers.Conv3D(6, 3, padding="same", use_bias=False),
    "conv with bias": lambda: layers.Conv3D(6, 3, 2, padding="valid"),
    "grouped": lambda: layers.Conv3D(6, 3, groups=2, use_bias=False),
    "pointwise": lambda: PointwiseConv3D(6, 2, use_bias=False),
    "depthwise": lambda: DepthwiseConv3D(3, (1, 2, 2)),
    "depthwise over time": lambda: DepthwiseConv3D((5, 1, 1)),
    "dense": lambda: layers.Dense(6),
}
NORMS = {
    "whole": {},
    "without scale": {"scale": False, "epsilon": 1e-5},
    "without center": {"center": False},
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("norm", NORMS)
def test_kinds_of_layers(layer, norm):
    parts = [LAYERS[layer](), layers.BatchNormalization(**NORMS[norm]), layers.ReLU()]
    model = keras.Sequential([keras.Input((4, 6, 6, 8)), *parts])
    randomize(model)
    fused = mt.fuse(model)
    assert [type(x) for x in fused.layers] == [type(parts[0]), layers.ReLU]
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 6, 8)).astype("float32")
    check_scores(fused, model, x)


def test_images():
    convs = [
        layers.Conv2D(6, 3),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.Conv2D(4, 1),
    ]
    parts = [part for conv in convs for part in (conv, layers.BatchNormalization())]
    model = keras.Sequential([keras.Input((8, 8, 3)), *parts])
    randomize(model)
    fused = mt.fuse(model)
    assert [type(x) for x in fused.layers] == [type(x) for x in convs]
    check_scores(fused, model, np.random.default_rng(0).normal(size=(2, 8, 8, 3)))


def test_what_cannot_be_folded_is_left():
    inputs = keras.Input((4, 8, 8, 3), name="clips")
    x = layers.BatchNormalization(name="first")(inputs)
    x = layers.Conv3D(8, 3, activation="relu", padding="same", name="active")(x)
    x = layers.BatchNormalization(name="after_relu")(x)
    x = layers.MaxPooling3D(2, name="pool")(x)
    x = layers.BatchNormalization(name="after_pool")(x)
    read_twice = layers.Conv3D(8, 3, padding="same", name="read_twice")(x)
    x = layers.BatchNormalization(name="of_read_twice")(read_twice)
    shared = layers.BatchNormalization(name="shared")
    x = layers.Add()(
        [x, read_twice, shared(layers.Conv3D(8, 1)(x)), shared(layers.Conv3D(8, 1)(x))]
    )
    x = layers.Conv3D(8, 1, name="conv")(x)
    x = layers.BatchNormalization(axis=1, name="over_frames")(x)
    model = keras.Model(inputs, x)
    randomize(model)
    fused = mt.fuse(model)
    elsewhere = "what it reads is read elsewhere, too, or comes from a shared layer"
    assert fused.surgery.changed == {}
    assert fused.surgery.left == {
        "first": "follows clips (InputLayer)",
        "after_relu": "follows the activation of active",
        "after_pool": "follows pool (MaxPooling3D)",
        "of_read_twice": elsewhere,
        "shared": "shared: called 2 times",
        "over_frames": "normalizes over axis 1",
    }
    check_scores(fused, model, np.random.default_rng(0).normal(size=(2, 4, 8, 8, 3)))


def test_after_to_mtconv():
    """Also inside a model of a user, nested."""
    inner = keras.Sequential(
        [
            keras.Input((4, 8, 8, 8)),
            layers.Conv3D(8, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.Conv3D(8, 1, name="point"),
            layers.BatchNormalization(name="bn2"),
        ],
        name="inner",
    )
    inputs = keras.Input((4, 8, 8, 8))
    model = mt.to_mtconv(keras.Model(inputs, layers.ReLU()(inner(inputs))), ratio=1 / 2)
    randomize(model)
    fused = mt.fuse(model)
    assert isinstance(fused.get_layer("inner").get_layer("conv"), MTConv)
    assert fused.surgery.changed == {
        "inner/conv": "with 3 normalizations",
        "inner/point": "with bn2",
    }
    check_scores(fused, model, np.random.default_rng(0).normal(size=(2, 4, 8, 8, 8)))
    again = mt.fuse(fused)
    assert not again.surgery.changed and not again.surgery.left


def test_subclassed_models_are_refused():
    class Subclassed(keras.Model):
        pass

    with pytest.raises(ValueError, match="fuse follows the graph"):
        mt.fuse(Subclassed())
