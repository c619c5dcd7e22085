"""Which frames, crops and changes make up a clip, against the same cut by hand with NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from clip_batches import SMALL, assert_same, take
from numbered_videos import encode

from keras_mtnet.data import (
    Augment,
    clips,
    pack,
    read_clip,
    read_frames,
    read_split,
    read_videos,
    sampling,
    views,
)
from keras_mtnet.data.augment import PRESETS, augment_clip
from keras_mtnet.data.random_ops import sample_seed
from keras_mtnet.data.synthetic import write_video
from keras_mtnet.video import open_video


def test_training_clips_are_those_cut_by_hand(videos):
    (x, y), *_ = take(clips(videos, training=True, seed=5, **SMALL), 1)
    assert x.shape == (6, 4, 32, 32, 3) and x.dtype == np.uint8 and y.dtype == np.int32
    for number in range(6):
        video = videos[sampling.epoch_order(5, 0, len(videos))[number]]
        start, top, left, flip = sampling.sample_generator(5, number).random(4)
        count = len(list(frames_of(video.path)))
        first = int(start * (count - 6))  # a window spans 7 frames
        indices = first + np.array([0, 2, 4, 6])
        # A square of 38 of 48 rows and 64 columns.
        expected = cut_frames(video.path, indices, int(top * 11), int(left * 27), flip < 0.5)
        np.testing.assert_array_equal(x[number], expected)
        whole = read_frames(video.path, indices, (40, 53))
        if flip < 0.5:
            whole = whole[:, :, ::-1]
            left = 1 - left
        top, left = round(top * 8), round(left * 21)
        same = whole[:, top : top + 32, left : left + 32]
        assert np.abs(x[number] - same.astype(float)).mean() < 30
        assert y[number] == video.label


def cut_frames(path, indices, top, left, flip=False):
    return open_video(path).read(indices, [(top, left, 38, 38)], (32, 32), flip)[:, 0]


def frames_of(path):
    import av

    with av.open(path) as container:
        yield from container.decode(video=0)


def test_crops_and_flips_vary_and_are_the_same_for_all_frames(tmp_path):
    """A still video: within a clip all frames are equal, between clips they are not."""
    frames = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 12, 16, 3), "uint8"), 9, 0)
    path = str(tmp_path / "still.avi")
    write_video(path, frames.repeat(4, 1).repeat(4, 2))
    (x, _), *_ = take(clips(read_videos([path] * 12), training=True, **SMALL), 1)
    x = x.astype(float)
    assert np.abs(x - x[:, :1]).max() < 60  # what the codec leaves
    assert len({clip[0].tobytes() for clip in x}) == 6
    center = take(clips(read_videos([path]), **SMALL), 1)[0][0][0, 0].astype(float)
    both = [
        np.abs(x[:, 0, 4:-4, 4:-4] - each[4:-4, 4:-4]).mean() for each in (center, center[:, ::-1])
    ]
    assert min(both) > 30


def test_both_directions_are_equally_likely(tmp_path):
    frames = np.zeros((5, 48, 48, 3), "uint8")
    frames[:, :, 24:] = 255
    path = str(tmp_path / "half.avi")
    write_video(path, frames)
    dataset = clips(read_videos([path] * 100), 1, 1, 32, 100, training=True)
    x = next(dataset.as_numpy_iterator())[0]
    bright_right = (x[:, 0, :, -4:].mean((1, 2, 3)) > x[:, 0, :, :4].mean((1, 2, 3))).sum()
    assert 35 <= bright_right <= 65


def test_middle_clips_in_list_order(videos):
    batches = take(clips(videos, **SMALL), 99)
    assert np.concatenate([y for _, y in batches]).tolist() == [v.label for v in videos]
    assert_same(batches, take(clips(videos, seed=9, **SMALL), 99))
    path = videos[8].path
    count = len(list(frames_of(path)))
    expected = cut_frames(path, (count - 7) // 2 + np.array([0, 2, 4, 6]), 5, 13)
    np.testing.assert_array_equal(batches[1][0][2], expected)
    np.testing.assert_array_equal(read_clip(path, 4, 2, 32), expected)
    assert read_clip(path, 5).shape == (5, 48, 64, 3)


def test_stride_of_the_data_set_is_the_default(videos):
    options = {**SMALL, "stride": None}
    assert_same(take(clips(videos, **options), 1), take(clips(videos, **{**SMALL, "stride": 4}), 1))


def test_short_videos_loop(tmp_path):
    path = str(tmp_path / "short.avi")
    levels = np.array([0, 120, 240], "uint8")[:, None, None, None]
    write_video(path, np.broadcast_to(levels, (3, 48, 48, 3)).copy())
    clip = read_clip(path, 8, 2, 32)
    assert (clip.mean((1, 2, 3)) / 120).round().tolist() == [0, 2, 1, 0, 2, 1, 0, 2]


def test_views_are_windows_times_crops(videos):
    dataset = views(videos, 4, 2, 32, num_clips=5, num_crops=3)
    spec = dataset.element_spec
    assert spec[0].shape == (15, 4, 32, 32, 3) and spec[1].dtype == tf.int32
    elements = list(dataset.as_numpy_iterator())
    assert [number for *_, number in elements] == list(range(32))
    assert [label for _, label, _ in elements] == [v.label for v in videos]
    path = videos[3].path
    count = len(list(frames_of(path)))
    for place, start in enumerate(np.round(np.linspace(0, count - 7, 5)).astype(int)):
        for crop, left in enumerate((0, 13, 26)):
            expected = cut_frames(path, start + np.array([0, 2, 4, 6]), 5, left)
            np.testing.assert_array_equal(elements[3][0][place * 3 + crop], expected)


@pytest.fixture(scope="module")
def gray(tmp_path_factory):
    """A folder, and a packed set, of two videos whose frame k has the brightness 4 k; 25 fps."""
    folder = tmp_path_factory.mktemp("gray")
    frames = np.broadcast_to(4 * np.arange(60, dtype="uint8")[:, None, None, None], (60, 32, 32, 3))
    for name in ("a", "b"):
        (folder / "videos" / name).mkdir(parents=True)
        encode(folder / "videos" / name / "1.mkv", frames, "ffv1", "bgr0")
    pack("folder", str(folder / "videos"), str(folder / "packed"), shards=1, quality=100)
    return [read_split("folder", str(folder / name), subset="all") for name in ("videos", "packed")]


def seen(videos, **options) -> list[list[int]]:
    """Numbers of the frames in each clip."""
    options = {"frames": 5, "stride": 2, "size": 16, "batch_size": 2, **options}
    ((x, _),) = take(clips(videos, **options), 1)
    return np.rint(x.mean((2, 3, 4)) / 4).astype(int).tolist()


@pytest.mark.parametrize("place", [0, 1], ids=["files", "packed"])
def test_a_rate_is_one_for_all_videos(gray, place):
    videos = gray[place]
    assert seen(videos) == [[25, 27, 29, 31, 33]] * 2
    assert seen(videos, fps=12.5) == [[20, 24, 28, 32, 36]] * 2  # every second frame, of which two
    assert seen(videos, fps=12.5, stride=1) == [[24, 26, 28, 30, 32]] * 2
    (x, _, _), *_ = views(videos, 5, 1, 16, num_clips=1, num_crops=1, fps=12.5)
    np.testing.assert_array_equal(x[0], next(iter(clips(videos, 5, 1, 16, 1, fps=12.5)))[0][0])


@pytest.mark.parametrize("place", [0, 1], ids=["files", "packed"])
def test_a_frame_of_every_part(gray, place):
    videos = gray[place]
    assert seen(videos, sampling="uniform") == [[6, 18, 30, 42, 54]] * 2
    options = {"sampling": "uniform", "training": True}
    drawn_frames = seen(videos, **options)
    assert drawn_frames == seen(videos, parallel_calls=1, **options)
    assert drawn_frames[0] != drawn_frames[1]
    for clip in drawn_frames:
        assert [number // 12 for number in clip] == [0, 1, 2, 3, 4]


def test_a_rate_must_be_above_zero(videos):
    with pytest.raises(ValueError, match=r"fps must be a number above 0\. Received: fps=0"):
        clips(videos, fps=0, **SMALL)


AUGMENTS = {
    "paper": "paper",
    "randaugment": "randaugment",
    "others": Augment(
        crop_area=(0.3, 1.0), brightness=0.4, hue=0.1, erase=0.5, mix_up=1.0, cut_mix=1.0
    ),
}


@pytest.mark.parametrize("augment", AUGMENTS)
def test_augmented_batches_are_those_of_the_seed(videos, augment):
    """Whatever is read in parallel, and after a restart in the middle."""
    options = {"training": True, "label_mode": "categorical", "seed": 1, **SMALL}
    plain = take(clips(videos, **options), 6)
    options["augment"] = AUGMENTS[augment]
    whole = take(clips(videos, parallel_calls=1, **options), 6)
    rest = clips(videos, parallel_calls=5, **options)
    rest.position.skip = 3
    assert_same(take(rest, 6)[3:], whole[3:])
    assert any((x != other).any() for (x, _), (other, _) in zip(whole, plain, strict=True))


def test_an_augmented_clip_is_the_plain_one_changed(videos):
    """By the list of the paper's authors, with the seed of its number."""
    (x, y), *_ = take(clips(videos, training=True, seed=5, augment="paper", **SMALL), 1)
    (plain, labels), *_ = take(clips(videos, training=True, seed=5, **SMALL), 1)
    assert y.tolist() == labels.tolist()
    for number in range(6):
        seed = sample_seed(5, number)
        expected = augment_clip(tf.constant(plain[number]), seed, PRESETS["paper"])
        np.testing.assert_array_equal(x[number], expected)


def test_no_flips(tmp_path):
    frames = np.zeros((5, 48, 48, 3), "uint8")
    frames[:, :, 24:] = 255
    path = str(tmp_path / "half.avi")
    write_video(path, frames)
    for options in (
        {"augment": Augment(flip=0, crop_area=(0.9, 1.0))},
        {"flip": 0},
        {"flip": False, "augment": Augment(crop_area=(0.9, 1.0))},
    ):
        dataset = clips(read_videos([path] * 20), 1, 1, 32, 20, training=True, **options)
        x = next(dataset.as_numpy_iterator())[0]
        assert (x[:, 0, :, -4:].mean((1, 2, 3)) > x[:, 0, :, :4].mean((1, 2, 3))).all()


def test_resized_crops_show_shares_of_the_frame(tmp_path):
    """A ramp from left to right: its slope in a crop is how much of the width that shows."""
    frames = np.broadcast_to(np.linspace(0, 255, 96)[:, None], (4, 48, 96, 3)).astype("uint8")
    path = str(tmp_path / "ramp.avi")
    write_video(path, np.ascontiguousarray(frames))
    augment = Augment(crop_area=(0.2, 0.4), crop_aspect=(1.0, 1.0))
    dataset = clips(read_videos([path] * 60), 2, 1, 32, 60, training=True, augment=augment)
    x = next(dataset.as_numpy_iterator())[0].mean(axis=(1, 2, 4))
    shown = np.abs(x[:, -3] - x[:, 2]) / 255 * 32 / 27
    lowest, highest = np.sqrt(0.2 / 2), np.sqrt(0.4 / 2)  # a square in a frame twice as wide
    assert lowest - 0.03 < shown.min() < lowest + 0.05
    assert highest - 0.05 < shown.max() < highest + 0.03


def test_mixed_clips_have_soft_labels(videos):
    options = {"label_mode": "categorical", **SMALL}
    dataset = clips(videos, training=True, augment=Augment(mix_up=1.0), **options)
    assert dataset.element_spec[1] == tf.TensorSpec((None, 8), tf.float32)
    for x, y in take(dataset, 6):
        assert len(x) == len(y) and x.dtype == np.float32 and 100 < x.max() <= 255
        np.testing.assert_allclose(y.sum(1), 1, atol=1e-6)
    assert (take(dataset, 1)[0][1] % 1 > 0).any()
    tests = take(clips(videos, **options), 9)
    labels = np.concatenate([y for _, y in tests])
    assert set(np.unique(labels)) == {0, 1}
    assert labels.argmax(1).tolist() == [video.label for video in videos]
