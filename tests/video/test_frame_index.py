"""Numbers and times of frames, counted by packets and by decoding."""

import csv

import av
import numpy as np
import pytest
from numbered_videos import encode, numbered, numbers

from keras_mtnet.data import count_frames, read_frames
from keras_mtnet.data.synthetic import write_video
from keras_mtnet.video import frame_index as f


@pytest.mark.parametrize(
    "name, codec, b_frames",
    [
        ("a.mp4", "libx264", 3),
        ("a.mkv", "libx264", 2),
        ("a.avi", "mpeg4", 0),
        ("a.mp4", "mpeg4", 2),
    ],
)
def test_frames_come_in_presentation_order(tmp_path, name, codec, b_frames):
    path = encode(tmp_path / name, numbered(30), codec, b_frames=b_frames)
    assert f.frame_index(path).count == count_frames(path) == 30
    assert numbers(read_frames(path, np.arange(30))) == list(range(30))


def test_packed_frames_are_not_counted_by_packets(tmp_path):
    """Tiny packets in an AVI may be placeholders: then only decoding tells."""
    path = encode(tmp_path / "a.avi", np.repeat(numbered(1), 20, 0), "mpeg4")
    with av.open(path) as container:
        assert min(p.size for p in container.demux(video=0) if p.size) <= 19
    assert f._by_packets(path) is None and f.frame_index(path).count == 20


@pytest.mark.parametrize(
    "name, codec",
    [("a.mp4", "libx264"), ("a.avi", "libx264"), ("a.webm", "libvpx"), ("a.mkv", "ffv1")],
)
def test_times_and_segments(tmp_path, name, codec):
    index = f.frame_index(encode(tmp_path / name, numbered(40), codec, b_frames=2))
    np.testing.assert_allclose(index.times, np.arange(40) / 25, atol=1e-6)
    assert index.segment(None, None) == (0, 40)
    assert index.segment(0.4, 0.8) == (10, 10)
    assert index.segment(1.2, 99) == (30, 10)


def test_keyframes(tmp_path):
    path = encode(tmp_path / "a.mp4", numbered(40), "libx264", b_frames=3, g="12", sc_threshold="0")
    index = f.frame_index(path)
    assert index.by_packets and index.reordered
    assert index.keys.numbers.tolist() == [0, 12, 24, 36]
    with av.open(path) as container:
        keys = [(p.pos, p.size) for p in container.demux(video=0) if p.is_keyframe]
    assert index.keys.packets.tolist() == [list(key) for key in keys]
    exact = f.frame_index(path, exact=True)
    assert not exact.by_packets and not len(exact.keys.numbers)
    np.testing.assert_array_equal(exact.ticks, index.ticks)


def test_pictures_at_a_rate():
    index = f.FrameIndex(np.array([0, 10, 20, 40, 50]), 0.1)
    assert index.pictures(1.0, 0, 5) == 6  # 5 seconds, and the last frame is shown for 1
    assert index.pictures(2.0, 1, 3) == 9  # 3 seconds and 1.5
    assert index.pictures(0.01, 0, 5) == index.pictures(30, 2, 1) == 1
    nearest = index.nearest(np.array([0, 0.5, 0.51, 2.9, 3.1, 99]), 0, 5)
    assert nearest.tolist() == [0, 0, 1, 2, 3, 4]
    assert index.nearest(np.array([0, 1.1, 99]), 1, 3).tolist() == [1, 2, 3]


def test_bytes_are_not_remembered(tmp_path):
    path = encode(tmp_path / "a.mp4", numbered(10), "libx264")
    with open(path, "rb") as file:
        data = file.read()
    known = dict(f._INDEXES.indexes)
    assert f.frame_index(data).count == 10
    assert f._INDEXES.indexes == known


def test_index_follows_the_file(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(str(path), numbered(10))
    assert f.frame_index(str(path)).count == 10
    write_video(str(path), numbered(12))
    assert f.frame_index(str(path)).count == 12


def test_indexes_are_bounded():
    indexes = f._Indexes(limit=80)
    for number in range(5):
        indexes.put((number,), f.FrameIndex(np.zeros(4, "int64"), 1.0))
    assert list(indexes.indexes) == [(3,), (4,)] and indexes.held == 64
    assert indexes.get((3,)).count == 4
    indexes.put((5,), f.FrameIndex(np.zeros(4, "int64"), 1.0))
    assert list(indexes.indexes) == [(3,), (5,)]
    indexes.put(
        (6,), f.FrameIndex(np.zeros(99, "int64"), 1.0)
    )  # one too large for itself is still kept
    assert list(indexes.indexes) == [(6,)] and indexes.held == 792


def test_true_frame_counts_of_real_files(real_data):
    folder = real_data / "odd_and_original"
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} is not there")
    with open(folder / "manifest.csv", encoding="utf-8") as file:
        true = {row["file"]: int(row["frames"]) for row in csv.DictReader(file)}
    assert {name: count_frames(folder / name) for name in true} == true
    # Only what is damaged may promise more than it holds.
    cheap = {name: f.frame_index(folder / name).count for name in true}
    assert [name for name in true if cheap[name] != true[name]] == ["odd_corrupted.mp4"]
