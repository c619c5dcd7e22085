"""3-D ResNets against their published code, of which make_resnet3d.py found the numbers."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
from make_resnet3d import CLIPS, SHALLOW
from published import check_figures, check_logits, only_rules, randomize

import keras_mtnet as mt
from keras_mtnet.models import resnet
from keras_mtnet.models.resnet3d import SIZES
from keras_mtnet.weights.torch import from_state_dict, to_state_dict

# Parameters, multiply-adds for 16 frames, names of all tensors (a hash), of the published code.
FIGURES = {
    "R3D18": (33371472, 40696553472, "bc240e49eebcd325"),
    "MC3_18": (11695440, 43342635008, "482dade6b1a6d9fd"),
    "ResNet3D18": (33409104, 8308006912, "234a5641c04be410"),
    "ResNet3D34": (63718736, 12696297472, "c139465b44d2d4e1"),
    "ResNet3D50": (47018576, 10069311488, "efc1424d47680fd7"),
    "ResNet3D101": (86064720, 13890715648, "2f97eb620199ba51"),
    "NarrowR3D50": (36724688, 26467442688, "acba45b6fa40d039"),
    "NarrowR3D101": (69060048, 39132667904, "a7492d7b3a1a190b"),
}


def shallow(name, depths, **options):
    size = dataclasses.replace(SIZES[name], depths=depths)
    return resnet.video_resnet(size, **{"classes": 5, "classifier_activation": None, **options})


@pytest.mark.parametrize("name", SIZES)
def test_figures(name, monkeypatch):
    monkeypatch.setattr(resnet, "he_fan_out", keras.initializers.Zeros)  # faster
    frames, size = SIZES[name].clip
    check_figures(getattr(mt, name)(), (frames, size, size), *FIGURES[name])


@pytest.mark.parametrize("name", SHALLOW)
def test_logits_are_those_of_the_published_code(name):
    with np.load(Path(__file__).parents[1] / "vectors" / "resnet3d.npz") as stored:
        check_logits(shallow(name, SHALLOW[name][0]), CLIPS, stored, name)


def test_stages():
    narrow = {"input_shape": (16, 64, 96, 3), "include_top": False}
    features = mt.feature_extractor(shallow("ResNet3D50", (1, 1, 1, 1), **narrow)).output
    assert {name: tuple(y.shape[1:]) for name, y in features.items()} == {
        "stem": (8, 16, 24, 64),
        "stage1": (8, 16, 24, 256),
        "stage2": (4, 8, 12, 512),
        "stage3": (2, 4, 6, 1024),
        "stage4": (1, 2, 3, 2048),
    }


def test_small_clips_and_features():
    network = shallow("R3D18", (1, 1, 1, 1), include_top=False, pooling="max")
    assert network.output_shape == (None, 512)
    for shape in ((1, 1, 1), (2, 9, 5)):
        assert np.isfinite(network(np.zeros((2, *shape, 3), "uint8"))).all()


def test_saving(tmp_path):
    network = shallow("MC3_18", (1, 1, 1, 1), input_shape=(4, 32, 32, 3))
    randomize(network)
    clips = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 3), "uint8")
    network.save(tmp_path / "network.keras")
    loaded = mt.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(loaded(clips, training=False), network(clips, training=False))


def test_refuses_other_checkpoints():
    network, other = shallow("R3D18", (1, 1, 1, 1)), shallow("R3D18", (2, 1, 1, 1))
    rules = only_rules(network)
    small, large = to_state_dict(network, rules), to_state_dict(other, rules)
    with pytest.raises(ValueError, match=r"not part of the network: layer1\.1\.conv1\.0\.weight"):
        from_state_dict(network, large, rules)
    with pytest.raises(ValueError, match=r"missing: layer1\.1\.conv1\.0\.weight"):
        from_state_dict(other, small, rules)
    with pytest.raises(ValueError, match=r"layer1\.0\.conv1\.0\.weight is \(64, 64, 1, 3, 3\)"):
        from_state_dict(
            network, {**small, "layer1.0.conv1.0.weight": np.ones((64, 64, 1, 3, 3))}, rules
        )


def test_presets():
    with pytest.raises(FileNotFoundError, match=r"r3d_18-b3b3357e\.pth"):
        mt.R3D18(weights="kinetics400")
    row = mt.presets.find("ResNet3D50", "kinetics700")
    assert (row.classes, row.normalization) == (700, SIZES["ResNet3D50"].normalization)
