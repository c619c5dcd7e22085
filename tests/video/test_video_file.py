"""Frames of a file: which ones, where they go, their colors, size and time."""

import math
import struct

import numpy as np
import pytest
from numbered_videos import (
    UNEVEN,
    X264,
    decode_all,
    encode,
    numbered,
    numbers,
    read_window,
)

from keras_mtnet.data import VideoError, read_frames
from keras_mtnet.video import VideoFile
from keras_mtnet.video.check import check_video


@pytest.mark.parametrize("indices", [[0], [39], [5, 6, 7], [7, 5, 5, 39, 0], [3] * 4])
def test_read_frames_returns_what_was_asked_for(video, indices):
    frames = read_frames(video, indices)
    assert frames.shape == (len(indices), 64, 96, 3) and frames.dtype == np.uint8
    assert numbers(frames) == indices


@pytest.mark.parametrize("indices", [[9, 11, 13], [5, 5, 39], [8, 2, 30]])
def test_frames_go_where_they_are_told(video, indices):
    memory = np.zeros((3, 64, 96, 3), "uint8")
    frames = VideoFile(video).read(indices, out=memory)
    assert numbers(frames) == numbers(memory) == indices and np.shares_memory(frames, memory)


def test_lossless_colors_are_exact(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (3, 24, 32, 3), "uint8")
    path = encode(tmp_path / "exact.mkv", frames, "ffv1", "bgr0")
    np.testing.assert_array_equal(read_frames(path, [0, 1, 2]), frames)


@pytest.mark.parametrize("pix_fmt", ["gray", "yuva420p", "yuv420p10le", "yuv444p"])
def test_other_pixel_formats_become_rgb(tmp_path, pix_fmt):
    level = np.array([40, 90, 200], "uint8")[:, None, None, None]
    frames = np.broadcast_to(level, (3, 24, 32, 3)).copy()
    path = encode(tmp_path / "gray.mkv", frames, "ffv1", pix_fmt)
    assert np.abs(read_frames(path, [0, 1, 2]).astype(int) - frames).max() <= 2


def test_resizing(video):
    assert read_frames(video, [0], 32).shape == (1, 32, 48, 3)
    assert read_frames(video, [0], (20, 50)).shape == (1, 20, 50, 3)
    # A mean over areas: the blocks stay blocks, and the gray half stays gray.
    small = read_frames(video, [21], (32, 48))
    assert abs(int(small[0, 16, 40].mean()) - 128) <= 3
    assert small[0, 2, 10].mean() > 200 > 55 > small[0, 7, 10].mean()


def turned(video, path, matrix):
    """A copy of an mp4 whose display matrix is `(a, b, c, d)` in 16.16 numbers."""
    with open(video, "rb") as file:
        data = bytearray(file.read())
    place = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (round(value * 65536) for value in matrix)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return str(path)


TURN = math.sin(math.radians(10)), math.cos(math.radians(10))


@pytest.mark.parametrize(
    "matrix, upright",
    [
        ((1, 0, 0, 1), lambda x: x),
        ((0, 1, -1, 0), lambda x: np.rot90(x, -1, (1, 2))),  # as phones write it
        ((-1, 0, 0, -1), lambda x: x[:, ::-1, ::-1]),
        ((0, -1, 1, 0), lambda x: np.rot90(x, 1, (1, 2))),
        ((-1, 0, 0, 1), lambda x: x[:, :, ::-1]),  # mirrored, as cameras in front do
        ((1, 0, 0, -1), lambda x: x[:, ::-1]),
        ((0, 1, 1, 0), lambda x: x.swapaxes(1, 2)),  # mirrored and turned
        ((0, -1, -1, 0), lambda x: x[:, ::-1, ::-1].swapaxes(1, 2)),
        ((TURN[1], TURN[0], -TURN[0], TURN[1]), lambda x: x),  # to the nearest quarter
    ],
)
def test_display_matrix(video, tmp_path, matrix, upright):
    """A pixel (x, y) is shown at (a x + c y, b x + d y)."""
    path = turned(video, tmp_path / "turned.mp4", matrix)
    frames, expected = read_frames(path, [5, 6]), upright(read_frames(video, [5, 6]))
    np.testing.assert_array_equal(frames, expected)
    height, width = expected.shape[1:3]
    small = read_frames(path, [5], 32)
    assert small.shape == (1, *(32 * side // min(height, width) for side in (height, width)), 3)
    check = check_video(path)
    assert (check.height, check.width, check.error) == (height, width, None)


def test_a_real_display_matrix_that_turns_and_mirrors(real_data):
    """x and y change places; the same as FFmpeg 9 shows, to the last bit."""
    path = real_data / "odd_more" / "media__sample_rotate_and_reflect.mp4"
    if not path.is_file():
        pytest.skip(f"no real clips: {path} is not there")
    frames = read_frames(path, [0, 29])
    expected = decode_all(str(path))[[0, 29]].swapaxes(1, 2)
    np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize("indices", [[], [-1], [[1]]])
def test_wrong_indices(video, indices):
    with pytest.raises(ValueError, match="frames must be a list of frame numbers"):
        read_frames(video, indices)


def test_part_of_a_video(video):
    frames, _ = read_window(video, np.arange, start=0.4, end=0.8)
    assert numbers(frames) == list(range(10, 20))
    with pytest.raises(VideoError, match=r"between 5.0 and 6.0 seconds"):
        read_window(video, np.arange, start=5.0, end=6.0)


@pytest.mark.parametrize(
    "fps, expected",
    [
        (25, range(40)),
        (12.5, range(0, 40, 2)),
        (50, [0, 0, 1, 1, 2, 2]),  # the earlier of two equally near
        (10, [0, 2, 5, 7, 10, 12]),
        (0.1, [0]),
    ],
)
def test_frames_at_another_rate(video, fps, expected):
    counts = []
    frames, _ = read_window(video, lambda n: counts.append(n) or np.arange(min(n, 40)), fps=fps)
    assert counts == [max(1, round(40 * fps / 25))]
    assert numbers(frames)[: len(expected)] == list(expected)


def test_uneven_frames_at_an_even_rate(tmp_path):
    times = UNEVEN[:40]
    path = encode(tmp_path / "a.mkv", numbered(40), "libx264", times=times)
    frames, _ = read_window(path, np.arange, fps=25)
    ticks = np.arange(times[-1] - times[0] + 1) + times[0]
    nearest = [int(np.abs(times - tick).argmin()) for tick in ticks]
    assert numbers(frames)[: len(nearest)] == nearest


def test_a_part_at_another_rate(video):
    frames, _ = read_window(video, np.arange, start=0.4, end=0.8, fps=5)
    assert numbers(frames) == [10, 15]
    with pytest.raises(ValueError, match="fps must be a number above 0"):
        read_window(video, np.arange, fps=0)


def test_a_gap_in_the_times_is_no_still_picture(tmp_path):
    """A recording that rested for half a minute."""
    times = np.concatenate([np.arange(20), np.arange(20) + 770])
    for name in ("a.mp4", "a.mkv"):
        path = encode(tmp_path / name, numbered(40), "libx264", times=times, **X264)
        video = VideoFile(path, fps=12.5)
        shown = numbers(video.read(np.arange(video.frame_count)))
        assert len(shown) == 20 and max(shown.count(number) for number in shown) == 1
        late = VideoFile(path, start=30.0, fps=25.0)  # on the clock of the file
        assert numbers(late.read(np.arange(late.frame_count))) == list(range(20, 40))


def test_frames_as_a_stream(video):
    for fps, expected in ((None, range(40)), (12.5, range(0, 40, 2)), (50, np.arange(80) // 2)):
        source = VideoFile(video, fps=fps)
        found = np.stack(list(source.stream((32, 48))))
        assert found.shape[1:] == (32, 48, 3)
        np.testing.assert_array_equal(
            found, source.read(np.arange(source.frame_count), None, (32, 48))
        )
        assert numbers(found.repeat(2, 1).repeat(2, 2)) == list(expected)
