"""MixUp and CutMix on batches whose clips are one number each: shares can be read off."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet.data import Augment
from keras_mtnet.data.mixing import cut_mix, mix_batch, mix_up
from keras_mtnet.data.random_ops import sample_seed

COUNT = 6
CLIPS = np.broadcast_to(
    np.arange(COUNT, dtype="float32")[:, None, None, None, None], (COUNT, 3, 20, 30, 3)
)
LABELS = np.eye(COUNT, dtype="float32")


@functools.cache
def in_graph(function, *arguments):
    """As in a pipeline, where a batch may have lost clips."""
    specs = [
        tf.TensorSpec((None, 3, 20, 30, 3)),
        tf.TensorSpec((None, COUNT)),
        tf.TensorSpec((2,), tf.int64),
    ]
    return tf.function(lambda x, y, seed: function(x, y, seed, *arguments), specs)


def run(function, number, *arguments, clips=CLIPS, labels=LABELS):
    graph = in_graph(function, *arguments)
    found = graph(clips, labels, sample_seed(0, number))
    mixed, soft = (each.numpy() for each in found)
    assert mixed.shape == clips.shape and soft.shape == labels.shape
    assert mixed.dtype == soft.dtype == np.float32
    np.testing.assert_allclose(soft.sum(1), 1, atol=1e-6)
    assert soft.min() >= 0
    return mixed, soft


@pytest.mark.parametrize("concentration", [0.2, 1.0, 8.0])
def test_mix_up_blends_clips_as_labels(concentration):
    for number in range(5):
        mixed, soft = run(mix_up, number, concentration)
        # A clip is the sum of the numbers of its classes by their shares.
        expected = soft @ np.arange(COUNT)
        np.testing.assert_allclose(
            mixed, np.broadcast_to(expected[:, None, None, None, None], mixed.shape), atol=1e-5
        )
        assert ((soft > 0).sum(1) <= 2).all()


def test_shares_follow_the_beta_distribution():
    for concentration, deviation in ((0.2, 0.423), (1.0, 0.289), (8.0, 0.121)):
        shares = np.concatenate([run(mix_up, n, concentration)[1].diagonal() for n in range(100)])
        assert abs(shares.mean() - 0.5) < 0.06
        assert abs(shares.std() - deviation) < 0.04  # 1 / (2 sqrt(2 a + 1))


def test_cut_mix_labels_are_shares_of_pixels():
    seen = set()
    for number in range(30):
        mixed, soft = run(cut_mix, number, 1.0)
        for clip, label, own in zip(mixed, soft, range(COUNT), strict=True):
            shares = [(clip == other).mean() for other in range(COUNT)]
            np.testing.assert_allclose(label, shares, atol=1e-6)
            other = clip[0, :, :, 0] != own
            assert (clip == clip[:1]).all()  # one box for all frames
            if other.any():
                rows, columns = np.flatnonzero(other.any(1)), np.flatnonzero(other.any(0))
                assert other[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()  # a box
                seen.add((rows[0], columns[0], rows[-1], columns[-1]))
    assert len(seen) > 50


def test_partners_are_other_clips_each_once():
    for number in range(20):
        _, soft = run(mix_up, number, 8.0)
        partner = np.where(np.eye(COUNT, dtype=bool), 0, soft).argmax(1)
        assert sorted(partner) == list(range(COUNT)) and (partner != np.arange(COUNT)).all()


def test_a_clip_that_is_alone_stays_as_it_is():
    for function in (mix_up, cut_mix):
        mixed, soft = run(function, 0, 1.0, clips=CLIPS[2:3], labels=LABELS[2:3])
        np.testing.assert_allclose(mixed, CLIPS[2:3], atol=1e-6)
        np.testing.assert_allclose(soft, LABELS[2:3], atol=1e-6)


@pytest.mark.parametrize("concentration", [1e-4, 100.0])
def test_extreme_concentrations_stay_finite(concentration):
    for number in range(5):
        mixed, soft = run(mix_up, number, concentration)
        assert np.isfinite(mixed).all() and np.isfinite(soft).all()


def test_a_batch_gets_one_of_both_evenly():
    augment = Augment(mix_up=0.8, cut_mix=1.0)
    blended = []
    for number in range(60):
        mixed, _ = run(mix_batch, number, augment)
        blended.append((mixed != mixed.round()).any())
    assert 18 < sum(blended) < 42
    for one, other in ((Augment(mix_up=0.8), mix_up), (Augment(cut_mix=0.8), cut_mix)):
        seed = tf.random.split(sample_seed(0, 1), 2)[1]
        expected = other(tf.constant(CLIPS), tf.constant(LABELS), seed, 0.8)
        np.testing.assert_array_equal(run(mix_batch, 1, one)[0], expected[0])


def test_the_same_seed_mixes_the_same():
    np.testing.assert_array_equal(run(cut_mix, 3, 1.0)[0], run(cut_mix, 3, 1.0)[0])
    assert (run(cut_mix, 3, 1.0)[0] != run(cut_mix, 4, 1.0)[0]).any()
