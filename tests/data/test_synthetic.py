"""The drawn data set: files in the layout of UCF-101, in which motion alone tells the class."""

import collections
import os

import av
import numpy as np
import pytest

from keras_mtnet.data import count_frames, read_frames, read_split, synthetic
from keras_mtnet.data.synthetic import MOTIONS, draw_dataset


def group(video):
    return video.name.split("_g")[1][:2]


def test_layout(drawn):
    train, test = (read_split("ucf101", str(drawn), subset=s) for s in ("train", "test"))
    assert train.class_names == tuple(MOTIONS) and len(MOTIONS) == 8
    assert (len(train), len(test)) == (32, 16) and not train.missing and not test.missing
    assert {group(v) for v in train} == {"01", "02"} and {group(v) for v in test} == {"03"}
    for part in (train, test):
        # Each group shows each class equally often: appearance says nothing.
        shown = collections.Counter((group(v), v.label) for v in part)
        assert set(shown.values()) == {2}
    codecs = collections.Counter()
    for video in train:
        with av.open(video.path) as container:
            stream = container.streams.video[0]
            codecs[os.path.splitext(video.path)[1], stream.codec_context.name] += 1
            assert (stream.width, stream.height, stream.average_rate) == (64, 48, 25)
        assert 32 <= count_frames(video.path) <= 40
    assert codecs == {(".mp4", "h264"): 16, (".avi", "mpeg4"): 16}


def test_same_seed_draws_the_same(drawn, tmp_path):
    for seed in (0, 1):
        draw_dataset(str(tmp_path / str(seed)), 2, 1, frames=36, size=(64, 48), seed=seed)
    name = "Spin/v_Spin_g01_c01.avi"
    first, same, other = (
        read_frames(str(root / name), np.arange(30)).astype(int)
        for root in (drawn, tmp_path / "0", tmp_path / "1")
    )
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).mean() > 5


def test_every_file_is_the_same_whatever_was_encoded_before(drawn, tmp_path):
    draw_dataset(str(tmp_path / "again"), groups=3, clips_per_group=2, frames=36, size=(64, 48))
    for path in drawn.rglob("*.*"):
        again = tmp_path / "again" / path.relative_to(drawn)
        assert path.read_bytes() == again.read_bytes(), path.name


def test_wrong_arguments(drawn, tmp_path):
    with pytest.raises(FileExistsError, match="not empty"):
        draw_dataset(str(drawn))
    with pytest.raises(ValueError, match="groups=1"):
        draw_dataset(str(tmp_path), groups=1)
    with pytest.raises(ValueError, match=r"\(33, 48\)"):
        draw_dataset(str(tmp_path), size=(33, 48))


# --- What tells the class ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawings():
    """Pixels of 40 groups x 8 classes, 31 frames each."""
    clips = []
    for number in range(40):
        look = synthetic._Look(np.random.default_rng([7, number]), 64, 48)
        for label, motion in enumerate(MOTIONS.values()):
            rng = np.random.default_rng([7, number, label])
            clips.append((number, label, look.draw(motion, 31, rng)))
    return clips


def leave_groups_out(features, labels, groups):
    """Accuracy of linear classifiers (ridge to one-hot), each tested on 8 groups it never saw."""
    features = np.c_[(features - features.mean(0)) / (features.std(0) + 1e-9), np.ones(len(labels))]
    targets = np.eye(8)[labels]
    right = 0
    for fold in range(5):
        test = groups % 5 == fold
        seen = features[~test]
        weights = np.linalg.solve(
            seen.T @ seen + 10 * np.eye(seen.shape[1]), seen.T @ targets[~test]
        )
        right += (np.argmax(features[test] @ weights, 1) == labels[test]).sum()
    return right / len(labels)


def test_a_single_frame_does_not_tell_the_class(drawings):
    groups, labels, pixels = zip(*drawings, strict=True)
    frames = np.stack([clip[(7 * n) % 31] for n, clip in enumerate(pixels)]).astype("float64")
    small = frames.reshape(-1, 12, 4, 16, 4, 3).mean((2, 4)).reshape(len(frames), -1)
    statistics = np.c_[
        frames.mean((1, 2)),
        frames.std((1, 2)),
        np.abs(np.diff(frames, axis=1)).mean((1, 2, 3)),
        np.abs(np.diff(frames, axis=2)).mean((1, 2, 3)),
    ]
    # Chance is 0.125; 0.19 is more than three standard deviations above it for 320 clips.
    for features in (small, statistics):
        assert leave_groups_out(features, np.array(labels), np.array(groups)) < 0.19


def shift_between(one, other, reach=4):
    """The whole-pixel shift that matches two frames best, among those up to `reach`."""
    costs = {
        (dy, dx): np.abs(np.roll(one, (dy, dx), (0, 1)) - other).mean()
        for dy in range(-reach, reach + 1)
        for dx in range(-reach, reach + 1)
    }
    return min(costs, key=costs.get)


def reversals(shifts):
    directions = np.sign(shifts[shifts != 0])
    return int((np.diff(directions) != 0).sum())


def test_motion_tells_the_class():
    """Shapes on black, followed by the shift that matches frames best: the motion itself."""
    found = {}
    for label, (name, motion) in enumerate(MOTIONS.items()):
        look = synthetic._Look(np.random.default_rng(3), 64, 48)
        look.background = np.zeros_like(look.background)
        clip = look.draw(motion, 41, np.random.default_rng([3, label])).astype("float64").sum(-1)
        shifts = np.array([shift_between(clip[t], clip[t + 2]) for t in range(0, 39, 2)])
        change = np.abs(clip[0] - clip[1:]).mean((1, 2)) / clip[0].mean()
        found[name] = shifts, change
    down, across = ({name: s[:, axis] for name, (s, _) in found.items()} for axis in (0, 1))
    # 48 pixels high: 0.018 of the height in a frame are 1.7 pixels in two.
    assert 1.2 < down["Fall"].mean() < 2.2 and -2.2 < down["Rise"].mean() < -1.2
    assert 2.7 < abs(across["DriftFast"].mean()) < 4.1
    assert 0.5 < abs(across["DriftSlow"].mean()) < 1.2
    for name in ("SwayFast", "SwaySlow"):
        assert across[name].max() > 1 and across[name].min() < -1 and not down[name].any()
    turns = {name: reversals(across[name]) for name in ("SwayFast", "SwaySlow")}
    assert turns["SwayFast"] >= 2 * turns["SwaySlow"] > 0
    # Shapes that turn stay where they are. One that rocks comes back; one that spins goes on.
    for name in ("Rock", "Spin"):
        assert np.abs(found[name][0]).mean() < 0.5 and found[name][1].max() > 0.2
    # For a rock of 14 frames that is twice in 20 frames; a spin takes 39 for one turn.
    assert found["Spin"][1][5:25].min() > 2.5 * found["Rock"][1][5:25].min()
