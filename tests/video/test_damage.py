"""What is read of damaged videos depends on the file alone."""

import shutil

import numpy as np
import pytest
from numbered_videos import (
    break_packet,
    encode,
    numbered,
    numbers,
    read_window,
)

from keras_mtnet.data import VideoError, count_frames, read_frames
from keras_mtnet.video import EndsEarly, VideoFile


def test_damaged_video_ends_at_its_first_broken_packet(tmp_path):
    path = break_packet(encode(tmp_path / "a.mp4", numbered(30), "libx264"), 20)
    assert VideoFile(path).index.count == 30  # what its packets promise
    video = VideoFile(path)
    assert video.exact_count() == count_frames(path) == 20
    assert "Invalid data" in video.index.damage
    assert numbers(read_frames(path, [0, 19])) == [0, 19]
    video = VideoFile(path)
    with pytest.raises(EndsEarly, match="20 frames"):
        video.read([0, 25])
    assert video.frame_count == 20


def test_a_stream_that_meets_damage_is_begun_anew(tmp_path):
    path = break_packet(encode(tmp_path / "a.mp4", numbered(30), "libx264"), 20)
    video = VideoFile(path)
    with pytest.raises(EndsEarly, match="Invalid data"):
        list(video.stream())
    assert numbers(np.stack(list(video.stream()))) == list(range(20))
    assert "20 frames" in video.damage


def test_window_of_a_damaged_video_depends_on_the_file_alone(tmp_path):
    path = break_packet(encode(tmp_path / "a.mp4", numbered(30), "libx264"), 20)
    early = [read_window(path, lambda n: np.array([0, n // 3])) for _ in range(2)]
    late, damage = read_window(path, lambda n: np.array([0, n - 1]))
    assert numbers(late) == [0, 19] and "20 frames" in damage
    count_frames(path)
    early.append(read_window(path, lambda n: np.array([0, n // 3])))
    assert [(numbers(frames), damage) for frames, damage in early] == [([0, 10], None)] * 3


def test_nothing_left_of_a_video_broken_from_the_start(tmp_path):
    path = break_packet(encode(tmp_path / "a.mp4", numbered(30), "libx264", g="100"), 0)
    with pytest.raises(VideoError):
        read_window(path, np.arange)


@pytest.mark.parametrize("number", range(40))
def test_some_frames_of_a_video_with_any_broken_packet(video, tmp_path, number):
    """Whatever is broken, what comes are frames of the video, and never wrong ones."""
    path = break_packet(shutil.copy(video, tmp_path / "a.mp4"), number)
    try:
        frames, damage = read_window(path, lambda n: (np.arange(6) * 5 + 9) % n)
    except VideoError:
        assert number < 4  # a decoder holds back some frames, which the error takes with it
        return
    shown = numbers(frames)
    assert shown == [9, 14, 19, 24, 29, 34] or (damage and max(shown) < number + 4)


def test_a_real_damaged_file_up_to_its_damage(real_data):
    """H.264 of 50 packets, the 29th of which cannot be decoded."""
    path = real_data / "odd_and_original" / "odd_corrupted.mp4"
    if not path.is_file():
        pytest.skip(f"no real clips: {path} is not there")
    asked = []
    frames, damage = read_window(path, lambda n: asked.append(n) or np.arange(0, n, 9))
    assert asked == [50, 28] and "28 frames" in damage
    sound, none = read_window(path, lambda n: np.arange(0, 28, 9))
    assert none is None and (frames == sound).all()
    with pytest.raises(EndsEarly, match="28 frames"):
        read_frames(path, [28])
