"""Exact frames, however they are found: against all frames in order."""

import itertools
import os
import shutil
import subprocess

import av
import numpy as np
import pytest
from csv_rows import csv_rows
from numbered_videos import (
    UNEVEN,
    X264,
    break_packet,
    decode_all,
    encode,
    numbered,
    numbers,
    remux,
    replace_bytes,
)

from keras_mtnet.data import VideoError, read_frames
from keras_mtnet.video import ReadCache, VideoFile, video_file

OPEN_GOP = "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3"


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
