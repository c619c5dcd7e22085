"""MF-Net against its published code: figures and vectors of tests/vectors/make_mfnet.py."""

from pathlib import Path

import numpy as np
import pytest
from make_mfnet import CLIPS
from published import check_figures, check_logits, only_rules

import keras_mtnet as mt
from keras_mtnet.weights.hub import locate_preset
from keras_mtnet.weights.torch import from_state_dict, to_state_dict

# Parameters, multiply-adds for 16 x 224 x 224, names of all tensors (a hash).
FIGURES = (7996368, 11045449728, "ceba56c5d035911b")


@pytest.fixture(scope="module")
def network():
    return mt.MFNet(classifier_activation=None)


def test_figures(network):
    check_figures(network, (16, 224, 224), *FIGURES)


def test_logits_are_those_of_the_published_code(network):
    with np.load(Path(__file__).parents[1] / "vectors" / "mfnet.npz") as stored:
        check_logits(network, CLIPS, {f"mfnet_{key}": stored[key] for key in stored}, "mfnet")


def test_stages():
    network = mt.MFNet(include_top=False, input_shape=(16, 64, 96, 3))
    features = mt.feature_extractor(network).output
    assert {name: tuple(y.shape[1:]) for name, y in features.items()} == {
        "stem": (16, 16, 24, 16),
        "stage1": (8, 16, 24, 96),
        "stage2": (8, 8, 12, 192),
        "stage3": (8, 4, 6, 384),
        "stage4": (8, 2, 3, 768),
    }


def test_refuses_other_checkpoints(network):
    rules = only_rules(network)
    state = to_state_dict(network, rules)
    kernel = state.pop("conv3.B02.conv_m1.conv.weight")
    assert kernel.shape == (192, 12, 3, 3, 3)
    with pytest.raises(ValueError, match=r"missing: conv3\.B02\.conv_m1\.conv\.weight"):
        from_state_dict(network, state, rules)
    state["conv3.B02.conv_m1.conv.weight"] = kernel.repeat(16, 1)
    with pytest.raises(ValueError, match=r"is \(192, 192, 3, 3, 3\), not \(192, 12, 3, 3, 3\)"):
        from_state_dict(network, state, rules)


def test_preset():
    with pytest.raises(FileNotFoundError, match=r"goo\.gl/QdE85T"):
        locate_preset(mt.presets.find("MFNet", "kinetics400"))
