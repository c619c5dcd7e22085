"""S3D against torchvision's, of which make_s3d.py found the numbers."""

from pathlib import Path

import numpy as np
import pytest
from make_s3d import CLIPS
from published import check_figures, check_logits

import keras_mtnet as mt


@pytest.fixture(scope="module")
def network():
    """S3D for logits of 5 classes, with random weights."""
    return mt.S3D(classes=5, classifier_activation=None)


@pytest.mark.usefixtures("zeros")
def test_figures():
    check_figures(mt.S3D(), (16, 224, 224), 8320048, 17978771456, "bb4f52a9223b0aaa")


def test_logits_are_those_of_torchvision(network):
    with np.load(Path(__file__).parents[1] / "vectors" / "s3d.npz") as stored:
        check_logits(network, CLIPS, stored, "S3D")


def test_stages_and_features():
    model = mt.S3D(input_shape=(16, 64, 96, 3), include_top=False, pooling="avg")
    assert model.output_shape == (None, 1024)
    features = mt.feature_extractor(model).output
    assert {name: tuple(y.shape[1:]) for name, y in features.items()} == {
        "stem": (8, 8, 12, 192),
        "stage1": (8, 8, 12, 480),
        "stage2": (4, 4, 6, 832),
        "stage3": (2, 2, 3, 1024),
    }


def test_presets():
    with pytest.raises(FileNotFoundError, match=r"s3d-d76dad2f\.pth"):
        mt.S3D(weights="kinetics400")
