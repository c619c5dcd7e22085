"""Data sets of clips: their arguments, and what they say of themselves."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
import tensorflow as tf
from clip_batches import SMALL, take

from keras_mtnet.data import Videos, clips, read_split, read_videos, views


@pytest.mark.parametrize("name", ["frames", "stride", "size", "batch_size"])
def test_numbers_must_be_positive(videos, name):
    for value in (0, 2.5, (32, 32)):
        message = re.escape(f"{name} must be an integer of at least 1. Received: {name}={value}")
        with pytest.raises(ValueError, match=message):
            clips(videos, **{**SMALL, name: value})


def test_other_wrong_arguments(videos):
    with pytest.raises(ValueError, match="videos must not be empty"):
        clips(videos[:0])
    with pytest.raises(ValueError, match=r"read_split.*Received: videos='videos'"):
        clips("videos")
    with pytest.raises(ValueError, match="num_crops must be an integer of at least 1"):
        views(videos, num_crops=0)
    with pytest.raises(ValueError, match="sampling must be one of"):
        clips(videos, sampling="segments")
    with pytest.raises(ValueError, match="label_mode must be one of"):
        clips(videos, label_mode="one_hot")
    with pytest.raises(ValueError, match=r"needs 2 classes\. Received: 8 classes"):
        clips(videos, label_mode="binary")
    with pytest.raises(ValueError, match="sample_weights=True needs labels"):
        clips(videos, label_mode=None, sample_weights=True)


def test_labels_of_every_mode(videos):
    def labels(**options):
        dataset = clips(videos, **{**SMALL, **options})
        return np.concatenate([batch[1] for batch in dataset.as_numpy_iterator()])

    expected = np.array([v.label for v in videos])
    np.testing.assert_array_equal(labels(), expected)
    np.testing.assert_array_equal(labels(label_mode="categorical"), np.eye(8)[expected])
    alone = clips(videos, label_mode=None, **SMALL)
    assert alone.element_spec == tf.TensorSpec((None, 4, 32, 32, 3), tf.uint8)
    assert next(iter(alone)).shape == (6, 4, 32, 32, 3)
    two = Videos([dataclasses.replace(v, label=v.label % 2) for v in videos], ("a", "b"))
    ((_, found),) = take(clips(two, label_mode="binary", **SMALL), 1)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected[:6, None] % 2)


def test_the_clip_spec(videos):
    spec = clips(videos, **SMALL, fps=25).clip_spec
    assert (spec.frames, spec.stride, spec.size, spec.fps) == (4, 2, 32, 25)
    assert spec.class_names == videos.class_names and spec.sampling == "window"
    spec = clips(read_videos([videos[0].path]), sampling="uniform").clip_spec
    assert spec.stride is None and spec.sampling == "uniform" and spec.class_names is None


def test_wrong_augmentation(videos):
    with pytest.raises(
        ValueError, match=r"augment needs training=True\. Received: augment=Augment"
    ):
        clips(videos, augment="paper")
    with pytest.raises(ValueError, match="augment must be one of none, paper"):
        clips(videos, training=True, augment="papers")
    with pytest.raises(ValueError, match="label_mode='categorical' and a loss of such labels"):
        clips(videos, training=True, augment="strong")
    with pytest.raises(ValueError, match="needs videos with class names"):
        clips(read_videos(["a.mp4"]), label_mode="categorical")


def test_real_clips(real_data):
    root = real_data / "weizmann"
    if not root.is_dir():
        pytest.skip(f"no real clips: {root} is not there")
    videos = read_split("ucf101", str(root))
    dataset = clips(videos, 16, 2, 64, 16, training=True, strict=True)
    batches = list(itertools.islice(dataset.as_numpy_iterator(), 2))
    for x, _ in batches:
        assert x.shape == (16, 16, 64, 64, 3)
        assert (np.diff(x, axis=1) != 0).any((1, 2, 3, 4)).all()  # things move
        assert x.min() < 50 and x.max() > 150
