"""Checks of a network against its published code, for which vectors/make_*.py found the numbers."""

import numpy as np
import pytest
from zoo import digest, random_clip, random_state

import keras_mtnet as mt
from keras_mtnet.weights.torch import from_state_dict, to_state_dict


def only_rules(network):
    (rules,) = network.torch_keys.values()
    return rules


def check_figures(network, clip, params, macs, names, rules=None):
    """Parameters, multiply-adds, and the names and shapes of the tensors of the state dict."""
    assert sum(np.prod(weight.shape) for weight in network.trainable_weights) == params
    assert mt.count_costs(network, (*clip, 3)).macs == pytest.approx(macs, rel=0.001)
    assert digest(to_state_dict(network, rules or only_rules(network))) == names


def randomize(network, rules=None, weights=random_state):
    """Gives a network, which is to have logits, the weights of `random_state`."""
    rules = rules or only_rules(network)
    shapes = {name: value.shape for name, value in to_state_dict(network, rules).items()}
    from_state_dict(network, weights(shapes), rules)


def check_logits(network, clips, stored, name, rules=None, weights=random_state):
    """Logits of a network with random weights on random clips of each shape."""
    randomize(network, rules, weights)
    for clip, shape in clips.items():
        expected = stored[f"{name}_{clip}"]
        logits = np.asarray(network(random_clip(*shape), training=False))
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
