"""3-D ResNets and R(2+1)D against their published code.

make_resnet3d.py and make_r2plus1d.py found the numbers.
"""

import dataclasses
from pathlib import Path

import make_r2plus1d
import make_resnet3d
import numpy as np
import pytest
from published import check_figures, check_logits, only_rules

import keras_mtnet as mt
from keras_mtnet.models import r2plus1d, resnet, resnet3d
from keras_mtnet.weights.torch import from_state_dict, to_state_dict

# Parameters, multiply-adds of a clip, names of all tensors (a hash), of the published code.
FIGURES = {
    "R3D18": (33371472, 40696553472, "bc240e49eebcd325"),
    "MC3_18": (11695440, 43342635008, "482dade6b1a6d9fd"),
    "ResNet3D18": (33409104, 8308006912, "234a5641c04be410"),
    "ResNet3D34": (63718736, 12696297472, "c139465b44d2d4e1"),
    "ResNet3D50": (47018576, 10069311488, "efc1424d47680fd7"),
    "ResNet3D101": (86064720, 13890715648, "2f97eb620199ba51"),
    "NarrowR3D50": (36724688, 26467442688, "acba45b6fa40d039"),
    "NarrowR3D101": (69060048, 39132667904, "a7492d7b3a1a190b"),
    "R2Plus1D18": (31505325, 40519080960, "4be63f9053df0eaa"),
    "R2Plus1D34": (63697175, 152355715072, "0f246cf7f863f8bd"),
    "R2Plus1D50": (28107600, 57533825024, "47558c931b117d8c"),
    "NarrowR2Plus1D50": (34863287, 24830224896, "3d1277c9a5c8c2ad"),
    "NarrowR2Plus1D101": (67218231, 37495450112, "d1dc4a2011cb8dae"),
}
SIZES = {**resnet3d.SIZES, **r2plus1d.SIZES}


def shallow(name, depths, **options):
    size = dataclasses.replace(SIZES[name], depths=depths)
    return resnet.video_resnet(size, **{"classes": 5, "classifier_activation": None, **options})


@pytest.mark.usefixtures("zeros")
@pytest.mark.parametrize("name", SIZES)
def test_figures(name):
    frames, size = SIZES[name].clip
    check_figures(getattr(mt, name)(), (frames, size, size), *FIGURES[name])


VECTORS = {"resnet3d.npz": make_resnet3d, "r2plus1d.npz": make_r2plus1d}


@pytest.mark.parametrize(
    ("file", "name"), [(file, name) for file, made in VECTORS.items() for name in made.SHALLOW]
)
def test_logits_are_those_of_the_published_code(file, name):
    network = shallow(name, VECTORS[file].SHALLOW[name][0])
    with np.load(Path(__file__).parents[1] / "vectors" / file) as stored:
        check_logits(network, VECTORS[file].CLIPS, stored, name)


@pytest.mark.parametrize(
    ("name", "stem", "frames"),
    [("ResNet3D50", (8, 16, 24), (8, 4, 2, 1)), ("R2Plus1D50", (16, 32, 48), (16, 16, 8, 4))],
)
def test_stages(name, stem, frames):
    narrow = {"input_shape": (16, 64, 96, 3), "include_top": False}
    features = mt.feature_extractor(shallow(name, (1, 1, 1, 1), **narrow)).output
    assert {name: tuple(y.shape[1:]) for name, y in features.items()} == {
        "stem": (*stem, 64),
        "stage1": (frames[0], 16, 24, 256),
        "stage2": (frames[1], 8, 12, 512),
        "stage3": (frames[2], 4, 6, 1024),
        "stage4": (frames[3], 2, 3, 2048),
    }


def test_features():
    network = shallow("R3D18", (1, 1, 1, 1), include_top=False, pooling="max")
    assert network.output_shape == (None, 512)


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
    with pytest.raises(FileNotFoundError, match=r"r2plus1d_34_clip8_ig65m_from_scratch"):
        mt.R2Plus1D34(weights="ig65m_8frames")
    assert mt.presets.find("R2Plus1D34", "ig65m").classes == 487
    row = mt.presets.find("ResNet3D50", "kinetics700")
    assert (row.classes, row.normalization) == (700, SIZES["ResNet3D50"].normalization)
