"""TripletCosineSelection against eqs. 6-7 in float64."""

import numpy as np
import numpy_layers as reference
import pytest
import tensorflow as tf

from keras_mtnet.layers import TripletCosineSelection

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")


def clip(frames, batch=3, seed=0, scale=1.0):
    """Frames with a random offset a channel, so that similarities are spread widely."""
    rng = np.random.default_rng(seed)
    offset = rng.normal(0, 1, (batch, frames, 1, 1, 4))
    return ((offset + rng.normal(0, 1, (batch, frames, 3, 5, 4))) * scale).astype("float32")


def frames_of(vectors):
    """A clip (1, T, 1, 1, C) of frames that are these vectors."""
    return np.array(vectors, "float32")[None, :, None, None, :]


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 8, 16])
def test_equals_the_formula_bit_for_bit(frames, factor):
    for seed in range(3):
        x = clip(frames, seed=seed)
        y = TripletCosineSelection(factor)(x)
        assert y.shape == (3, max(1, frames // factor), 3, 5, 4)
        np.testing.assert_array_equal(y, reference.select_frames(x, factor).astype("float32"))


def test_by_hand():
    """Cosines 0, 0.6, 0.8, -1, 0, so the frames inside score 0.6, 1.4, -0.2 and -1."""
    x = frames_of([[0, 0, 1], [1, 0, 0], [3, 4, 0], [0, 2, 0], [0, -5, 0], [0, 0, 0]])
    y = np.array(TripletCosineSelection(3)(x))
    np.testing.assert_array_equal(y, x[:, [3, 4]])
    y = np.array(TripletCosineSelection(2)(x))
    np.testing.assert_array_equal(y, x[:, [1, 3, 4]])


def test_edges():
    x = clip(3)
    np.testing.assert_array_equal(TripletCosineSelection()(x), x[:, [1]])  # the one inside
    x = clip(4)
    np.testing.assert_array_equal(TripletCosineSelection()(x), x[:, [1, 2]])  # both inside
    x = clip(2)  # both have the one similarity: the earlier
    np.testing.assert_array_equal(TripletCosineSelection()(x), x[:, [0]])
    x = clip(1)
    np.testing.assert_array_equal(TripletCosineSelection()(x), x)


def test_the_first_and_last_frame_do_not_compete():
    """They differ most from their neighbors, and stay out where there are enough others."""
    x = frames_of([[-9, 0], [1, 0], [1, 0.1], [1, 0.3], [1, 0.2], [-9, 9]])
    kept = np.array(TripletCosineSelection()(x))
    np.testing.assert_array_equal(kept, reference.select_frames(x).astype("float32"))
    assert not (kept == -9).any()


def marked(vectors):
    """A clip (1, T, 1, 2, C) of frames with these spatial sums, all of them different frames."""
    x = np.repeat(frames_of(vectors) / 2, 2, axis=3)
    marks = np.arange(len(vectors), dtype="float32")[:, None, None]
    return (
        x + np.concatenate([marks, -marks], axis=2)[None, ..., None]
    )  # exact: small binary numbers


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("value", [1.0, 0.25, 3e4, 0.0])
def test_ties_go_to_the_earlier_frame(value, jit_compile):
    x = marked([[value, 2 * value, 3 * value]] * 9)
    y = tf.function(TripletCosineSelection(), jit_compile=jit_compile)(x)
    np.testing.assert_array_equal(y, x[:, 1:5])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_ties_of_equal_frames(jit_compile):
    """Copies of any frame tie exactly, whatever rounding its sums hold: gradients tell which."""
    x = tf.constant(np.repeat(clip(1, seed=3), 8, axis=1))

    @tf.function(jit_compile=jit_compile)
    def gradient(x):
        y = TripletCosineSelection()(x)
        return tf.gradients(y, x)[0]

    reached = np.array(gradient(x)).any((0, 2, 3, 4))
    assert np.flatnonzero(reached).tolist() == [1, 2, 3, 4]


def test_tie_of_a_mirrored_clip():
    """The clip a b c b a: frames 1 and 3 have the one lowest score, and the earlier stays."""
    a, b, c = [1, 0.25, 0], [0, 1, 0.5], [0.125, 0.75, 0.5]
    x = marked([a, b, c, b, a])
    y = np.array(TripletCosineSelection(5)(x))
    np.testing.assert_array_equal(y, x[:, [1]])


def test_a_zero_frame_has_cosine_zero():
    x = frames_of([[1, 0], [1, 0.1], [0, 0], [1, 0], [1, 0.1], [1, 0]])
    y = np.array(TripletCosineSelection()(x))
    assert np.isfinite(y).all()
    # scores: 1 -> 0.995, 2 -> 0, 3 -> 0.995, 4 -> 1.99
    np.testing.assert_array_equal(y, x[:, [1, 2, 3]])


@pytest.mark.parametrize("scale", [1e4, 1e-30, 1e30])
def test_scale_does_not_matter(scale):
    x = clip(9, seed=5)
    kept = reference.kept_frames(x)
    large = clip(9, seed=5, scale=scale)
    y = np.array(TripletCosineSelection()(large))
    expected = np.stack([sample[frames] for sample, frames in zip(large, kept, strict=True)])
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("policy", POLICIES)
def test_precisions(policy):
    """Scores are float32 whatever the policy; spatial sums beyond 65504 do not overflow."""
    layer = TripletCosineSelection(dtype=policy)
    x = tf.cast(clip(8, seed=7, scale=1e4), layer.compute_dtype)
    y = layer(x)
    assert y.dtype == layer.compute_dtype
    expected = reference.select_frames(tf.cast(x, "float32").numpy())
    np.testing.assert_array_equal(tf.cast(y, "float32"), expected.astype("float32"))


def test_clips_of_a_batch_select_on_their_own():
    clips = [clip(8, batch=1, seed=seed) for seed in range(4)]
    together = np.array(TripletCosineSelection()(np.concatenate(clips)))
    for one, row in zip(clips, together, strict=True):
        np.testing.assert_array_equal(TripletCosineSelection()(one)[0], row)


def test_gradient_reaches_the_kept_frames_alone():
    x = tf.Variable(clip(8))
    upstream = np.random.default_rng(1).normal(size=(3, 4, 3, 5, 4)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(TripletCosineSelection()(x) * upstream)
    expected = np.zeros(x.shape, "float32")
    for n, frames in enumerate(reference.kept_frames(x)):
        expected[n, frames] = upstream[n]
    gradient = tf.convert_to_tensor(tape.gradient(loss, x))
    np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("factor", [0, -1, 1.5, "2"])
def test_refuses_wrong_factors(factor):
    with pytest.raises(ValueError, match=f"factor.*{factor}"):
        TripletCosineSelection(factor)


def test_refuses_what_is_no_clip():
    with pytest.raises(ValueError, match="TripletCosineSelection takes clips"):
        TripletCosineSelection()(np.zeros((2, 4, 4, 3), "float32"))
