"""Decoding, against frames that carry their own number and against all frames in order."""

import itertools
import math
import os
import shutil
import struct
import subprocess

import av
import numpy as np
import pytest
from csv_rows import csv_rows
from numbered_videos import (
    break_packet,
    decode_all,
    encode,
    numbered,
    numbers,
    remux,
    replace_bytes,
)

from keras_mtnet.data import VideoError, count_frames, read_frames
from keras_mtnet.video import EndsEarly, ReadCache, VideoFile, video_file
from keras_mtnet.video.check import check_video

X264 = {"b_frames": 3, "g": "12", "sc_threshold": "0"}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """40 numbered frames in H.264 with B-frames: decoded in another order than shown."""
    path = tmp_path_factory.mktemp("video") / "numbered.mp4"
    return encode(path, numbered(40), "libx264", **X264)


def read_window(path, choose, out=None, **part):
    """Frames as clips are read: chosen among as many as there are, and again after damage."""
    with VideoFile(path, **part) as video:
        try:
            frames = video.read(choose(video.frame_count), out=out)
        except EndsEarly:
            frames = video.read(choose(video.frame_count), out=out)
    return frames, video.damage


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


# --- Exact frames, however they are found --------------------------------------------------------

OPEN_GOP = "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3"
UNEVEN = np.cumsum(np.random.default_rng(0).integers(1, 6, 60))


@pytest.fixture
def steps(monkeypatch):
    """What reading went through besides decoding from the start, in order."""
    taken = []

    def note(owner, name, label):
        function = getattr(owner, name)

        def noted(*arguments):
            taken.append(label(*arguments))
            return function(*arguments)

        monkeypatch.setattr(owner, name, noted)

    note(video_file, "_seek", lambda *_: "seek")
    note(video_file, "_by_count", lambda *_: "by_count")
    note(VideoFile, "_correct", lambda video, index, error: type(error).__name__.strip("_"))
    return taken


def check_every_way_to_read(path):
    """Single frames, windows and bytes of a file, against all of its frames in order."""
    frames = decode_all(path)
    count = len(frames)
    cache = ReadCache()
    draw = np.random.default_rng(0)
    asked = [[count - 1], [count // 2], [0, count // 3, count - 1], [count - 2, 4, 4]]
    asked += [
        (start + stride * np.arange(6)) % count for start, stride in draw.integers(1, 50, (8, 2))
    ]
    for indices in asked:
        found = VideoFile(path, cache=cache).read(indices)
        np.testing.assert_array_equal(found, frames[indices])
    with open(path, "rb") as file:
        np.testing.assert_array_equal(read_frames(file.read(), asked[2]), frames[asked[2]])
    return count


@pytest.mark.parametrize(
    "name, codec, options",
    [
        ("h264.mp4", "libx264", X264),
        ("h264.mkv", "libx264", X264),
        ("no_b.mov", "libx264", {"g": "12"}),
        ("open_gop.mp4", "libx264", {"b_frames": 3, "x264-params": OPEN_GOP}),
        ("open_gop.mkv", "libx264", {"b_frames": 3, "x264-params": OPEN_GOP}),
        ("ten_bits.mp4", "libx264", {"pix_fmt": "yuv420p10le", **X264}),
        ("uneven.mp4", "libx264", {"times": UNEVEN, **X264}),
        ("uneven.mkv", "libx264", {"times": UNEVEN, **X264}),
        ("late.mp4", "libx264", {"times": np.arange(60) + 77, **X264}),
        ("hevc.mp4", "libx265", {"x265-params": f"{OPEN_GOP}:log-level=none"}),
        ("vp9.webm", "libvpx-vp9", {"g": "12", "cpu-used": "8", "auto-alt-ref": "1"}),
        ("av1.mp4", "libsvtav1", {"g": "12", "preset": "13"}),
        ("mpeg4.mp4", "mpeg4", {"b_frames": 2}),
        ("mpeg4.avi", "mpeg4", {}),
        ("mjpeg.avi", "mjpeg", {"pix_fmt": "yuvj420p"}),
    ],
)
def test_keyframes_are_sought(tmp_path, steps, name, codec, options):
    path = encode(tmp_path / name, numbered(60), codec, **options)
    assert check_every_way_to_read(path) == 60
    assert set(steps) == {"seek"}


@pytest.mark.parametrize(
    "name, codec, options",
    [
        # Times of showing are not stored, and guessed where frames are reordered.
        ("h264.avi", "libx264", X264),
        ("h264.ts", "libx264", X264),
        ("h264.h264", "libx264", X264),
        # More packets than frames, or other packets.
        ("vp8.webm", "libvpx", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "10"}),
        ("pictures.gif", "gif", {"pix_fmt": "rgb8"}),
    ],
)
def test_frames_are_counted_where_packets_tell_too_little(tmp_path, steps, name, codec, options):
    path = encode(tmp_path / name, numbered(60), codec, **options)
    assert check_every_way_to_read(path) == 60
    assert steps[-1] == "by_count"


def test_b_frames_in_an_avi_are_known_by_their_type(tmp_path, steps):
    path = encode(tmp_path / "a.avi", numbered(60), "mpeg4", b_frames=2)
    assert check_every_way_to_read(path) == 60
    assert steps == []  # nothing is counted, and there is no time to seek by


def test_keyframes_that_are_none(tmp_path, steps):
    """The list of keyframes renamed away, every frame of an mp4 passes for one."""
    options = {"x265-params": "keyint=20:bframes=3:log-level=none"}
    path = encode(tmp_path / "a.mp4", numbered(60), "libx265", **options)
    replace_bytes(path, b"stss", b"free")
    assert len(VideoFile(path).index.keys.numbers) == 60
    check_every_way_to_read(path)
    assert steps.count("CannotSeekError") == 2  # once for the file, once for its bytes


def test_keyframes_in_pieces(tmp_path, steps):
    """Intra refresh: frames marked as places to begin at are whole only a while later."""
    refresh = {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}
    check_every_way_to_read(encode(tmp_path / "a.mkv", numbered(60), "libx264", **refresh))
    assert set(steps) == {"seek", "CannotSeekError"}


def test_container_without_its_index(tmp_path, steps):
    path = encode(tmp_path / "a.avi", numbered(60), "mpeg4")
    replace_bytes(path, b"idx1", b"JUNK")
    assert check_every_way_to_read(path) == 60
    assert "by_count" not in steps


def test_times_in_the_wrong_order(tmp_path, steps):
    """B-frames in an AVI: it tells no times, and FFmpeg takes decoding for showing."""
    path = remux(encode(tmp_path / "a.ts", numbered(60), "libx264", **X264), tmp_path / "a.avi")
    with av.open(path) as container:
        ticks = [frame.pts for frame in container.decode(video=0)]
    assert None not in ticks and ticks != sorted(ticks)
    assert check_every_way_to_read(path) == 60
    assert steps.count("WrongIndexError") == 2  # once for the file, once for its bytes
    video = VideoFile(path)
    video.read(np.arange(60))
    assert video.index.by_packets is False


def test_interlaced_frames_may_be_two_packets(tmp_path, steps):
    path = encode(tmp_path / "a.mp4", numbered(60), "libx264", flags="+ildct+ilme", **X264)
    assert check_every_way_to_read(path) == 60
    assert "by_count" in steps


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_start_cut_off(tmp_path, steps, suffix):
    """The first frames need a keyframe that is gone; how many come is up to the decoder."""
    whole = encode(tmp_path / "a.mkv", numbered(60), "libx264", **X264)
    path = remux(whole, tmp_path / f"cut.{suffix}", keep=lambda number: number >= 17)
    check_every_way_to_read(path)
    assert set(steps) == {"by_count"}


def test_edit_list(tmp_path, steps):
    """mp4 may say to begin in the middle: packets before are decoded, but not shown."""
    whole = encode(tmp_path / "a.mp4", numbered(60), "libx264", **X264)
    path = remux(whole, tmp_path / "b.mp4", shift=-15, avoid_negative_ts="disabled")
    with av.open(path) as container:
        assert any(packet.is_discard for packet in container.demux(video=0))
    assert check_every_way_to_read(path) == 45
    assert numbers(read_frames(path, [0, 44])) == [15, 59]
    assert set(steps) == {"seek"}


def test_times_that_begin_again(tmp_path, steps):
    part = encode(tmp_path / "a.ts", numbered(30), "libx264", **X264)
    path = tmp_path / "twice.ts"
    with open(part, "rb") as file:
        path.write_bytes(file.read() * 2)
    assert check_every_way_to_read(str(path)) == 60
    assert set(steps) == {"by_count"}


def test_frames_before_the_keyframe_are_not_decoded(video, tmp_path):
    path = shutil.copy(video, tmp_path / "a.mp4")
    break_packet(path, 1)
    with pytest.raises(VideoError):
        read_frames(path, [8])
    assert numbers(read_frames(path, [26, 28, 39])) == [26, 28, 39]


def test_no_more_is_decoded_than_needed(video, monkeypatch):
    """Of three frames far apart, the groups in between are passed over."""
    decoded = []
    check = video_file._check_keyframe
    monkeypatch.setattr(video_file, "_check_keyframe", lambda *a: decoded.append(a) or check(*a))
    assert numbers(read_frames(video, [1, 25, 38])) == [1, 25, 38]
    assert len(decoded) == 2


# --- Time -----------------------------------------------------------------------------------------


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


# --- Damage --------------------------------------------------------------------------------------


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


# --- Real clips ----------------------------------------------------------------------------------


def dump(path, size, wanted):
    """Frames of a file by the command `ffmpeg -f rawvideo`, or by PyAV where that is missing."""
    if shutil.which("ffmpeg"):
        command = ["ffmpeg", "-v", "quiet", "-i", path, "-fps_mode", "passthrough"]
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            length = size[0] * size[1] * 3
            data = [process.stdout.read(length) for _ in range(max(wanted) + 1)]
            process.kill()
        return [np.frombuffer(data[number], "uint8").reshape(*size, 3) for number in wanted]
    with av.open(path) as container:
        frames = itertools.islice(container.decode(video=0), max(wanted) + 1)
        kept = [frame for number, frame in enumerate(frames) if number in wanted]
    return [np.rot90(f.to_ndarray(format="rgb24"), round(f.rotation / 90)) for f in kept]


def test_real_divx_and_xvid(real_data, steps):
    """Original files with B-frames packed into other packets."""
    folders = [real_data / "ut_interaction", real_data / "odd_and_original"]
    paths = [path for folder in folders for path in sorted(folder.rglob("*.avi"))]
    packed = [path for path in paths if VideoFile(path).index.order is not None]
    if not packed:
        pytest.skip(f"no real clips: none with packed B-frames in {real_data}")
    for path in packed[::10]:
        assert check_every_way_to_read(str(path)) == VideoFile(path).index.count
    assert steps == []


def test_frames_of_real_files(real_data):
    folder = real_data / "odd_and_original"
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} is not there")
    rows = csv_rows(folder / "manifest.csv")
    for row in rows:
        path, count = str(folder / row["file"]), int(row["frames"])
        size = int(row["height"]), int(row["width"])
        size = size[::-1] if "rotated" in row["file"] else size
        step = 1 + count * size[0] * size[1] // 2**23  # every frame of small files
        wanted = sorted({*range(0, count, step), count - 1})
        frames = read_frames(path, wanted)
        assert frames.shape == (len(wanted), *size, 3), path
        if os.path.isdir(path):
            names = sorted(os.listdir(path))
            dumped = [dump(os.path.join(path, names[number]), size, [0])[0] for number in wanted]
        else:
            dumped = dump(path, size, wanted)
        for frame, expected in zip(frames, dumped, strict=True):
            assert np.abs(frame.astype("int16") - expected).mean() < 1, path


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
