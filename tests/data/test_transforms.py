"""Crops and normalisation, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_mtnet.data import sampling, transforms
from keras_mtnet.models.preprocessing import preprocess_input


def test_short_side_is_that_of_the_paper():
    assert transforms.short_side(256) == 320
    assert transforms.short_side(224) == 280
    assert transforms.short_side(64) == 80


def test_crop_side_is_the_crop_in_the_frame():
    """0.8 of the shorter side, which becomes 1.25 times the crop."""
    assert sampling.crop_side(320, 400) == 256
    assert sampling.crop_side(400, 240) == 192
    assert sampling.crop_side(1, 9) == 1


def test_normalise_leaves_values_to_the_model():
    clips = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 7, 3), "uint8")
    found = transforms.normalise(tf.constant(clips))
    assert found.dtype == tf.float32 and found.shape == clips.shape
    np.testing.assert_array_equal(found, preprocess_input(clips))


def test_normalise_keeps_what_is_known_of_the_shape():
    known = tf.data.Dataset.from_tensors(np.zeros((4, 2, 6, 6, 3), "uint8")).unbatch().batch(3)
    assert known.map(transforms.normalise).element_spec.shape.as_list() == [None, 2, 6, 6, 3]


# --- For pipelines of one's own ------------------------------------------------------------------

UNKNOWN = tf.TensorSpec((None, None, None, 3), tf.uint8)


@pytest.mark.parametrize(
    "height, width, side",
    [(24, 30, 12), (30, 24, 12), (48, 64, 40), (20, 20, 33), (31, 57, 20), (10, 997, 7)],
)
def test_resize_short_side(height, width, side):
    """To the size that decoding gives too, with the values of PIL."""
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (2, height, width, 3), "uint8")
    resize = tf.function(lambda c: transforms.resize_short_side(c, side), [UNKNOWN])
    found = resize(clip).numpy()
    scale = side / min(height, width)
    size = (round(height * scale), round(width * scale))
    assert found.shape == (2, *size, 3) and found.dtype == np.uint8
    expected = [Image.fromarray(frame).resize(size[::-1], Image.BILINEAR) for frame in clip]
    assert np.abs(found.astype(int) - np.stack(expected)).max() <= 1


@pytest.mark.parametrize("height, width", [(20, 31), (31, 20), (20, 20), (21, 48)])
@pytest.mark.parametrize("crops", [1, 2, 3, 5])
def test_uniform_crops_are_those_of_a_test(height, width, crops):
    clip = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), "uint8")
    cut = tf.function(lambda c: transforms.uniform_crops(c, 16, crops), [UNKNOWN])
    expected = [
        clip[:, top : top + 16, left : left + 16]
        for top, left in sampling.uniform_boxes(height, width, 16, crops)
    ]
    np.testing.assert_array_equal(cut(clip), np.stack(expected))
