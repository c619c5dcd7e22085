"""TSM against its published code: figures and vectors of tests/vectors/make_tsm.py."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from make_tsm import CLIPS, DEPTHS
from published import check_logits
from zoo import digest

import keras_mtnet as mt
from keras_mtnet.models import tsm
from keras_mtnet.weights.torch import choose_rules, from_state_dict, to_state_dict

# By frames: parameters and multiply-adds of the published code. Names of all tensors (a hash).
FIGURES = {8: (24327632, 32703643648), 16: (24327632, 65407287296)}
NAMES = "bc98edc1ebd8c507"
AUTHORS, MMACTION = tsm.TORCH_KEYS.values()


def shallow(**options):
    size = dataclasses.replace(tsm.SIZE, depths=DEPTHS)
    return tsm._tsm(size, **{"classes": 5, "classifier_activation": None, **options})


@pytest.fixture(scope="module")
def network():
    return shallow()


@pytest.mark.usefixtures("zeros")
def test_figures():
    network = mt.TSM50()
    assert sum(np.prod(weight.shape) for weight in network.trainable_weights) == FIGURES[8][0]
    for frames, (_, macs) in FIGURES.items():
        assert mt.count_costs(network, (frames, 224, 224, 3)).macs == pytest.approx(macs, rel=0.001)
    assert digest(to_state_dict(network, AUTHORS)) == NAMES


def test_logits_are_those_of_the_published_code(network):
    network.torch_keys = {"authors": AUTHORS}
    with np.load(Path(__file__).parents[1] / "vectors" / "tsm.npz") as stored:
        check_logits(network, CLIPS, stored, "tsm")


def test_keys_of_mmaction(network):
    """As its ConvModule and its TemporalShift name them."""
    state = to_state_dict(network, MMACTION)
    shapes = {
        "backbone.conv1.conv.weight": (64, 3, 7, 7),
        "backbone.conv1.bn.running_var": (64,),
        "backbone.layer1.0.conv1.conv.net.weight": (64, 64, 1, 1),
        "backbone.layer1.1.conv1.bn.weight": (64,),
        "backbone.layer2.0.conv2.conv.weight": (128, 128, 3, 3),
        "backbone.layer4.0.downsample.conv.weight": (2048, 1024, 1, 1),
        "backbone.layer4.0.downsample.bn.bias": (2048,),
        "cls_head.fc_cls.weight": (5, 2048),
    }
    assert {key: state[key].shape for key in shapes} == shapes
    assert len(state) == len(to_state_dict(network, AUTHORS))
    network.torch_keys = tsm.TORCH_KEYS
    assert choose_rules(network, state) == MMACTION
    from_state_dict(network, state, MMACTION)


def test_refuses_other_checkpoints(network):
    state = to_state_dict(network, AUTHORS)
    kernel = state.pop("base_model.layer2.0.conv1.net.weight")
    with pytest.raises(ValueError, match=r"missing: base_model\.layer2\.0\.conv1\.net\.weight"):
        from_state_dict(network, state, AUTHORS)
    state["base_model.layer2.0.conv1.weight"] = kernel  # of a network that does not shift
    with pytest.raises(ValueError, match=r"not part of the network: base_model\.layer2\.0\.conv1"):
        from_state_dict(network, state, AUTHORS)


def test_stages():
    features = mt.feature_extractor(shallow(include_top=False, input_shape=(8, 64, 96, 3))).output
    assert {name: tuple(y.shape[1:]) for name, y in features.items()} == {
        "stem": (8, 16, 24, 64),
        "stage1": (8, 16, 24, 256),
        "stage2": (8, 8, 12, 512),
        "stage3": (8, 4, 6, 1024),
        "stage4": (8, 2, 3, 2048),
    }
