"""count_costs against counts by hand; the figures of the networks: models/test_figures.py."""

import keras
import numpy as np
import pytest

import keras_mtnet as mt
from keras_mtnet.layers.depthwise_conv3d import DepthwiseConv3D

NARROW = {
    "stage_filters": (8,),
    "stage_depths": (1,),
    "stem_filters": 4,
    "head_filters": 12,
    "head_units": 16,
    "ratio": 0.5,
    "classes": 5,
}


@pytest.mark.parametrize("cell, gates", [("rnn", 1), ("gru", 3), ("lstm", 4), ("peephole_lstm", 4)])
def test_a_narrow_network_by_hand(cell, gates):
    """Every sum written out: one block, 9 frames of 18 x 18, odd sizes on the way."""
    model = mt.MTNet(**NARROW, cell=cell)
    costs = mt.count_costs(model, (9, 18, 18, 3))
    stem = 9 * 9 * 9
    stem_macs = stem * 4 * (9 * 3) + stem * 4 * 5  # 1x3x3 of 3 channels, then 5x1x1 of each
    # 4 of 9 frames stay; (4, 9, 9) is pooled to (2, 4, 4); strides (1, 2, 2) give (4, 5, 5),
    # which pools to (2, 2, 2), and make (2, 2, 2) of (2, 4, 4).
    full, pooled, strided, small = 4 * 9 * 9, 2 * 4 * 4, 4 * 5 * 5, 2 * 2 * 2
    convs = [  # (places, sum length, channels): mid is int(2.25 * 8) = 18, split in half
        (full, 2, 9), (pooled, 2, 9), (pooled, 9, 9),  # conv1: local, prolonged, lateral
        (full, 9, 2), (pooled, 9, 2), (pooled, 2, 2),  # conv2
        (strided, 27 * 2, 9), (small, 27 * 2, 9), (small, 9, 9),  # conv3
        (strided, 9, 4), (small, 9, 4), (small, 4, 4),  # conv4
        (strided, 4, 8),  # shortcut
    ]  # fmt: skip
    recurrent = 2 * 4 * gates * 8 * (8 + 8)  # layers, frames, gates, units, inputs and outputs
    stage_macs = sum(places * length * channels for places, length, channels in convs) + recurrent
    head_macs = strided * 8 * 12 + 12 * 16 + 16 * 5
    stages = {stage.name: stage for stage in costs.stages}
    assert [*stages] == ["stem", "stage1", "head"]
    assert stages["stem"].macs == stem_macs
    assert stages["stage1"].macs == stage_macs
    assert stages["head"].macs == head_macs
    assert costs.macs == stem_macs + stage_macs + head_macs
    assert stages["stage1"].output_shape == (4, 5, 5, 8)
    activations = sum(places * channels for places, _, channels in convs) + 2 * 4 * gates * 8
    assert stages["stage1"].activations == activations
    assert stages["stem"].activations == 2 * stem * 4
    assert stages["head"].activations == strided * 12 + 16 + 5


def test_parameters_are_those_of_keras_in_every_stage():
    model = mt.MTNet(**NARROW)
    costs = mt.count_costs(model, (9, 18, 18, 3))
    assert costs.params == model.count_params()
    for stage in costs.stages:
        layers = [x for x in model.layers if x.name.startswith(stage.name)]
        if stage.name == "head":
            layers.append(model.get_layer("predictions"))
        assert stage.params == sum(layer.count_params() for layer in layers)


def test_output_shapes_are_those_of_a_real_clip():
    model = mt.MTNet(**{**NARROW, "stage_filters": (8, 8), "stage_depths": (2, 1)})
    costs = mt.count_costs(model, (9, 18, 18, 3))
    names = {"stage1": "stage1_block2", "stage2": "stage2_block1", "stem": "stem_selection"}
    outputs = keras.Model(model.input, [model.get_layer(n).output for n in names.values()])
    shapes = [y.shape[1:] for y in outputs(np.zeros((1, 9, 18, 18, 3), "float32"))]
    stages = {stage.name: stage.output_shape for stage in costs.stages}
    assert [stages[name] for name in names] == [tuple(shape) for shape in shapes]


def test_without_the_top():
    model = mt.MTNet(**NARROW, include_top=False)
    whole = mt.MTNet(**NARROW)
    shape = (9, 18, 18, 3)
    difference = mt.count_costs(whole, shape).macs - mt.count_costs(model, shape).macs
    assert difference == 12 * 16 + 16 * 5


def test_the_models_own_input():
    model = mt.MTNet(**NARROW, input_shape=(9, 18, 18, 3))
    assert mt.count_costs(model) == mt.count_costs(model, (9, 18, 18, 3))
    assert mt.count_costs(model).input_shape == (9, 18, 18, 3)


def test_an_input_tensor():
    inputs = keras.Input((9, 18, 18, 3))
    model = mt.MTNet(**NARROW, input_tensor=keras.layers.Rescaling(2.0)(inputs))
    costs = mt.count_costs(model)
    assert costs.macs == mt.count_costs(mt.MTNet(**NARROW), (9, 18, 18, 3)).macs


def test_plain_keras_layers():
    inputs = keras.Input((4, 8, 8, 3))
    x = keras.layers.Conv3D(6, 3, strides=2, padding="same")(inputs)  # (2, 4, 4, 6)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.MaxPooling3D(2)(x)  # (1, 2, 2, 6)
    x = keras.layers.Conv3D(4, (1, 2, 2))(x)  # (1, 1, 1, 4)
    x = keras.layers.Dense(7)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, x)
    costs = mt.count_costs(model)
    assert costs.macs == 32 * 6 * 81 + 4 * 4 * 6 + 4 * 7
    assert costs.params == model.count_params()
    assert costs.activations == 32 * 6 + 4 + 7


def test_grouped_and_depthwise_convolutions():
    """Each number of a kernel is used once per position."""
    inputs = keras.Input((4, 8, 8, 6))
    x = DepthwiseConv3D(3, strides=(2, 2, 2))(inputs)  # (2, 4, 4, 6)
    x = keras.layers.Conv3D(4, 1, groups=2, use_bias=False)(x)
    costs = mt.count_costs(keras.Model(inputs, x))
    assert costs.params == 27 * 6 + 3 * 4
    assert costs.macs == 32 * (27 * 6 + 3 * 4)


def test_unknown_sizes_need_a_clip():
    with pytest.raises(ValueError, match=r"input_shape=\(frames.*None"):
        mt.count_costs(mt.MTNet(**NARROW))
    with pytest.raises(ValueError, match=r"Received: input_shape=\(9, 18\)"):
        mt.count_costs(mt.MTNet(**NARROW), (9, 18))


def test_refuses_layers_it_does_not_know():
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, keras.layers.LSTM(2)(inputs))
    with pytest.raises(ValueError, match="LSTM"):
        mt.count_costs(model)


def test_the_table():
    costs = mt.count_costs(mt.MTNet(**NARROW), (9, 18, 18, 3))
    table = str(costs)
    lines = table.splitlines()
    assert lines[0] == "mtnet, one clip of 9x18x18x3"
    assert f"{costs.macs:,}" in lines[-1] and lines[-1].startswith("total")
    for stage in costs.stages:
        row = next(line for line in lines if line.startswith(stage.name))
        assert "x".join(map(str, stage.output_shape)) in row
        assert row.split()[-3:] == [
            f"{stage.params:,}", f"{stage.macs:,}", f"{stage.activations:,}"
        ]  # fmt: skip
