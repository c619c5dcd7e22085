"""What chance does to clips: alike in all frames, within its limits, and the same for one seed."""

import numpy as np
import pytest
import tensorflow as tf

from keras_mtnet.data import clip_ops, random_ops
from keras_mtnet.data.random_ops import sample_seed

CHANGES = {
    "jitter": lambda c, s: random_ops.color_jitter(c, s, 0.4, 0.4, 0.4, 0.1),
    "rand augment": lambda c, s: random_ops.rand_augment(c, s, 2, 9),
    "paper": random_ops.paper_list,
    "erasing": random_ops.random_erasing,
    **random_ops.PAPER,
    **{
        f"rand augment: {name}": lambda c, s, change=change: change(c, 0.9, random_sign(s))
        for name, change in random_ops.RAND_AUGMENT.items()
    },
}


def random_sign(seed):
    return 2.0 * tf.cast(random_ops.choose(seed, 2), tf.float32) - 1.0


def still(frames=4, height=30, width=40):
    """All frames the same."""
    frame = np.random.default_rng(0).integers(0, 256, (height // 5, width // 5, 3), "uint8")
    return np.repeat(frame.repeat(5, 0).repeat(5, 1)[None], frames, axis=0)


def make(change):
    """In a graph, as in a pipeline: clips of unknown size, seeds by sample number."""
    specs = [tf.TensorSpec((None, None, None, 3), tf.uint8), tf.TensorSpec((), tf.int64)]
    return tf.function(lambda clip, number: change(clip, sample_seed(3, number)), specs)


@pytest.mark.parametrize("name", CHANGES)
def test_frames_stay_alike_and_chance_is_that_of_the_seed(name):
    clip, change = still(), make(CHANGES[name])
    found = [change(clip, number).numpy() for number in range(12)]
    for each in found:
        assert each.dtype == np.uint8 and each.shape[0] == 4
        assert (each == each[:1]).all()  # as the frames they were made from
        assert each.shape == clip.shape
    if name not in ("rand augment: identity", "Gaussian blur"):
        assert any(each.shape != clip.shape or (each != clip).any() for each in found)
    if "rand augment: " not in name and name not in ("Gaussian blur", "flip"):
        assert len({each.tobytes() for each in found}) > 4
    for number, each in enumerate(found):
        np.testing.assert_array_equal(change(clip, number), each)


def test_seeds_differ_by_run_and_sample():
    seeds = {tuple(sample_seed(s, n).numpy()) for s in (0, 1, 2**63 - 1, -1) for n in (0, 1, 2**40)}
    assert len(seeds) == 3 * 3  # -1 is 2**63 - 1
    draws = [float(random_ops.uniform(sample_seed(0, n))) for n in range(400)]
    assert abs(np.mean(draws) - 0.5) < 0.05 and 0 <= min(draws) and max(draws) < 1


# --- Boxes ---------------------------------------------------------------------------------------


def boxes(area, aspect, count=300, height=60, width=80):
    box = tf.function(
        lambda n: random_ops.random_box(sample_seed(0, n), height, width, area, aspect)
    )
    return np.array([[int(each) for each in box(tf.constant(n))] for n in range(count)])


def test_boxes_have_the_area_and_aspect_asked_for():
    top, left, height, width = boxes((0.1, 0.5), (0.5, 2.0)).T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= 60).all() and (left + width <= 80).all()
    area, aspect = height * width / 4800, width / height
    assert 0.09 < area.min() < 0.13 and 0.45 < area.max() < 0.52 and abs(area.mean() - 0.3) < 0.03
    assert 0.45 < aspect.min() < 0.6 and 1.7 < aspect.max() < 2.2
    assert abs(np.log(aspect).mean()) < 0.1
    assert top.min() == 0 and (top + height).max() == 60 and (left + width).max() == 80


def test_boxes_that_never_fit_are_cut_to_the_frame():
    for box in boxes((1.0, 1.0), (3.0, 3.0), count=20):
        assert box[3] == 80 and box[1] == 0 and 39 <= box[2] <= 41


def test_erasing_changes_one_box_and_fills_it_with_noise_around_the_mean():
    clip = np.zeros((3, 60, 80, 3), "uint8")
    shares, values = [], []
    for number in range(40):
        found = random_ops.random_erasing(clip, sample_seed(0, number)).numpy()
        changed = (found != clip).any(axis=(0, 3))
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        box = found[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        shares.append(box[0, :, :, 0].size / 4800)
        assert changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.95
        values.append(box.reshape(-1, 3))
    assert 0.01 < min(shares) and max(shares) < 0.34
    values = np.concatenate(values)
    np.testing.assert_allclose(values.mean(0), (124, 117, 104), atol=3)
    np.testing.assert_allclose(values.std(0), 1 / 0.0167, atol=3)  # less what is cut off


# --- Jitter, the authors' list, RandAugment ------------------------------------------------------


def test_jitter_stays_within_its_limits_and_in_its_order():
    clip = np.full((2, 4, 4, 3), 100, "uint8")
    change = make(lambda c, s: random_ops.color_jitter(c, s, brightness=0.4))
    levels = [int(change(clip, n)[0, 0, 0, 0]) for n in range(200)]
    assert 60 <= min(levels) < 65 and 135 < max(levels) <= 140
    clip = still()
    seeds = tf.unstack(tf.random.split(sample_seed(3, 7), 4))
    factors = [float(random_ops.uniform(each, 0.5, 1.5)) for each in seeds[:3]]
    expected = tf.constant(clip)
    changes = (clip_ops.brightness, clip_ops.contrast, clip_ops.saturation)
    for function, factor in zip(changes, factors, strict=True):
        expected = function(expected, factor)
    change = make(lambda c, s: random_ops.color_jitter(c, s, 0.5, 0.5, 0.5))
    np.testing.assert_allclose(change(clip, 7), expected, atol=1)
    np.testing.assert_array_equal(make(random_ops.color_jitter)(clip, 7), clip)


def test_the_authors_list_has_their_nine_operations_each_with_their_probability():
    assert len(random_ops.PAPER) == 9 and random_ops.PAPER_EACH == 0.4
    clip = still(frames=1)
    change = make(random_ops.paper_list)
    unchanged = np.mean([(change(clip, n).numpy() == clip).all() for n in range(400)])
    # A blur of 0.1 or 0.2 changes nothing, so 8 operations and a third of one count.
    assert abs(unchanged - 0.6**8 * (1 - 0.4 / 3)) < 0.02


@pytest.mark.parametrize(
    "name, lowest, highest",
    [("addition per channel", 95, 115), ("linear contrast", 95, 105), ("Gaussian noise", 60, 140)],
)
def test_values_of_the_authors_list(name, lowest, highest):
    """On a gray of 100: plus -5 to 15; 128 + a (100 - 128); a deviation of 7.65."""
    change = make(random_ops.PAPER[name])
    values = np.concatenate([change(np.full((1, 9, 9, 3), 100, "uint8"), n) for n in range(60)])
    assert lowest <= values.min() and values.max() <= highest
    assert values.min() < lowest + 15 and values.max() > highest - 15
    if name == "Gaussian noise":
        assert abs(values.std() - 0.03 * 255) < 0.3
    if name == "addition per channel":  # each channel by a number of its own
        assert np.std(values[:, 0, 0], axis=1).mean() > 2


def test_rotations_of_the_authors_list_stay_below_ten_degrees():
    """A bright point 40 pixels right of the middle moves up or down with the angle."""
    clip = np.zeros((1, 101, 101, 3), "uint8")
    clip[:, 49:52, 89:92] = 255
    change = make(random_ops.PAPER["rotation"])
    places = []
    for number in range(60):
        bright = np.argwhere(change(clip, number).numpy()[0, :, 45:, 0] > 100)
        places.append(bright.mean(0)[0] - 50)
    angles = np.degrees(np.arcsin(np.array(places) / 40))
    assert -10.5 < angles.min() < -7 and 7 < angles.max() < 10.5


def test_rand_augment_has_the_papers_operations():
    assert len(random_ops.RAND_AUGMENT) == 14
    clip = still()
    change = make(lambda c, s: random_ops.rand_augment(c, s, 1, 9))
    expected = set()
    for function in random_ops.RAND_AUGMENT.values():
        for sign in (-1.0, 1.0):
            graph = tf.function(lambda c, f=function, s=sign: f(c, 0.9, tf.constant(s)))
            expected.add(graph(tf.constant(clip)).numpy().tobytes())
    found = {change(clip, number).numpy().tobytes() for number in range(200)}
    assert found <= expected and len(found) > 0.9 * len(expected)


def test_rand_augment_of_no_strength_and_no_layers():
    clip = still()
    np.testing.assert_array_equal(random_ops.rand_augment(clip, sample_seed(0, 0), 0, 9), clip)
    neutral = {"auto contrast", "equalize"}  # have no strength
    for name, change in random_ops.RAND_AUGMENT.items():
        if name not in neutral:
            np.testing.assert_array_equal(change(tf.constant(clip), 0.0, tf.constant(1.0)), clip)
