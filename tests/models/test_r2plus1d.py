"""R(2+1)D against its published code, of which make_r2plus1d.py found the numbers."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
from make_r2plus1d import CLIPS, SHALLOW
from published import check_figures, check_logits

import keras_mtnet as mt
from keras_mtnet.models import resnet
from keras_mtnet.models.r2plus1d import SIZES

# Parameters, multiply-adds of a clip, names of all tensors (a hash), of the published code.
FIGURES = {
    "R2Plus1D18": (31505325, 40519080960, "4be63f9053df0eaa"),
    "R2Plus1D34": (63697175, 152355715072, "0f246cf7f863f8bd"),
    "R2Plus1D50": (28107600, 57533825024, "47558c931b117d8c"),
    "NarrowR2Plus1D50": (34863287, 24830224896, "3d1277c9a5c8c2ad"),
    "NarrowR2Plus1D101": (67218231, 37495450112, "d1dc4a2011cb8dae"),
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
    with np.load(Path(__file__).parents[1] / "vectors" / "r2plus1d.npz") as stored:
        check_logits(shallow(name, SHALLOW[name][0]), CLIPS, stored, name)


def test_stages():
    narrow = {"input_shape": (16, 64, 96, 3), "include_top": False}
    features = mt.feature_extractor(shallow("R2Plus1D50", (1, 1, 1, 1), **narrow)).output
    assert {name: tuple(y.shape[1:]) for name, y in features.items()} == {
        "stem": (16, 32, 48, 64),
        "stage1": (16, 16, 24, 256),
        "stage2": (16, 8, 12, 512),
        "stage3": (8, 4, 6, 1024),
        "stage4": (4, 2, 3, 2048),
    }


def test_presets():
    with pytest.raises(FileNotFoundError, match=r"r2plus1d_34_clip8_ig65m_from_scratch"):
        mt.R2Plus1D34(weights="ig65m_8frames")
    assert mt.presets.find("R2Plus1D34", "ig65m").classes == 487
