"""Channel-separated networks against their published code; make_csn.py found the numbers."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from make_csn import CLIPS, SMALL
from published import check_figures, check_logits

import keras_mtnet as mt
from keras_mtnet.models import csn
from keras_mtnet.weights.torch import from_state_dict, to_state_dict

# Parameters, multiply-adds, names of all tensors (a hash).
FIGURES = {
    ("IRCSN101", "pytorchvideo"): (22213776, 56468187136, "8cc407142dadb3c8"),
    ("IRCSN101", "VMZ"): (22213776, 56468187136, "aa7722e564464fa1"),
    ("IRCSN152", "VMZ"): (29703568, 74046244864, "97c1c76c847a6c44"),
    ("IPCSN101", "VMZ"): (24601616, 63558658048, "4d0b6df00bad33a3"),
    ("IPCSN152", "VMZ"): (33016592, 83294685184, "9c3347e2b8eddecd"),
}


def small(name, **options):
    """A network of few blocks."""
    size = dataclasses.replace(csn.SIZES[name], depths=SMALL[name][0])
    return csn.csn(size, **{"classes": 5, "classifier_activation": None, **options})


def keys_of(network):
    """The rules of the code base whose weights it was made for first."""
    return next(iter(network.torch_keys.values()))


@pytest.mark.usefixtures("zeros")
@pytest.mark.parametrize(("name", "source"), FIGURES)
def test_figures(name, source):
    network = getattr(mt, name)()
    clip = (32, 224, 224)
    check_figures(network, clip, *FIGURES[name, source], network.torch_keys[source])


@pytest.mark.parametrize("name", SMALL)
def test_logits_are_those_of_the_published_code(name, monkeypatch):
    monkeypatch.setattr(csn, "FILTERS", [SMALL[name][1] * 2**i for i in range(4)])
    network = small(name)
    with np.load(Path(__file__).parents[1] / "vectors" / "csn.npz") as stored:
        check_logits(network, CLIPS, stored, name, keys_of(network))


# Of the first block of the second stage; mmaction2's ResNet3dCSN, read and not run.
MMACTION = {
    "IRCSN152": {"conv2.0.conv.weight": (128, 1, 3, 3, 3), "conv2.0.bn.weight": (128,)},
    "IPCSN152": {
        "conv2.0.conv.weight": (128, 128, 1, 1, 1),
        "conv2.0.bn.weight": (128,),
        "conv2.1.conv.weight": (128, 1, 3, 3, 3),
        "conv2.1.bn.weight": (128,),
    },
}


@pytest.mark.parametrize("name", MMACTION)
def test_names_of_mmaction2(name):
    network = small(name)
    state = to_state_dict(network, network.torch_keys["mmaction2"])
    shapes = {key: value.shape for key, value in state.items() if value.shape}
    weights = {key for key in shapes if key.endswith("weight")}
    block = {
        "conv1.conv.weight": (128, 256, 1, 1, 1),
        "conv1.bn.weight": (128,),
        **MMACTION[name],
        "conv3.conv.weight": (512, 128, 1, 1, 1),
        "conv3.bn.weight": (512,),
        "downsample.conv.weight": (512, 256, 1, 1, 1),
        "downsample.bn.weight": (512,),
    }
    first = "backbone.layer2.0."
    found = {k.removeprefix(first): shapes[k] for k in weights if k.startswith(first)}
    assert found == block
    assert {key for key in weights if ".layer" not in key} == {
        "backbone.conv1.conv.weight",
        "backbone.conv1.bn.weight",
        "cls_head.fc_cls.weight",
    }


def test_stages():
    features = mt.feature_extractor(small("IRCSN152", input_shape=(16, 64, 96, 3))).output
    assert {name: tuple(y.shape[1:]) for name, y in features.items()} == {
        "stem": (16, 16, 24, 64),
        "stage1": (16, 16, 24, 256),
        "stage2": (8, 8, 12, 512),
        "stage3": (4, 4, 6, 1024),
        "stage4": (2, 2, 3, 2048),
    }


def test_features(monkeypatch):
    monkeypatch.setattr(csn, "FILTERS", (4, 8, 8, 8))
    network = small("IPCSN152", include_top=False, pooling="max")
    assert network.output_shape == (None, 32)


def test_refuses_other_checkpoints(monkeypatch):
    monkeypatch.setattr(csn, "FILTERS", (4, 8, 8, 8))
    reduced, preserved = small("IRCSN152"), small("IPCSN152")
    rules = keys_of(reduced)
    state = to_state_dict(preserved, keys_of(preserved))
    with pytest.raises(ValueError, match=r"missing: layer1\.0\.conv2\.0\.weight"):
        from_state_dict(reduced, state, rules)
    state = to_state_dict(reduced, rules)
    key = "layer4.0.downsample.1.running_var"
    with pytest.raises(ValueError, match=rf"missing: {key}"):
        from_state_dict(reduced, {k: v for k, v in state.items() if k != key}, rules)
    with pytest.raises(ValueError, match=r"not part of the network: fc\.scale"):
        from_state_dict(reduced, {**state, "fc.scale": state[key]}, rules)


def test_presets():
    with pytest.raises(FileNotFoundError, match=r"CSN_32x2_R101\.pyth"):
        mt.IRCSN101(weights="kinetics400")
    row = mt.presets.find("IPCSN152", "kinetics400_ig65m")
    assert (row.checkpoint_sha256, row.normalization) == ("c3be9793", mt.presets.IMAGENET)
