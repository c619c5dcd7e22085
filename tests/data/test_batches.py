"""Batches of videos that cannot all be read, weights of clips, and parts for several workers."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from clip_batches import SMALL, assert_same, take
from numbered_videos import break_packet, encode, numbered

from keras_mtnet.data import Augment, ReadReport, Videos, clips, read_videos, sampling, views


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
