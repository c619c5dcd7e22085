"""SRTG against its published code, of which make_srtg.py found the numbers."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
from make_srtg import CLIPS, SHALLOW
from published import check_figures, check_logits, only_rules, randomize

import keras_mtnet as mt
from keras_mtnet.layers import recurrence
from keras_mtnet.models import resnet
from keras_mtnet.models.srtg import SIZES
from keras_mtnet.weights.torch import from_state_dict, to_state_dict

# Parameters, multiply-adds for 16x224x224, names of all tensors (a hash), of the published code.
# PyTorch's LSTMs have two biases each, of which Keras' is the sum.
FIGURES = {
    "SRTGR3D34": (83861072, 42676723712, "38412824c4071042"),
    "SRTGR3D50": (56904656, 26498375680, "8a64c41ff2fdc500"),
    "SRTGR3D101": (107135440, 39199252480, "0c09d8a1b8702462"),
    "SRTGR2Plus1D34": (82011629, 40310423552, "4eb5b1e6dbc49231"),
    "SRTGR2Plus1D50": (55043255, 24861157888, "9d0deebe3f11f8d4"),
    "SRTGR2Plus1D101": (105293623, 37562034688, "a812f52e28c3530f"),
}


def shallow(name, depths):
    size = dataclasses.replace(SIZES[name], depths=depths)
    return resnet.video_resnet(size, classes=5, classifier_activation=None)


@pytest.fixture
def zero_lstms(monkeypatch, zeros):
    """LSTMs are of zeros, too."""
    cell = keras.layers.LSTMCell

    def build_zeros(units, **kwargs):
        return cell(units, kernel_initializer="zeros", recurrent_initializer="zeros", **kwargs)

    cells = {**recurrence.CELLS, "lstm": (build_zeros, *recurrence.CELLS["lstm"][1:])}
    monkeypatch.setattr(recurrence, "CELLS", cells)


@pytest.mark.usefixtures("zero_lstms")
@pytest.mark.parametrize("name", SIZES)
def test_figures(name):
    params, *rest = FIGURES[name]
    depths = SIZES[name].depths
    second_biases = sum(2 * 4 * 64 * 2**i * depth for i, depth in enumerate(depths))
    check_figures(getattr(mt, name)(), (16, 224, 224), params - second_biases, *rest)


@pytest.mark.parametrize("name", SHALLOW)
def test_logits_are_those_of_the_published_code(name):
    with np.load(Path(__file__).parents[1] / "vectors" / "srtg.npz") as stored:
        check_logits(shallow(name, SHALLOW[name]), CLIPS, stored, name)


def test_back_to_pytorch_and_again():
    network = shallow("SRTGR3D50", (1, 1, 1, 1))
    randomize(network)
    before = [np.array(value) for value in network.get_weights()]
    state = to_state_dict(network, only_rules(network))
    bias = state["layer1.0.sar.lstm.bias_ih_l0"]
    np.testing.assert_array_equal(bias, network.get_layer("stage1_block1").recurrences[0].cell.bias)
    assert not state["layer1.0.sar.lstm.bias_hh_l1"].any()
    from_state_dict(network, state, only_rules(network))
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_presets():
    with pytest.raises(FileNotFoundError, match=r"drive\.google\.com"):
        mt.SRTGR3D50(weights="hacs")
    assert mt.presets.find("SRTGR3D34", "hacs").normalization.channel_order == "bgr"
