"""bLVNet-TAM against its published code: figures and vectors of make_blvnet_tam.py."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from make_blvnet_tam import CLIPS, DEPTHS
from published import check_logits, only_rules
from zoo import digest

import keras_mtnet as mt
from keras_mtnet.models import blvnet_tam
from keras_mtnet.weights.torch import from_state_dict, to_state_dict

# By frames: parameters and multiply-adds of the published code. Names of all tensors (a hash).
FIGURES = {
    16: (25483216, 23855005696),
    32: (25483216, 47710011392),
    48: (25483216, 71565017088),
}
NAMES = "11d68c124bd9c535"


def shallow(**options):
    size = dataclasses.replace(blvnet_tam.SIZE, depths=DEPTHS)
    return blvnet_tam._blvnet_tam(size, **{"classes": 5, "classifier_activation": None, **options})


@pytest.fixture(scope="module")
def network():
    return shallow()


@pytest.mark.usefixtures("zeros")
def test_figures():
    network = mt.BLVNetTAM50()
    assert sum(np.prod(weight.shape) for weight in network.trainable_weights) == FIGURES[16][0]
    for frames, (_, macs) in FIGURES.items():
        assert mt.count_costs(network, (frames, 224, 224, 3)).macs == pytest.approx(macs, rel=0.001)
    assert digest(to_state_dict(network, only_rules(network))) == NAMES


def test_logits_are_those_of_the_published_code(network):
    with np.load(Path(__file__).parents[1] / "vectors" / "blvnet_tam.npz") as stored:
        check_logits(network, CLIPS, stored, "blvnet")


def test_an_odd_last_frame_is_a_pair_with_itself(network):
    clips = np.random.default_rng(0).integers(0, 256, (1, 5, 32, 32, 3), "uint8")
    longer = np.concatenate([clips, clips[:, -1:]], 1)
    logits, expected = (np.asarray(network(x, training=False)) for x in (clips, longer))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_refuses_other_checkpoints(network):
    rules = only_rules(network)
    state = to_state_dict(network, rules)
    scales = state.pop("baseline_model.layer2.tam.next.weight")
    assert scales.shape == (256, 1, 1, 1)
    with pytest.raises(ValueError, match=r"missing: baseline_model\.layer2\.tam\.next\.weight"):
        from_state_dict(network, state, rules)
    state["baseline_model.layer2.tam.next.weight"] = scales[:64]
    with pytest.raises(ValueError, match=r"is \(64, 1, 1, 1\), not \(256, 1, 1, 1\)"):
        from_state_dict(network, state, rules)


def test_stages():
    features = mt.feature_extractor(shallow(include_top=False, input_shape=(8, 64, 96, 3))).output
    assert {name: tuple(y.shape[1:]) for name, y in features.items()} == {
        "stem": (4, 16, 24, 64),
        "stage1": (4, 8, 12, 256),
        "stage2": (4, 4, 6, 512),
        "stage3": (4, 4, 6, 1024),
        "stage4": (4, 2, 3, 2048),
    }
