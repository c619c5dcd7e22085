"""X3D against its published code, of which make_x3d.py found the numbers."""

from pathlib import Path

import numpy as np
import pytest
from make_x3d import CLIPS, NARROW
from published import check_figures, check_logits, randomize

import keras_mtnet as mt
from keras_mtnet.models import x3d
from keras_mtnet.weights.torch import from_state_dict, to_state_dict

# Code base -> whether the first shortcut of its networks has a batch normalization.
SOURCES = {"pytorchvideo": False, "PySlowFast": True}
SOURCE = pytest.mark.parametrize("source", SOURCES)

# Parameters, multiply-adds, names of all tensors (a hash). PySlowFast has no XL.
FIGURES = {
    ("X3DXS", "pytorchvideo"): (3794274, 605256512, "92cf6db9a1a73822"),
    ("X3DS", "pytorchvideo"): (3794274, 1962892112, "92cf6db9a1a73822"),
    ("X3DM", "pytorchvideo"): (3794274, 4732468736, "92cf6db9a1a73822"),
    ("X3DL", "pytorchvideo"): (6153384, 18367710176, "c883ba03734c236d"),
    ("X3DXL", "pytorchvideo"): (11095840, 35837627616, "cf53f418820210be"),
    ("X3DXS", "PySlowFast"): (3794322, 605256512, "e82781d46e694cd5"),
    ("X3DS", "PySlowFast"): (3794322, 1962892112, "e82781d46e694cd5"),
    ("X3DM", "PySlowFast"): (3794322, 4732468736, "e82781d46e694cd5"),
    ("X3DL", "PySlowFast"): (6153432, 18367710176, "1a6840f922134d17"),
}


def narrow(source="pytorchvideo", **options):
    """Like X3D before its width and depth were expanded; and the rules of the code base."""
    size = x3d.Size("X3DM", "narrow", (4, 64), *NARROW[:2])
    options = {"classes": NARROW[2], "classifier_activation": None, **options}
    network = x3d.x3d(size, shortcut_norm=SOURCES[source], **options)
    return network, network.torch_keys[source]


@pytest.mark.usefixtures("zeros")
@pytest.mark.parametrize(("name", "source"), FIGURES)
def test_figures(name, source):
    network = getattr(mt, name)(shortcut_norm=SOURCES[source])
    assert next(iter(network.torch_keys)) == source
    frames, size = x3d.SIZES[name].clip
    clip = (frames, size, size)
    check_figures(network, clip, *FIGURES[name, source], network.torch_keys[source])


@SOURCE
def test_logits_are_those_of_the_published_code(source):
    network, rules = narrow(source)
    with np.load(Path(__file__).parents[1] / "vectors" / "x3d.npz") as stored:
        check_logits(network, CLIPS, stored, source, rules)


def test_stages():
    features = mt.feature_extractor(narrow(input_shape=(4, 64, 80, 3))[0]).output
    assert {name: tuple(y.shape[1:]) for name, y in features.items()} == {
        "stem": (4, 32, 40, 8),
        "stage1": (4, 16, 20, 8),
        "stage2": (4, 8, 10, 16),
        "stage3": (4, 4, 5, 32),
        "stage4": (4, 2, 3, 64),
    }


def test_features():
    network, _ = narrow(include_top=False, pooling="max")
    assert network.output_shape == (None, 144)


def test_refuses_other_checkpoints():
    network, rules = narrow()
    state = to_state_dict(network, rules)
    key = "blocks.2.res_blocks.0.branch1_conv.weight"
    with pytest.raises(ValueError, match=rf"missing: {key}"):
        from_state_dict(network, {k: v for k, v in state.items() if k != key}, rules)
    with pytest.raises(ValueError, match=r"not part of the network: blocks\.9\.weight"):
        from_state_dict(network, {**state, "blocks.9.weight": state[key]}, rules)
    other = to_state_dict(*narrow("PySlowFast"))
    with pytest.raises(ValueError, match=r"not part of the network: s2\.pathway0_res0\.branch1_bn"):
        from_state_dict(network, other, network.torch_keys["PySlowFast"])


@SOURCE
def test_published_checkpoints_are_converted(monkeypatch, home, tmp_path, source):
    """The file's name tells the preset, and the preset what its network needs."""
    monkeypatch.setattr(x3d, "DEPTHS", (0.4, 0.4, 0.4, 0.4))  # one block each
    weights, file = {
        "pytorchvideo": ("kinetics400", "X3D_M.pyth"),
        "PySlowFast": ("kinetics400_slowfast", "x3d_m.pyth"),
    }[source]
    with pytest.raises(FileNotFoundError, match=rf"{file} and run: .* --weights {weights}"):
        mt.X3DM(weights=weights)
    network = mt.X3DM(shortcut_norm=SOURCES[source])
    rules = network.torch_keys[source]
    randomize(network, rules)
    state = to_state_dict(network, rules)
    monkeypatch.setattr("keras_mtnet.convert.read_published", lambda path: state)
    (tmp_path / file).touch()  # its checksum is logged
    mt.convert_weights(tmp_path / file, "X3DM")
    model = mt.X3DM(weights=weights)
    for ours, theirs in zip(model.weights, network.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (model.clip_spec.frames, model.clip_spec.stride, model.clip_spec.size) == (16, 5, 224)
    with pytest.raises(ValueError, match="are for shortcut_norm"):
        mt.X3DM(weights=weights, shortcut_norm=not SOURCES[source])
