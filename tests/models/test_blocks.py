"""Networks that run block by block compute what they do layer by layer."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mtnet as mt
from keras_mtnet.models import mfnet, resnet, slowfast, srtg, x3d
from keras_mtnet.models.blocks import Block, in_blocks
from keras_mtnet.models.video_model import VideoModel

CLIP = (8, 32, 32, 3)
DEPTHS = (3, 1, 1, 1)


def small_x3d(monkeypatch):
    monkeypatch.setattr(x3d, "DEPTHS", (1, 5))
    monkeypatch.setattr(x3d, "FILTERS", (12, 24))
    size = dataclasses.replace(x3d.SIZES["X3DXS"], depth=1.0)
    return x3d.x3d(size, classes=3, input_shape=CLIP)


def small_slowfast(monkeypatch):
    size = slowfast.SIZES["SlowFast50"]
    size = dataclasses.replace(size, depths=DEPTHS, filters=(16, 16, 32, 32))
    return slowfast.slowfast(size, classes=3, input_shape=CLIP)


def small_srtg(monkeypatch):
    monkeypatch.setattr(resnet, "FILTERS", (8, 16, 16, 16))
    size = dataclasses.replace(srtg.SIZES["SRTGR3D34"], depths=DEPTHS)
    return resnet.video_resnet(size, classes=3, input_shape=CLIP)


def small_mfnet(monkeypatch):
    monkeypatch.setattr(mfnet, "DEPTHS", DEPTHS)
    return mt.MFNet(classes=3, input_shape=CLIP)


# How many blocks of each are alike, of how many kinds.
FAMILIES = {small_x3d: (4, 2), small_slowfast: (4, 2), small_srtg: (3, 1), small_mfnet: (2, 1)}


def blocks_of(network):
    return [each for each in in_blocks(network).layers if isinstance(each, Block)]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_learns_and_predicts_the_same(family, monkeypatch):
    """As eagerly, where layers run one by one."""
    rng = np.random.default_rng(0)
    clips, labels = rng.integers(0, 256, (2, *CLIP), "uint8"), np.array([0, 2])
    found = []
    for eagerly in (False, True):
        keras.utils.set_random_seed(0)
        network = family(monkeypatch)
        network.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=eagerly)
        network.train_on_batch(clips, labels)
        weights = [np.array(weight) for weight in network.weights]
        found.append([*weights, network.predict_on_batch(clips)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(other).max() + 1e-7)
    blocks = blocks_of(network)
    assert (len(blocks), len({block.kind() for block in blocks})) == FAMILIES[family]


def small(names, filters=4):
    """A network of residual blocks of one convolution."""
    inputs = x = keras.Input((2, 4, 4, filters))
    for name in names:
        y = keras.layers.Conv3D(filters, 3, padding="same", name=f"{name}_conv")(x)
        x = keras.layers.Add(name=name)([x, y])
    return VideoModel(inputs, x)


def functions_of(network):
    """How often a graph of the network calls each of its functions."""
    run = tf.function(lambda x: network(x, training=False))
    graph = run.get_concrete_function(tf.ones((1, *network.input_shape[1:]))).graph.as_graph_def()
    calls = [node for node in graph.node if node.op.endswith("PartitionedCall")]
    names = [node.attr["f"].func.name for node in calls]
    return sorted(names.count(name) for name in set(names))


def test_blocks_alike_share_a_function():
    names = "stage1_block1", "stage1_block2", "stage2_fast_block1", "stage2_fast_block2", "head"
    network = small(names)
    assert functions_of(network) == [4]
    network.get_layer("stage1_block2_conv").trainable = False
    assert functions_of(network) == [1, 3]
    network.get_layer("stage2_fast_block1_conv").activation = keras.activations.relu
    assert functions_of(network) == [1, 1, 2]


def test_other_wiring_is_of_another_kind():
    inputs = x = keras.Input((2, 4, 4, 4))
    for block in (1, 2, 3):
        name = f"stage1_block{block}"
        y = keras.layers.ReLU(name=f"{name}_relu")(x)
        x = keras.layers.Subtract(name=name)([x, y] if block < 3 else [y, x])
    network = VideoModel(inputs, x)
    assert [block.name for block in blocks_of(network)] == ["stage1_block1", "stage1_block2"]
    clip = np.random.default_rng(0).normal(size=(1, 2, 4, 4, 4)).astype("float32")
    np.testing.assert_array_equal(network.predict_on_batch(clip), network(clip))


def test_outputs_within_blocks_are_left():
    network = small(["stage1_block1", "stage1_block2"])
    inner = network.get_layer("stage1_block1_conv").output
    network = VideoModel(network.input, {"inner": inner, "last": network.output})
    clip = np.random.default_rng(0).normal(size=(1, 2, 4, 4, 4)).astype("float32")
    eager, traced = network(clip), network.predict_on_batch(clip)
    for name in ("inner", "last"):
        np.testing.assert_allclose(traced[name], eager[name], atol=1e-5)


def test_what_cannot_be_divided_runs_layer_by_layer():
    network = small(["stage1_block1", "stage1_block2"])
    first = network.get_layer("stage1_block1").output
    undivided = {
        "other blocks": small(["stage1_block1", "stage1_part2"]),
        "operation": VideoModel(network.input, network.output * 2),
        "tensors of another": VideoModel(first, network.output),
    }
    clip = np.random.default_rng(0).normal(size=(1, 2, 4, 4, 4)).astype("float32")
    for name, other in undivided.items():
        assert in_blocks(other) is None, name
        np.testing.assert_allclose(other.predict_on_batch(clip), other(clip), atol=1e-5)


def test_the_network_stays_as_it_is(tmp_path):
    """Blocks are seen neither by what is saved nor by who counts layers and weights."""
    network = small(["stage1_block1", "stage1_block2"])
    layers, config = list(network.layers), network.get_config()
    paths = [weight.path for weight in network.weights]
    scores = network.predict_on_batch(np.ones((1, 2, 4, 4, 4)))
    assert network.layers == layers and network.get_config() == config
    assert [weight.path for weight in network.weights] == paths
    network.save(tmp_path / "model.keras")
    again = mt.load_model(tmp_path / "model.keras").predict_on_batch(np.ones((1, 2, 4, 4, 4)))
    np.testing.assert_array_equal(again, scores)
