"""Decoding, against frames that carry their own number, and against the real clips' manifest."""

import csv
import os
import pickle
import struct

import av
import numpy as np
import pytest
from numbered_videos import break_packet, encode, numbered, numbers

from keras_mtnet.data import VideoError, count_frames, read_frames
from keras_mtnet.data import decode as d
from keras_mtnet.data.synthetic import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """40 numbered frames in H.264 with B-frames: decoded in another order than shown."""
    path = tmp_path_factory.mktemp("video") / "numbered.mp4"
    return encode(path, numbered(40), "libx264", b_frames=3, g="12")


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
    assert d.frame_index(path).count == count_frames(path) == 30
    assert numbers(read_frames(path, np.arange(30))) == list(range(30))


@pytest.mark.parametrize("indices", [[0], [39], [5, 6, 7], [7, 5, 5, 39, 0], [3] * 4])
def test_read_frames_returns_what_was_asked_for(video, indices):
    frames = read_frames(video, indices)
    assert frames.shape == (len(indices), 64, 96, 3) and frames.dtype == np.uint8
    assert numbers(frames) == indices


def test_lossless_colours_are_exact(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (3, 24, 32, 3), "uint8")
    path = encode(tmp_path / "exact.mkv", frames, "ffv1", "bgr0")
    np.testing.assert_array_equal(read_frames(path, [0, 1, 2]), frames)


@pytest.mark.parametrize("pix_fmt", ["gray", "yuva420p", "yuv420p10le", "yuv444p"])
def test_other_pixel_formats_become_rgb(tmp_path, pix_fmt):
    level = np.array([40, 90, 200], "uint8")[:, None, None, None]
    frames = np.broadcast_to(level, (3, 24, 32, 3)).copy()
    path = encode(tmp_path / "grey.mkv", frames, "ffv1", pix_fmt)
    assert np.abs(read_frames(path, [0, 1, 2]).astype(int) - frames).max() <= 2


def test_resizing(video):
    assert read_frames(video, [0], 32).shape == (1, 32, 48, 3)
    assert read_frames(video, [0], (20, 50)).shape == (1, 20, 50, 3)
    # A mean over areas: the blocks stay blocks, and the grey half stays grey.
    small = read_frames(video, [21], (32, 48))
    assert abs(int(small[0, 16, 40].mean()) - 128) <= 3
    assert small[0, 2, 10].mean() > 200 > 55 > small[0, 7, 10].mean()


def test_rotation_is_honoured(video, tmp_path):
    with open(video, "rb") as file:
        data = bytearray(file.read())
    matrix = data.index(b"tkhd") + 4 + 40
    # Turned clockwise by 90 degrees for viewing, as phones write it.
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path = tmp_path / "turned.mp4"
    path.write_bytes(data)
    upright = read_frames(video, [5, 6])
    np.testing.assert_array_equal(read_frames(str(path), [5, 6]), np.rot90(upright, -1, (1, 2)))
    assert read_frames(str(path), [5], 48).shape == (1, 72, 48, 3)


def test_folder_of_pictures_is_a_video(tmp_path):
    for number, frame in enumerate(numbered(5)):
        encode(tmp_path / f"i_{number:04d}.png", frame[None], "png", "rgb24", update="1")
    assert count_frames(str(tmp_path)) == 5
    assert numbers(read_frames(str(tmp_path), [4, 1, 1])) == [4, 1, 1]
    with pytest.raises(d.EndsEarly, match="5 frames"):
        read_frames(str(tmp_path), [5])


# --- What cannot be read -------------------------------------------------------------------------


def reason(path):
    reasons = set()
    for attempt in (count_frames, lambda p: read_frames(p, [0]), d.frame_index):
        with pytest.raises(VideoError) as error:
            attempt(str(path))
        assert error.value.name == str(path) and str(path) in str(error.value)
        reasons.add(error.value.reason)
    assert len(reasons) == 1
    return reasons.pop()


def test_reasons(video, tmp_path):
    with open(video, "rb") as file:
        data = file.read()
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), "float32"), "fltp", "mono")
        sound.rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    encode(tmp_path / "still.png", numbered(1), "png", "rgb24", update="1")
    (tmp_path / "still.png").rename(tmp_path / "still.mp4")
    for name, content in {
        "empty.mp4": b"",
        "text.mp4": b"version https://example.org\n" * 9,
        "cut.mp4": data[: len(data) // 2],
        "noise.avi": np.random.default_rng(0).bytes(5000),
    }.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    assert reason(tmp_path / "empty.mp4") == "the file is empty"
    assert reason(tmp_path / "text.mp4") == "a text file, not a video"
    assert "cut off" in reason(tmp_path / "cut.mp4")
    assert "not a readable video" in reason(tmp_path / "noise.avi")
    assert reason(tmp_path / "sound.mp4") == "no video stream in the file"
    assert reason(tmp_path / "still.mp4") == "a still image, not a video"
    assert reason(tmp_path / "missing.mp4") == "no such file"
    assert "no frame can be decoded" in reason(tmp_path / "folder")


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(d.EndsEarly("a.mp4", "it ends", 3)))
    assert (str(error), error.frames) == ("a.mp4: it ends", 3)


@pytest.mark.parametrize("indices", [[], [-1], [[1]]])
def test_wrong_indices(video, indices):
    with pytest.raises(ValueError, match="indices"):
        read_frames(video, indices)


def test_damaged_video_ends_at_its_first_broken_packet(tmp_path):
    path = break_packet(encode(tmp_path / "a.mp4", numbered(30), "libx264"), 20)
    assert d.frame_index(path).count == 30  # what its packets promise
    index = d.frame_index(path, exact=True)
    assert index.count == count_frames(path) == 20 and "Invalid data" in index.damage
    assert numbers(read_frames(path, [0, 19])) == [0, 19]
    with pytest.raises(d.EndsEarly, match="20 frames") as error:
        read_frames(path, [0, 25])
    assert error.value.frames == 20


def test_window_of_a_damaged_video_depends_on_the_file_alone(tmp_path):
    path = break_packet(encode(tmp_path / "a.mp4", numbered(30), "libx264"), 20)
    early = [d.read_window(path, lambda n: np.array([0, n // 3])) for _ in range(2)]
    late, damage = d.read_window(path, lambda n: np.array([0, n - 1]))
    assert numbers(late) == [0, 19] and "20 frames" in damage
    count_frames(path)
    early.append(d.read_window(path, lambda n: np.array([0, n // 3])))
    assert [(numbers(frames), damage) for frames, damage in early] == [([0, 10], None)] * 3


def test_nothing_left_of_a_video_broken_from_the_start(tmp_path):
    path = break_packet(encode(tmp_path / "a.mp4", numbered(30), "libx264", g="100"), 0)
    with pytest.raises(VideoError):
        d.read_window(path, np.arange)


# --- The index -----------------------------------------------------------------------------------


def test_packed_frames_are_not_counted_by_packets(tmp_path):
    """Tiny packets in an AVI may be placeholders: then only decoding tells."""
    path = encode(tmp_path / "a.avi", np.repeat(numbered(1), 20, 0), "mpeg4")
    with av.open(path) as container:
        assert min(p.size for p in container.demux(video=0) if p.size) <= 19
    assert d._by_packets(path) is None and d.frame_index(path).count == 20


def test_times_and_segments(video):
    index = d.frame_index(video)
    np.testing.assert_allclose(index.times, np.arange(40) / 25, atol=1e-6)
    assert index.segment(None, None) == (0, 40)
    assert index.segment(0.4, 0.8) == (10, 10)
    assert index.segment(1.2, 99) == (30, 10)
    frames, _ = d.read_window(video, np.arange, start=0.4, end=0.8)
    assert numbers(frames) == list(range(10, 20))
    with pytest.raises(VideoError, match=r"between 5.0 and 6.0 seconds"):
        d.read_window(video, np.arange, start=5.0, end=6.0)


def test_index_follows_the_file(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(str(path), numbered(10))
    assert d.frame_index(str(path)).count == 10
    write_video(str(path), numbered(12))
    assert d.frame_index(str(path)).count == 12


def test_indexes_are_bounded():
    indexes = d._Indexes(limit=10)
    for number in range(5):
        indexes.put((number,), d.FrameIndex(np.zeros(4)))
    assert list(indexes.indexes) == [(3,), (4,)] and indexes.held == 8
    assert indexes.get((3,)).count == 4
    indexes.put((5,), d.FrameIndex(np.zeros(4)))
    assert list(indexes.indexes) == [(3,), (5,)]
    indexes.put((6,), d.FrameIndex(np.zeros(99)))  # one too large for itself is still kept
    assert list(indexes.indexes) == [(6,)] and indexes.held == 99


# --- Real clips ----------------------------------------------------------------------------------


def manifest(real_data):
    folder = real_data / "odd_and_original"
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} is not there")
    with open(folder / "manifest.csv", encoding="utf-8") as file:
        return [(str(folder / row["file"]), row) for row in csv.DictReader(file)]


def test_true_frame_counts_of_real_files(real_data):
    entries = manifest(real_data)
    counts = {row["file"]: count_frames(path) for path, row in entries}
    assert counts == {row["file"]: int(row["frames"]) for _, row in entries}
    # Only what is damaged may promise more than it holds.
    cheap = {row["file"]: d.frame_index(path).count for path, row in entries}
    assert [name for name in counts if cheap[name] != counts[name]] == ["odd_corrupted.mp4"]


def test_sizes_of_real_files(real_data):
    for path, row in manifest(real_data):
        size = int(row["height"]), int(row["width"])
        expected = size[::-1] if "rotated" in row["file"] else size
        assert read_frames(path, [0, 2]).shape == (2, *expected, 3), path


def test_reading_single_frames_equals_reading_all(real_data):
    folder = real_data / "odd_and_original"
    for name in ("hmdb51_climb_stairs_le_med_1.avi", "kinetics_flipping_pancake.mkv"):
        path = os.path.join(folder, name)
        everything = read_frames(path, np.arange(70), 60)
        np.testing.assert_array_equal(read_frames(path, [69, 3, 40], 60), everything[[69, 3, 40]])
