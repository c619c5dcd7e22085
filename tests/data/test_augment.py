"""Settings of augmentation and the presets."""

import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet.data import Augment
from keras_mtnet.data.augment import PRESETS, augment_clip, find_augment
from keras_mtnet.data.random_ops import sample_seed
from keras_mtnet.training.recipe import Recipe

CLIP = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), "uint8")


def test_presets():
    assert PRESETS["none"] == Augment() and not PRESETS["none"].changes_pixels
    assert PRESETS["paper"] == Augment(paper=0.8)
    assert (
        tuple(PRESETS) == Recipe.__dataclass_fields__["augment"].metadata["choices"]
    )  # what the command line offers
    assert [name for name, augment in PRESETS.items() if augment.mixes] == ["strong"]
    for name, augment in PRESETS.items():
        assert find_augment(name) is augment is find_augment(augment)


def test_nothing_is_done_without_a_reason():
    clip = tf.constant(CLIP)
    assert augment_clip(clip, sample_seed(0, 0), PRESETS["none"]) is clip
    assert augment_clip(clip, sample_seed(0, 0), Augment(mix_up=1.0, crop_area=(0.5, 1))) is clip


@pytest.mark.parametrize(
    "field", ["brightness", "contrast", "saturation", "hue", "paper", "rand_layers", "erase"]
)
def test_each_field_changes_clips(field):
    augment = Augment(**{field: 0.5 if field == "hue" else 1})
    assert augment.changes_pixels
    found = [augment_clip(tf.constant(CLIP), sample_seed(0, n), augment) for n in range(4)]
    assert any((each.numpy() != CLIP).any() for each in found)
    assert all(each.shape == CLIP.shape and each.dtype == tf.uint8 for each in found)


def test_probabilities():
    clip = np.zeros((1, 20, 20, 3), "uint8")
    augment = Augment(erase=0.25)
    change = tf.function(lambda n: augment_clip(tf.constant(clip), sample_seed(0, n), augment))
    share = np.mean([(change(tf.constant(n)).numpy() != 0).any() for n in range(300)])
    assert abs(share - 0.25) < 0.08


@pytest.mark.parametrize(
    "options, message",
    [
        ({"flip": 1.1}, "flip must be from 0 to 1. Received: 1.1"),
        ({"hue": 0.6}, "hue must be from 0 to 0.5"),
        ({"erase": -0.1}, "erase must be from 0 to 1"),
        ({"rand_magnitude": 11}, "rand_magnitude must be from 0 to 10"),
        ({"mix_up": float("nan")}, "mix_up must be from 0"),
        ({"crop_area": (0.0, 1.0)}, "crop_area must be two numbers"),
        ({"crop_area": (0.5, 0.2)}, "crop_area must be two numbers"),
        ({"erase_area": (0.5, 1.5)}, "erase_area must be two numbers"),
    ],
)
def test_wrong_values(options, message):
    with pytest.raises(ValueError, match=message):
        Augment(**options)


def test_unknown_preset():
    with pytest.raises(
        ValueError, match=r"none, paper, randaugment, strong, or an Augment.*'Paper'"
    ):
        find_augment("Paper")
