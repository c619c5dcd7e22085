"""Batches of clips, against the same clips cut one by one with NumPy."""

import dataclasses
import gc
import itertools
import re
import shutil
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from numbered_videos import break_packet, encode, numbered

from keras_mtnet.data import (
    Augment,
    ReadReport,
    Videos,
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

SMALL = {"frames": 4, "stride": 2, "size": 32, "batch_size": 6}


@pytest.fixture(scope="module")
def videos(drawn):
    return read_split("folder", str(drawn))  # 8 classes, 32 videos of about 36 frames, 64 x 48


@pytest.fixture
def broken(drawn, tmp_path):
    """Eight videos, of which one is text, one is empty and one is gone."""
    names = [v.name for v in read_split("folder", str(drawn))][:8]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(drawn / name, tmp_path / name)
    videos = read_videos([str(tmp_path / name) for name in names])
    (tmp_path / names[1]).write_text("not a video")
    (tmp_path / names[2]).write_bytes(b"")
    (tmp_path / names[5]).unlink()
    return videos


def take(dataset, batches):
    return [(x.numpy(), y.numpy()) for x, y in dataset.take(batches)]


def assert_same(one, other):
    assert len(one) == len(other)
    for (x, y), (other_x, other_y) in zip(one, other, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)


# --- Training ------------------------------------------------------------------------------------


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


def test_same_seed_gives_the_same_batches_whatever_the_parallelism(videos):
    runs = [
        take(clips(videos, training=True, seed=1, parallel_calls=calls, **SMALL), 6)
        for calls in (1, 2, 7)
    ]
    assert_same(runs[0], runs[1])
    assert_same(runs[0], runs[2])
    other = take(clips(videos, training=True, seed=2, **SMALL), 1)
    assert (other[0][0] != runs[0][0][0]).any()


def test_epochs_are_shuffled_passes_in_full_batches_of_known_number(videos):
    dataset = clips(videos, training=True, **SMALL)
    assert len(dataset) == 6  # 32 videos in batches of 6
    assert [each.shape for each in dataset.element_spec] == [(None, 4, 32, 32, 3), (None,)]
    epochs = [[y for _, y in dataset.as_numpy_iterator()] for _ in range(3)]
    assert all(len(y) == 6 for labels in epochs for y in labels)
    stream = np.concatenate([y for labels in epochs for y in labels])
    passes = [stream[start : start + 32] for start in (0, 32, 64)]
    assert all(np.bincount(labels).tolist() == [4] * 8 for labels in passes)
    assert passes[0].tolist() != passes[1].tolist()
    for labels, order in zip(
        passes, (sampling.epoch_order(0, e, 32) for e in range(3)), strict=True
    ):
        assert labels.tolist() == [videos[place].label for place in order]


# --- Where an iteration begins -------------------------------------------------------------------


def test_only_whole_iterations_use_up_an_epoch(videos):
    dataset = clips(videos, training=True, **SMALL)
    first = take(dataset, 2)
    assert dataset.position.epoch == 0
    assert_same(first, take(dataset, 2))
    whole = take(dataset, 6)  # exactly its length; Keras never asks for more
    assert_same(first, whole[:2])
    assert dataset.position.epoch == 1
    assert (take(dataset, 1)[0][0] != first[0][0]).any()
    dataset.position.epoch = 0
    assert_same(take(dataset, 2), first)
    for _ in dataset:
        pass
    assert dataset.position.epoch == 1


def test_skipped_batches_are_zeros_that_cost_nothing(videos, monkeypatch):
    options = {"training": True, "augment": "paper", **SMALL}
    whole = take(clips(videos, **options), 6)
    dataset = clips(videos, **options)
    dataset.position.skip = 4
    before = iter(dataset)
    next(before)
    assert dataset.position.skip == 0
    dataset.position.skip = 4
    next(before)  # an older iterator takes nothing of it
    batches = take(dataset, 6)
    assert not any(x.any() for x, _ in batches[:4])
    assert [x.shape for x, _ in batches] == [x.shape for x, _ in whole]
    assert_same(batches[4:], whole[4:])
    assert (dataset.position.epoch, dataset.position.skip) == (1, 0)


def test_the_videos_of_a_batch_are_named(videos):
    dataset = clips(videos, training=True, seed=3, **SMALL)
    labels = {video.name: video.label for video in videos}
    for epoch in range(2):
        for step, (_, y) in enumerate(take(dataset, 6)):
            names = dataset.batch_names(epoch, step)
            assert [labels[name] for name in names] == y.tolist()


def test_fit_reads_one_epoch_per_epoch(videos, recwarn):
    """Keras makes an iterator too many at the end of each epoch."""
    dataset = clips(videos, training=True, **SMALL)
    seen = []
    model = keras.Sequential([keras.layers.GlobalAveragePooling3D(), keras.layers.Dense(8)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    note = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append(dataset.position.epoch)
    )
    valid = clips(videos[:5], **SMALL)
    model.fit(dataset, validation_data=valid, epochs=3, verbose=0, callbacks=[note])
    assert seen == [0, 1, 2] and dataset.position.epoch == 3
    assert int(model.optimizer.iterations) == 18
    assert not [w for w in recwarn if "ran out of data" in str(w.message)]


def test_data_sets_that_are_gone_leave_no_threads(videos):
    def reading():
        return sum(thread.name.startswith("read") for thread in threading.enumerate())

    gc.collect()
    before = reading()
    take(clips(videos, training=True, parallel_calls=3, **SMALL), 2)
    gc.collect()
    for _ in range(500):  # they finish what they have begun
        if reading() <= before:
            break
        time.sleep(0.02)
    assert reading() <= before


def test_what_is_made_of_a_data_set_outlives_it(videos):
    batches = iter(clips(videos, training=True, **SMALL).map(lambda x, y: y))
    gc.collect()
    assert len(list(batches)) == 6


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


# --- Without training ----------------------------------------------------------------------------


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


# --- Files that cannot be read -------------------------------------------------------------------


def test_unreadable_files_make_their_batch_smaller(broken):
    report = ReadReport()
    dataset = clips(broken, 4, 2, 32, 4, report=report)
    assert [len(y) for _, y in take(dataset, 9)] == [2, 3]
    assert dataset.report is report
    assert report.failed == {
        broken[1].name: "a text file, not a video",
        broken[2].name: "the file is empty",
        broken[5].name: "no such file",
    }
    lines = report.summary().splitlines()
    assert lines[0] == "3 videos could not be read:" and len(lines) == 4
    assert any(broken[2].name in line and "the file is empty" in line for line in lines)


def test_unreadable_files_do_not_move_the_others(broken):
    options = {"frames": 4, "stride": 2, "size": 32, "batch_size": 4, "training": True}
    found = take(clips(broken, **options), 2)
    order = sampling.epoch_order(0, 0, 8)
    readable = [[n for n in batch if n not in (1, 2, 5)] for batch in (order[:4], order[4:])]
    assert [len(y) for _, y in found] == [len(batch) for batch in readable if len(batch)]


def test_a_batch_without_readable_files_is_an_error_that_names_them(broken):
    batches = clips(broken[1:], 4, 2, 32, 2)
    with pytest.raises(tf.errors.OpError, match="None of the 2 videos of a batch") as error:
        list(batches)
    for text in (f"{broken[1].name}: a text file", f"{broken[2].name}: the file", "check-videos"):
        assert text in str(error.value)


def test_views_leave_out_unreadable_videos(broken):
    dataset = views(broken, 4, 2, 32, num_clips=2, num_crops=1)
    assert [int(number) for *_, number in dataset] == [0, 3, 4, 6, 7]
    assert len(dataset.report.failed) == 3


@pytest.mark.parametrize(
    "make", [lambda v: clips(v, **SMALL, strict=True), lambda v: views(v, 4, 2, 32, strict=True)]
)
def test_strict_raises_naming_file_and_reason(broken, make):
    with pytest.raises(tf.errors.OpError) as error:
        list(make(broken))
    assert f"{broken[1].name}: a text file, not a video" in str(error.value)


def test_damaged_videos_are_used_as_far_as_they_go(tmp_path):
    path = break_packet(encode(tmp_path / "a.mp4", numbered(30), "libx264"), 20)
    dataset = views(read_videos([path]), 4, 2, 32, num_clips=3, num_crops=1)
    assert len(list(dataset)) == 1
    assert not dataset.report.failed and "20 frames" in dataset.report.damaged[path]
    assert dataset.report.summary().startswith("1 video damaged, used in part:\n")
    with pytest.raises(tf.errors.OpError, match="20 frames"):
        list(views(read_videos([path]), 4, 2, 32, num_clips=3, num_crops=1, strict=True))


def test_a_real_damaged_file_is_used_or_refused(real_data):
    path = real_data / "odd_and_original" / "odd_corrupted.mp4"
    if not path.is_file():
        pytest.skip(f"no real clips: {path} is not there")
    videos, reason = read_videos([str(path)]), "odd_corrupted.mp4: it ends after 28 frames"
    dataset = views(videos, 4, 4, 32, num_clips=2, num_crops=1)
    assert len(list(dataset)) == 1 and reason in dataset.report.summary()
    with pytest.raises(tf.errors.OpError, match=reason):
        list(views(videos, 4, 4, 32, num_clips=2, num_crops=1, strict=True))


def test_report_is_empty_when_all_is_well(videos):
    dataset = clips(videos, **SMALL)
    assert dataset.report.summary() == ""
    assert dataset.class_names == videos.class_names


# --- Arguments -----------------------------------------------------------------------------------


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


# --- Which frames --------------------------------------------------------------------------------


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


# --- Augmentation --------------------------------------------------------------------------------

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


def test_unreadable_files_do_not_move_augmented_clips(broken):
    named = Videos([dataclasses.replace(v, label=0) for v in broken], ("a", "b"))
    options = {"frames": 4, "stride": 2, "size": 32, "batch_size": 4, "training": True}
    options["label_mode"] = "categorical"
    augment = Augment(crop_area=(0.5, 1.0), mix_up=1.0)
    found = take(clips(named, augment=augment, **options), 2)
    plain = take(clips(named, **options), 2)
    assert [x.shape for x, _ in found] == [x.shape for x, _ in plain]
    strict = clips(named, augment=augment, strict=True, **options)
    with pytest.raises(tf.errors.OpError, match=r"a text file|is empty|no such file"):
        list(strict)


# --- Weights, and parts of batches for several workers -------------------------------------------


def weighted(videos, **options):
    dataset = clips(videos, sample_weights=True, **{**SMALL, **options})
    assert dataset.element_spec[0].shape[0] == dataset.element_spec[2].shape[0] is not None
    return list(dataset.as_numpy_iterator())


def test_weights_of_full_batches_are_1(videos):
    plain = take(clips(videos, training=True, **SMALL), 6)
    batches = weighted(videos, training=True)
    assert_same([(x, y) for x, y, _ in batches], plain)
    assert all(w.tolist() == [1] * 6 for _, _, w in batches)


def test_a_test_counts_every_video_the_same(videos):
    """32 videos in 6 batches of 6: Keras' mean over the batches is that over the videos."""
    plain = np.concatenate([x for x, _ in take(clips(videos, **SMALL), 6)])
    batches = weighted(videos)
    assert [w.round(3).tolist() for _, _, w in batches[-2:]] == [[1.125] * 6, [1.125] * 2 + [0] * 4]
    x, w = (np.concatenate([batch[i] for batch in batches]) for i in (0, 2))
    np.testing.assert_array_equal(x[w > 0], plain)
    assert np.mean(x.mean((1, 2, 3, 4)) * w) == pytest.approx(plain.mean(), rel=1e-5)
    np.testing.assert_array_equal(batches[-1][0][2:4], plain[-2:])  # stand-ins, not zeros


def test_clips_that_can_be_read_make_up_for_those_that_cannot(broken):
    """Of 8 videos 1, 2 and 5 cannot be read."""
    options = {"batch_size": 4, "training": True, "label_mode": "int"}
    plain = take(clips(broken, **{**SMALL, "batch_size": 4}, training=True), 2)
    for (x, _, w), (real, _) in zip(weighted(broken, **options), plain, strict=True):
        np.testing.assert_array_equal(x[w > 0], real)
        means = x.mean((1, 2, 3, 4))
        assert np.mean(means * w) == pytest.approx(means[w > 0].mean(), rel=1e-5)


def test_a_batch_of_nothing_weighs_nothing(broken):
    batches = weighted(broken, batch_size=1)
    assert [bool(w[0]) for *_, w in batches] == [True, False, False, True, True, False, True, True]
    assert not batches[1][0].any()
    with pytest.raises(tf.errors.OpError, match="None of the videos can be read"):
        weighted(broken[1:3], batch_size=1)


def test_parts_together_are_the_batches(videos):
    whole = take(clips(videos, training=True, **SMALL), 6)
    parts = [weighted(videos, training=True, part=(i, 3)) for i in range(3)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert [share[0].shape for share in shares] == [(2, 4, 32, 32, 3)] * 3
        for together, one in zip(
            map(np.concatenate, zip(*shares, strict=True)), batch, strict=False
        ):
            np.testing.assert_array_equal(together, one)
        assert all(share[2].tolist() == [1, 1] for share in shares)


def test_parts_of_a_test_have_every_video_once(videos):
    """The last batch of 6 has 2 of the 32 videos: the third part is filled up with black."""
    whole = take(clips(videos, **SMALL), 6)
    real = []
    for i in range(3):
        batches = weighted(videos, part=(i, 3))
        assert [(w > 0).tolist() for _, _, w in batches] == [[True] * 2] * 5 + [[i == 0] * 2]
        real.append([x[w > 0] for x, _, w in batches])
    assert not batches[-1][0].any() and not batches[-1][1].any()
    for (x, _), *shares in zip(whole, *real, strict=True):
        np.testing.assert_array_equal(np.concatenate(shares), x)


@pytest.mark.parametrize("augment", ["strong", "none"])
def test_no_part_is_left_out(broken, augment):
    """With one clip a part every video is a batch, readable or not."""
    videos = Videos([dataclasses.replace(v, label=1) for v in broken], ("one", "other"))
    options = {"batch_size": 2, "label_mode": "categorical", "training": True, "augment": augment}
    dataset = clips(videos, sample_weights=True, part=(1, 2), **{**SMALL, **options})
    batches = [batch for _ in range(2) for batch in dataset.as_numpy_iterator()]
    empty = [x for x, _, w in batches if not w.any()]
    assert len(batches) == 8 and 0 < len(empty) < 8


def test_parts_must_be_equal(videos):
    with pytest.raises(ValueError, match=r"divisible by the 4 parts\. Received: batch_size=6"):
        clips(videos, part=(0, 4), **SMALL)


# --- What a data set says of itself --------------------------------------------------------------


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


# --- Real clips ----------------------------------------------------------------------------------


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
