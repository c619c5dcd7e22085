"""Numbers and times of frames, counted by packets and by decoding."""

import av
import numpy as np
import pytest
from csv_rows import csv_rows
from numbered_videos import encode, numbered, numbers

from keras_mtnet.data import count_frames, read_frames
from keras_mtnet.data.synthetic import write_video
from keras_mtnet.video import ReadCache, VideoFile, open_video
from keras_mtnet.video.frame_index import FrameIndex
from keras_mtnet.video.indexing import index_by_packets


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
    assert VideoFile(path).index.count == count_frames(path) == 30
    assert numbers(read_frames(path, np.arange(30))) == list(range(30))


def test_packed_frames_are_not_counted_by_packets(tmp_path):
    """Tiny packets in an AVI may be placeholders: then only decoding tells."""
    path = encode(tmp_path / "a.avi", np.repeat(numbered(1), 20, 0), "mpeg4")
    with av.open(path) as container:
        assert min(p.size for p in container.demux(video=0) if p.size) <= 19
    assert index_by_packets(path, path) is None and VideoFile(path).frame_count == 20


@pytest.mark.parametrize(
    "name, codec",
    [("a.mp4", "libx264"), ("a.avi", "libx264"), ("a.webm", "libvpx"), ("a.mkv", "ffv1")],
)
def test_times_and_segments(tmp_path, name, codec):
    index = VideoFile(encode(tmp_path / name, numbered(40), codec, b_frames=2)).index
    np.testing.assert_allclose(index.times, np.arange(40) / 25, atol=1e-6)
    assert index.segment(None, None) == (0, 40)
    assert index.segment(0.4, 0.8) == (10, 10)
    assert index.segment(1.2, 99) == (30, 10)


def test_keyframes(tmp_path):
    path = encode(tmp_path / "a.mp4", numbered(40), "libx264", b_frames=3, g="12", sc_threshold="0")
    index = VideoFile(path).index
    assert index.by_packets and index.reordered
    assert index.keys.numbers.tolist() == [0, 12, 24, 36]
    with av.open(path) as container:
        keys = [(p.pos, p.size) for p in container.demux(video=0) if p.is_keyframe]
    assert index.keys.packets.tolist() == [list(key) for key in keys]
    video = VideoFile(path)
    video.exact_count()
    exact = video.index
    assert not exact.by_packets and not len(exact.keys.numbers)
    np.testing.assert_array_equal(exact.ticks, index.ticks)


def test_pictures_at_a_rate():
    index = FrameIndex(np.array([0, 10, 20, 40, 50]), 0.1)
    assert index.resampled_count(1.0, 0, 5) == 6  # 5 seconds, and the last frame is shown for 1
    assert index.resampled_count(2.0, 1, 3) == 9  # 3 seconds and 1.5
    assert index.resampled_count(0.01, 0, 5) == index.resampled_count(30, 2, 1) == 1
    nearest = index.nearest(np.array([0, 0.5, 0.51, 2.9, 3.1, 99]), 0, 5)
    assert nearest.tolist() == [0, 0, 1, 2, 3, 4]
    assert index.nearest(np.array([0, 1.1, 99]), 1, 3).tolist() == [1, 2, 3]


def test_bytes_are_not_remembered(tmp_path):
    path = encode(tmp_path / "a.mp4", numbered(10), "libx264")
    cache = ReadCache()
    with open(path, "rb") as file:
        assert VideoFile(file.read(), cache=cache).frame_count == 10
    assert len(cache) == 0
    assert VideoFile(path, cache=cache).frame_count == 10 and len(cache) == 1


def test_index_follows_the_file(tmp_path):
    path, cache = str(tmp_path / "a.mp4"), ReadCache()
    for count in (10, 12):
        write_video(path, numbered(count))
        assert VideoFile(path, cache=cache).frame_count == count


def test_gaps_in_a_recording_are_left_out():
    """The camera rested for ten seconds: no frame stands still for all that time."""
    ticks = np.concatenate([np.arange(50), np.arange(50) + 300])
    index = FrameIndex(ticks, 1 / 25)
    assert index.fps == pytest.approx(25)
    assert index.resampled_count(12.5, 0, 100) == 50
    chosen = index.nearest(np.arange(50) / 12.5, 0, 100)
    assert chosen.tolist() == list(range(0, 100, 2))
    assert index.segment(10.0, 13.0) == (50, 25)  # on the clock of the file


def test_what_is_kept_is_bounded():
    cache = ReadCache(limit=80)
    for number in range(5):
        cache.put(number, str(number), nbytes=32)
    assert [cache.get(number) for number in range(5)] == [None, None, None, "3", "4"]
    assert cache.get(3) == "3"
    cache.put(5, "5", nbytes=32)
    assert [cache.get(number) for number in (3, 4, 5)] == ["3", None, "5"]
    cache.put(6, "6", nbytes=999)  # one too large for itself is still kept
    assert [cache.get(number) for number in (3, 5, 6)] == [None, None, "6"]


def test_true_frame_counts_of_real_files(real_data):
    folder = real_data / "odd_and_original"
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} is not there")
    true = {row["file"]: int(row["frames"]) for row in csv_rows(folder / "manifest.csv")}
    assert {name: count_frames(folder / name) for name in true} == true
    # Only what is damaged may promise more than it holds.
    cheap = {name: open_video(folder / name).frame_count for name in true}
    assert [name for name in true if cheap[name] != true[name]] == ["odd_corrupted.mp4"]
